// Enroll a person: photos and a name, a check that saves nothing, then the real thing.

import { ask, newOnce } from "./api.js";
import { openCamera, whyNoCamera } from "./camera.js";
import { alertBox, count, endOfDay, errorBox, field, h, run } from "./dom.js";
import { fileButton, photoStage, takeDrops, takePastes } from "./photo.js";
import { state } from "./state.js";
import { QUALITY_REASONS, figure, inWords, nameOf } from "./words.js";

export function enroll({ refresh }) {
  /** `{file, stage, note, box}` each; `box` is the face that Identify chose. */
  let photos = [];
  let camera = null;
  const options = { face: "only", force: false };

  const strip = h("ul", { class: "strip", "aria-label": "Photos" });
  const live = h("div", { class: "stage" });
  live.hidden = true;
  const name = h("input", { required: true, maxlength: 200, autocomplete: "off", name: "name" });
  const externalId = h("input", { maxlength: 255, autocomplete: "off", spellcheck: "false", name: "external-id" });
  const purpose = h("input", { maxlength: 200, autocomplete: "off", name: "purpose" });
  const consent = h("input", { maxlength: 255, autocomplete: "off", name: "consent" });
  const until = h("input", { type: "date", name: "until" });
  const report = h("div", { class: "report", "aria-live": "polite" });
  const check = h("button", { type: "submit", class: "primary" }, "Check");
  const adding = h("div", { class: "actions" });
  const form = h(
    "form",
    {
      on: {
        submit: (event) => {
          event.preventDefault();
          run(check, checkPhotos, failed);
        },
      },
    },
    h("fieldset", { class: "drop" }, h("legend", {}, "Photos of one person"), strip, live, adding, h("p", { class: "hint" }, "Three or more from different days recognise best. ", h("span", { class: "pointer" }, "Drop or paste works, too. "), "Photos are not stored.")),
    field("Name", name),
    h(
      "details",
      {},
      h("summary", {}, "More, all optional"),
      field("Your own id", externalId, "For example a ticket number."),
      field("Purpose", purpose, "Why the person is here."),
      field("Consent", consent, "Where you keep it."),
      field("Erased at the end of", until, "Empty: kept until removed."),
    ),
    h("div", { class: "actions" }, check),
  );
  const element = h(
    "section",
    { class: "enroll" },
    h("h1", { tabindex: "-1" }, "Enroll"),
    h("p", {}, `Into the gallery ${state.gallery}. First comes a check, which saves nothing.`),
    form,
    report,
  );

  takeDrops(element, add);
  const endPastes = takePastes(add);
  form.addEventListener("input", forget);
  drawAdding();
  if (state.toEnroll !== null) {
    const { file, box } = state.toEnroll;
    state.toEnroll = null;
    add([file], box);
  }

  function drawAdding() {
    if (photos.some((each) => each.box)) {
      adding.replaceChildren(h("p", { class: "hint" }, "The framed face of this photo is enrolled. Further photos can follow afterwards."));
      return;
    }
    const cameraButton = h("button", { type: "button" }, camera ? "Take the photo" : "Use the camera");
    cameraButton.addEventListener("click", () => run(cameraButton, camera ? shoot : openLive, failed));
    adding.replaceChildren(fileButton("Add photos", add, { multiple: true }), whyNoCamera() === null ? cameraButton : "");
    if (camera) cameraButton.focus();
  }

  async function openLive() {
    camera = await openCamera();
    live.hidden = false;
    live.replaceChildren(h("div", { class: "photo" }, camera.element));
    await camera.element.play().catch(() => {});
    drawAdding();
  }

  async function shoot() {
    add([await camera.take()]);
  }

  function add(files, box = null) {
    if (photos.some((each) => each.box)) return;
    for (const file of files) {
      photos.push({ file, box, stage: photoStage(file, `Photo ${photos.length + 1}`), note: h("p", { class: "hint" }) });
    }
    forget();
    drawStrip();
    drawAdding();
  }

  function drop(photo) {
    photo.stage.release();
    photos = photos.filter((each) => each !== photo);
    forget();
    drawStrip();
    drawAdding();
    adding.querySelector("button")?.focus();
  }

  function drawStrip() {
    strip.replaceChildren(
      ...photos.map((photo, index) => {
        const remove = h("button", { type: "button", class: "quiet", "aria-label": `Take out photo ${index + 1}`, on: { click: () => drop(photo) } }, "Take out");
        return h("li", {}, photo.stage.element, photo.note, remove);
      }),
    );
  }

  /** What was checked is no longer what stands here. */
  function forget() {
    options.face = "only";
    options.force = false;
    report.replaceChildren();
    for (const photo of photos) {
      photo.note.textContent = "";
      photo.stage.draw([], { width: 1, height: 1 });
    }
  }

  function body({ dryRun }) {
    const content = new FormData();
    content.set("gallery", state.gallery);
    content.set("subject", name.value.trim());
    if (externalId.value.trim()) content.set("external_id", externalId.value.trim());
    if (purpose.value.trim()) content.set("purpose", purpose.value.trim());
    if (consent.value.trim()) content.set("consent_reference", consent.value.trim());
    if (until.value) content.set("expires_at", endOfDay(until.value));
    if (photos.length === 1 && photos[0].box) {
      const { left, top, right, bottom } = photos[0].box;
      content.set("box", [left, top, right, bottom].map((each) => each.toFixed(2)).join(","));
    } else {
      content.set("face", options.face);
    }
    content.set("force", String(options.force));
    content.set("dry_run", String(dryRun));
    for (const photo of photos) content.append("photos", photo.file, "photo");
    return content;
  }

  async function checkPhotos() {
    if (photos.length === 0) {
      report.replaceChildren(h("p", { class: "alert", role: "alert" }, "Add at least one photo first."));
      return;
    }
    report.replaceChildren(h("p", {}, "Checking …"));
    tellCheck(await ask("POST", "v1/enroll", { form: body({ dryRun: true }) }));
  }

  function failed(error) {
    const reasons = error.reasons?.length ? h("p", {}, `Why: ${inWords(error.reasons, QUALITY_REASONS)}.`) : null;
    if (error.code === "several_faces") {
      report.replaceChildren(alertBox("A photo shows several people, and one is enrolled.", waysOn(photos.length === 1 && chooseButton(), retryButton("face", "largest", "Take the largest face of each photo"))));
    } else {
      report.replaceChildren(errorBox(error, reasons, error.code === "face_quality_too_low" && waysOn(retryButton("force", true, "Take poor photos, too"))));
    }
  }

  function waysOn(...buttons) {
    return h("div", { class: "actions" }, buttons);
  }

  function chooseButton() {
    const button = h("button", { type: "button" }, "Choose the face");
    button.addEventListener("click", () => run(button, chooseFace, failed));
    return button;
  }

  /** Shows the faces of the only photo, numbered from the left, to choose one. */
  async function chooseFace() {
    const [photo] = photos;
    const content = new FormData();
    content.set("photo", photo.file, "photo");
    const found = await ask("POST", "v1/detect", { form: content });
    const faces = [...found.faces].sort((a, b) => a.box.left - b.box.left);
    const large = photoStage(photo.file, "The photo with its faces numbered from the left");
    large.element.querySelector("img").addEventListener("load", large.release);
    large.draw(faces, found, (_, index) => h("span", { class: "label" }, `${index + 1}`));
    const take = (face) => {
      photo.box = face.box;
      drawAdding();
      run(check, checkPhotos, failed);
    };
    const heading = h("h2", { tabindex: "-1" }, "Whom do you enroll?");
    const choices = faces.map((face, index) => h("button", { type: "button", on: { click: () => take(face) } }, `Face ${index + 1}`));
    report.replaceChildren(heading, large.element, waysOn(choices));
    heading.focus();
  }

  function retryButton(option, value, text) {
    const button = h("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      options[option] = value;
      run(button, checkPhotos, failed);
    });
    return button;
  }

  function tellCheck(answer) {
    const faces = [...answer.faces].sort((a, b) => a.photo - b.photo);
    for (const face of faces) {
      const photo = photos[face.photo];
      const image = photo.stage.element.querySelector("img");
      photo.stage.draw([face], { width: image.naturalWidth, height: image.naturalHeight });
      const reasons = inWords(face.quality.reasons, QUALITY_REASONS);
      photo.note.textContent = `Quality ${figure(face.quality.figure)}${reasons && `: ${reasons}`}`;
    }
    const concerns = concernsOf(answer);
    const sure = concerns.length === 0;
    const go = h("button", { type: "button", class: sure ? "primary large" : "large" }, `Enroll ${name.value.trim()}${sure ? "" : " all the same"}`);
    const problem = h("div", {});
    const once = newOnce();
    // The button stays, so that after a broken connection the same request can be sent again.
    go.addEventListener("click", () => run(go, () => save(once), (error) => problem.replaceChildren(errorBox(error))));
    report.replaceChildren(
      h("h2", {}, sure ? "Nothing speaks against it" : "Look at this first"),
      sure ? "" : h("ul", { class: "concerns" }, concerns.map((each) => h("li", {}, each))),
      h("p", {}, answer.created ? `${count(photos.length, "photo")} of a new person.` : `${count(photos.length, "photo")} more of a person who is enrolled under this name.`),
      problem,
      h("div", { class: "actions" }, go),
    );
    go.focus();
  }

  async function save(once) {
    const answer = await ask("POST", "v1/enroll", { form: body({ dryRun: false }), once });
    camera?.stop();
    const again = h("button", { type: "button", class: "primary", on: { click: refresh } }, "Enroll somebody else");
    const done = h("h2", { tabindex: "-1" }, `${name.value.trim()} is enrolled`);
    form.hidden = true;
    report.replaceChildren(
      done,
      h("p", {}, `${count(answer.faces.length, "photo")} in the gallery ${answer.gallery}, and found from now on.`),
      answer.dropped_template_ids.length > 0 ? h("p", {}, `${count(answer.dropped_template_ids.length, "older template")} made room.`) : "",
      h("div", { class: "actions" }, again, h("a", { class: "button", href: "#people" }, "See the people")),
    );
    done.focus();
  }

  return {
    element,
    stop() {
      camera?.stop();
      endPastes();
      for (const photo of photos) photo.stage.release();
    },
  };
}

/** What speaks against an enroll, in sentences. */
function concernsOf(answer) {
  const several = answer.faces.length > 1;
  const at = (position) => (several ? `Photo ${position + 1}` : "The photo");
  const strangers = answer.not_the_subject.map(
    (each) => `${at(each.photo)} does not look like this person as enrolled so far (similarity ${figure(each.similarity)}).`,
  );
  const conflicts = answer.conflicts.map(
    (each) => `${at(each.photo)} looks like somebody else who is enrolled: ${nameOf({ ...each, external_id: null })} (similarity ${figure(each.similarity)}).`,
  );
  const poor = answer.faces
    .filter((each) => each.quality.reasons.length > 0)
    .map((each) => `${at(each.photo)} is poor: ${inWords(each.quality.reasons, QUALITY_REASONS)}.`);
  const groups = answer.groups.map((group) => `${group.length > 1 ? "photos" : "photo"} ${group.map((each) => each + 1).join(", ")}`);
  const mixed = groups.length > 1 ? [`These may be different people: ${groups.join("; ")}.`] : [];
  return [...conflicts, ...strangers, ...mixed, ...poor];
}
