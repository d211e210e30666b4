// Who is in a photo: choose, drop, paste or take one, and the answer stands beside it.

import { ask } from "./api.js";
import { openCamera, whyNoCamera } from "./camera.js";
import { againBox, count, errorBox, h, run } from "./dom.js";
import { openPerson } from "./person.js";
import { fileButton, labelOf, photoStage, takeDrops, takePastes } from "./photo.js";
import { may, state } from "./state.js";
import { DECISIONS, REVIEW_REASONS, figure, inWords, mark, nameOf, summary, thresholdWords } from "./words.js";

export function identify() {
  const stage = h("div", { class: "stage" });
  const verdict = h("p", { class: "verdict", role: "status" });
  const faces = h("ol", { class: "faces" });
  const facts = h("div", { class: "facts" });
  const controls = h("div", { class: "actions" });
  let photo = null;
  let camera = null;
  let asking = null;

  const element = h(
    "section",
    { class: "identify" },
    h("h1", { tabindex: "-1", class: "unseen" }, "Identify"),
    verdict,
    h("div", { class: "seen" }, stage, controls),
    h("div", { class: "told" }, faces, facts),
  );
  takeDrops(element, ([file]) => look(file));
  const endPastes = takePastes(([file]) => look(file));
  invite();

  function cameraButton(text, kind = "") {
    return h("button", { type: "button", class: kind, on: { click: (event) => run(event.currentTarget, live, failed) } }, text);
  }

  /** Nothing is shown yet. */
  function invite() {
    const noCamera = whyNoCamera();
    stage.replaceChildren(
      h(
        "div",
        { class: "invitation" },
        h("p", { class: "big" }, "Who is this?"),
        h(
          "div",
          { class: "actions" },
          fileButton("Choose a photo", ([file]) => look(file), { kind: "primary" }),
          noCamera === null && cameraButton("Use the camera"),
        ),
        h("p", { class: "hint" }, h("span", { class: "pointer" }, "Or drop or paste one here. "), "The service compares the photo and does not store it."),
        noCamera !== null && h("p", { class: "hint" }, noCamera),
      ),
    );
    controls.replaceChildren();
    tellNothing();
  }

  function tellNothing() {
    element.classList.add("untold");
    verdict.replaceChildren();
    verdict.className = "verdict";
    faces.replaceChildren();
    facts.replaceChildren();
  }

  /** The camera runs. */
  async function live() {
    camera ??= await openCamera();
    stage.replaceChildren(h("div", { class: "photo" }, camera.element));
    await camera.element.play().catch(() => {});
    const shoot = h("button", { type: "button", class: "primary large" }, "Take the photo");
    shoot.addEventListener("click", () => run(shoot, async () => look(await camera.take()), failed));
    const turn = h("button", { type: "button" }, "Other camera");
    turn.addEventListener("click", () => run(turn, camera.turn, failed));
    controls.replaceChildren(
      shoot,
      camera.turn ? turn : "",
      h("button", { type: "button", on: { click: () => (closeCamera(), invite()) } }, "Stop the camera"),
    );
    tellNothing();
    shoot.focus();
  }

  function closeCamera() {
    camera?.stop();
    camera = null;
  }

  /** Asks who is in a photo; a newer one overtakes an older one. */
  async function look(file) {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    photo?.release();
    photo = photoStage(file, "The photo that is identified");
    stage.replaceChildren(photo.element);
    tellNothing();
    element.classList.remove("untold");
    verdict.textContent = "Looking …";
    const again = camera ? cameraButton("Next person", "primary large") : fileButton("Another photo", ([next]) => look(next), { kind: "primary" });
    controls.replaceChildren(again, camera ? "" : whyNoCamera() === null ? cameraButton("Use the camera") : "");
    again.querySelector("button")?.focus() ?? again.focus?.();
    try {
      tell(file, await ask("POST", "v1/identify", { form: photoForm(file), signal }));
    } catch (error) {
      if (error.name !== "AbortError") failed(error, () => look(file));
    }
  }

  function failed(error, again = null) {
    tellNothing();
    element.classList.remove("untold");
    // A photo that the service refused stays refused.
    const mayHelp = again !== null && (error.status === 0 || error.status === 429 || error.status >= 500);
    faces.replaceChildren(h("li", { class: "plain" }, mayHelp ? againBox(error, again) : errorBox(error)));
  }

  function tell(file, answer) {
    // Numbered from left to right, as people look at a photo.
    const found = [...answer.faces].sort((a, b) => a.box.left - b.box.left);
    const boxes = photo.draw(found, answer, labelOf(found));
    const only = found.length === 1 ? found[0] : null;
    verdict.className = `verdict ${only?.decision ?? (found.length === 0 ? "none" : "several")}`;
    verdict.replaceChildren(
      only ? mark(only.decision) : "",
      only ? twoLines(DECISIONS[only.decision], whoIs(only)) : twoLines(summary(found), namesOf(found)),
    );
    if (found.length === 0) {
      faces.replaceChildren(h("li", { class: "plain" }, h("p", {}, "Try a photo with more light, closer, and from the front.")));
    } else {
      faces.replaceChildren(
        ...found.map((face, index) => {
          const card = faceCard(face, { number: only ? null : index + 1, file });
          const light = (on) => boxes[index].classList.toggle("lit", on);
          card.addEventListener("mouseenter", () => light(true));
          card.addEventListener("mouseleave", () => light(false));
          return card;
        }),
      );
    }
    facts.replaceChildren(mayQueue(answer) ? queueButton(file) : "", factsOf(answer));
  }

  return {
    element,
    stop() {
      asking?.abort();
      closeCamera();
      endPastes();
      photo?.release();
    },
  };
}

