// The queue of faces that the machine did not decide on: taken, compared, decided.

import { ask, part } from "./api.js";
import { againBox, count, errorBox, field, h, openDialog, row, run, table, when } from "./dom.js";
import { cropImage } from "./person.js";
import { may, state } from "./state.js";
import { REVIEW_REASONS, figure, inWords, nameOf } from "./words.js";

const PAGE = 20;
const LOOK_AGAIN_MS = 15_000;
const HEADINGS = ["Who it may be", "Why", "From", "Since", "State"];
const STATES = { open: "Nobody has it", claimed: "Somebody has it", decided: "Decided" };
const VERDICTS = { same: "the same person", different: "somebody else", unsure: "not sure" };

export function reviews() {
  const gallery = state.gallery;
  const names = new Map();
  const content = h("div", {});
  const told = h("p", { role: "status", class: "hint" }, "Loading …");
  const chosen = h("select", {}, Object.entries(STATES).map(([value, text]) => h("option", { value }, text)));
  const more = h("button", { type: "button" }, "Show more");
  const body = table("Reviews", HEADINGS, []);
  const rows = body.querySelector("tbody");
  const element = h(
    "section",
    {},
    h("h1", { tabindex: "-1" }, "Reviews"),
    h("p", {}, `Faces in ${gallery} that the machine did not decide on. Look at both before you do.`),
    h("div", { class: "filters" }, field("Show", chosen)),
    told,
    content,
    h("div", { class: "actions" }, more),
  );
  let cursor = null;
  let asked = 0;
  more.hidden = true;
  chosen.addEventListener("change", reload);
  more.addEventListener("click", () => run(more, () => next(asked), failed));
  const timer = setInterval(() => {
    // Whoever reads on further pages, in a dialog or with the keyboard is left in peace.
    const busy = document.hidden || document.querySelector("dialog") || rows.contains(document.activeElement);
    if (!busy && rows.children.length <= PAGE) reload();
  }, LOOK_AGAIN_MS);
  reload();

  function reload() {
    cursor = null;
    return next((asked += 1)).catch(failed);
  }

  /** After a decision the next face is one press away. */
  async function goOn() {
    await reload();
    (rows.querySelector("button") ?? element.querySelector("h1")).focus();
  }

  async function next(mine) {
    const first = cursor === null;
    const query = new URLSearchParams({ gallery, state: chosen.value, limit: PAGE, ...(cursor && { cursor }) });
    const page = await ask("GET", `v1/reviews?${query}`);
    await Promise.all(page.reviews.map(learnName));
    if (mine !== asked) return;
    cursor = page.next_cursor;
    more.hidden = cursor === null;
    const made = page.reviews.map(reviewRow);
    if (first) rows.replaceChildren(...made);
    else rows.append(...made);
    told.textContent = rows.children.length === 0 ? "" : `${cursor ? "The first " : ""}${count(rows.children.length, "face")}, the oldest first.`;
    content.replaceChildren(rows.children.length === 0 ? h("p", {}, chosen.value === "open" ? "Nothing waits for a look." : "There is none.") : body);
  }

  async function learnName({ subject_id }) {
    if (names.has(subject_id)) return;
    const subject = await ask("GET", `v1/galleries/${part(gallery)}/subjects/${part(subject_id)}`).catch((error) => {
      // Removed meanwhile; the review goes, too.
      if (error.status === 404) return { name: "somebody who was removed" };
      throw error;
    });
    names.set(subject_id, nameOf(subject));
  }

  function reviewRow(review) {
    const name = names.get(review.subject_id);
    const compare = h("button", { type: "button", class: "quiet", "aria-label": `Compare with ${name}` }, "Compare");
    compare.addEventListener("click", () => run(compare, () => take(review, name), failed));
    return row(
      HEADINGS,
      name,
      `${figure(review.similarity)}: ${inWords(review.reasons, REVIEW_REASONS)}`,
      review.source ?? "",
      when(review.created_at),
      review.state === "decided" ? `${VERDICTS[review.verdict]} (${review.decided_by})` : mayTake(review) ? compare : `with ${review.claimed_by}`,
    );
  }

  function mayTake(review) {
    return review.state === "open" || review.claimed_by === state.session.key_id;
  }

  async function take(review, name) {
    const taken = await ask("POST", `v1/reviews/${part(review.id)}/claim`);
    openReview(taken, name, goOn);
  }

  function failed(error) {
    told.textContent = "";
    content.replaceChildren(againBox(error, reload));
  }

  return { element, stop: () => clearInterval(timer) };
}

/** The two faces side by side, and what a person says of them. */
function openReview(review, name, ended) {
  const path = `v1/reviews/${part(review.id)}`;
  const problem = h("div", {});
  const failed = (error) => problem.replaceChildren(errorBox(error));
  let decided = false;
  const buttons = Object.entries({ same: "Same person", different: "Somebody else", unsure: "Not sure" }).map(([verdict, text]) => {
    const button = h("button", { type: "button" }, text);
    const decide = async () => {
      await ask("POST", `${path}/decision`, { json: { verdict } });
      decided = true;
      dialog.close();
    };
    button.addEventListener("click", () => run(button, decide, failed));
    return button;
  });
  const dialog = openDialog(
    `Is this ${name}?`,
    pairOf(review, name, path),
    h("p", {}, `Similarity ${figure(review.similarity)}: ${inWords(review.reasons, REVIEW_REASONS)}.`),
    h("p", { class: "hint" }, [review.source && `From ${review.source}`, when(review.created_at), `face ${review.face + 1} of the photo`, review.request_id && `request ${review.request_id}`].filter(Boolean).join(", ")),
    h("p", {}, `You have it alone until ${when(review.claimed_until)}. What you say is final; it enrolls nobody.`),
    problem,
    h("div", { class: "actions" }, buttons, h("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Give it back")),
  );
  dialog.addEventListener("close", () => {
    // Where this fails the claim ends by itself a little later.
    const back = decided ? Promise.resolve() : ask("DELETE", `${path}/claim`).catch(() => {});
    back.then(ended);
  });
}

function pairOf(review, name, path) {
  const crops = state.session.features.includes("crops") && may("see_crops");
  if (!crops) {
    return h("p", {}, "This service keeps no faces. Compare the person who stands there, or your own picture of that moment.");
  }
  const people = `v1/galleries/${part(review.gallery)}`;
  async function candidateCrop() {
    const { templates } = await ask("GET", `${people}/subjects/${part(review.subject_id)}/templates?limit=100`);
    const newest = templates.at(-1);
    return newest ? cropImage(`${people}/templates/${part(newest.id)}/crop`, `Enrolled face of ${name}`) : h("span", {}, "No photo is left.");
  }
  const side = (caption, coming) => {
    const place = h("div", { class: "crop" }, "Loading …");
    coming.then(
      (picture) => place.replaceWith(picture),
      (error) => (place.textContent = error.code === "crop_not_found" ? "No face is kept of it." : error.message),
    );
    return h("figure", {}, place, h("figcaption", {}, caption));
  };
  return h("div", { class: "pair" }, side("Seen", cropImage(`${path}/crop`, "The face that was seen")), side(`${name}, enrolled`, candidateCrop()));
}