/** Whether there is a queue, and something for it. */
function mayQueue({ faces }) {
  return state.session.features.includes("reviews") && faces.some((each) => each.decision === "review");
}

/** Has others look, too: the photo goes once more, and its reviews stay in the queue. */
function queueButton(file) {
  const button = h("button", { type: "button" }, "Ask somebody else to look");
  const told = h("div", { "aria-live": "polite" }, button);
  async function queue() {
    const form = photoForm(file);
    form.set("queue_reviews", "true");
    form.set("source", "page");
    const { faces } = await ask("POST", "v1/identify", { form });
    const number = faces.filter((each) => each.review_id).length;
    told.replaceChildren(h("p", {}, number > 0 ? `${count(number, "face waits", "faces wait")} in the queue now.` : "Nothing was queued: the decision is another one by now."));
  }
  button.addEventListener("click", () => run(button, queue, (error) => told.replaceChildren(errorBox(error), button)));
  return told;
}

function photoForm(file) {
  const form = new FormData();
  form.set("gallery", state.gallery);
  form.set("turns", "true");
  form.set("photo", file, "photo");
  return form;
}

/** A small line over a large one; the large one alone where it is the only one. */
function twoLines(small, large) {
  return h("span", {}, large ? [h("span", { class: "decided" }, `${small} `), large] : small);
}

/** Who was named, from the left. */
function namesOf(faces) {
  return faces.filter((each) => each.decision === "match").map((each) => nameOf(each.subject)).join(", ");
}

/** The person in words; of an unknown face nobody. */
function whoIs(face) {
  if (face.decision === "match") return nameOf(face.subject);
  if (face.decision === "unknown") return "Not enrolled here";
  return face.subject ? `Is this ${nameOf(face.subject)}?` : "May be somebody enrolled";
}

function adviceOn(face) {
  if (face.decision === "unknown") return null;
  if (face.decision === "match") return "Still look: a printed photo passes, too.";
  return face.subject ? "Compare the two by eye before you act." : "Ask for the name, and compare.";
}

/** Of the only face the verdict says decision and name, so its card does not. */
function faceCard(face, { number, file }) {
  const advice = adviceOn(face);
  return h(
    "li",
    { class: `card ${face.decision}` },
    number !== null && h("p", { class: "decision" }, mark(face.decision), h("span", { class: "number" }, `${number}`), DECISIONS[face.decision]),
    number !== null && face.decision !== "unknown" && h("p", { class: "name" }, whoIs(face)),
    face.subject?.external_id && face.subject?.name && h("p", { class: "hint" }, face.subject.external_id),
    advice && (number === null || face.decision === "review") && h("p", {}, advice),
    face.similarity !== null && h("p", { class: "hint" }, similarityWords(face)),
    face.reasons.length > 0 && h("p", { class: "hint" }, `Because: ${inWords(face.reasons, REVIEW_REASONS)}.`),
    face.candidates.length > 1 && candidates(face),
    h(
      "div",
      { class: "actions" },
      face.subject && may("read_subjects") && personButton(face.subject),
      face.decision !== "match" && may("enroll") && enrollLink(face, { several: number !== null, file }),
    ),
  );
}

function similarityWords(face) {
  const from = face.match_threshold === null ? "" : `; a match from ${figure(face.match_threshold)} on`;
  return `Similarity ${figure(face.similarity)}${from}`;
}

function candidates(face) {
  return h(
    "details",
    {},
    h("summary", {}, "Who is closest"),
    h("ol", { class: "candidates" }, face.candidates.map((each) => h("li", {}, nameOf({ ...each, external_id: null }), " ", h("span", { class: "hint" }, figure(each.similarity))))),
  );
}

function personButton(subject) {
  const gallery = state.gallery;
  const open = () => openPerson(gallery, subject);
  return h("button", { type: "button", class: "quiet", "aria-haspopup": "dialog", on: { click: open } }, `About ${nameOf(subject)}`);
}

function enrollLink(face, { several, file }) {
  const link = h("a", { class: "button quiet", href: "#enroll" }, "Enroll this person");
  link.addEventListener("click", () => {
    state.toEnroll = { file, box: several ? face.box : null };
  });
  return link;
}

function factsOf(answer) {
  const calibrated = answer.calibration?.in_force;
  const entry = (word, text) => [h("dt", {}, word), h("dd", {}, text)];
  return h(
    "details",
    { open: window.matchMedia("(min-width: 60rem)").matches },
    h("summary", {}, `${count(answer.num_subjects, "person", "people")} in ${answer.gallery}`),
    h(
      "dl",
      {},
      entry("Match", thresholdWords(answer.match)),
      entry("Review", thresholdWords(answer.review)),
      entry("Thresholds", calibrated ? `calibrated on this gallery${answer.calibration.stale ? ", and stale" : ""}` : "of the model's card"),
      entry("Gallery", `${answer.gallery}, ${count(answer.num_subjects, "person", "people")}`),
      entry("Model", answer.model.name),
    ),
  );
}
