// The people of a gallery: listed page by page, searched, opened and removed.

import { ask, part } from "./api.js";
import { againBox, count, field, h, row, run, table, when } from "./dom.js";
import { openPerson, removePerson } from "./person.js";
import { may, state } from "./state.js";
import { nameOf } from "./words.js";

const PAGE = 100;
const SEARCH_PAGE = 1000;
const MOST_HITS = 100;
const HEADINGS = ["Name", "Your own id", "Photos", "Enrolled", "Erased on", "Remove"];

/** A search looks through so many people; who comes later is found by the whole name or id. */
const MOST_SEARCHED = 20_000;

export function people() {
  const gallery = state.gallery;
  const base = `v1/galleries/${part(gallery)}/subjects`;
  const loaded = [];
  let cursor = null;
  let begun = false;
  let numShown = 0;
  let searching = 0;
  let shown = [];

  const body = table("People", HEADINGS, []);
  const rows = body.querySelector("tbody");
  const content = h("div", {});
  const told = h("p", { role: "status", class: "hint" });
  const input = h("input", { type: "search", maxlength: 255, autocomplete: "off", spellcheck: "false" });
  const more = h("button", { type: "button" }, "Show more");
  const element = h(
    "section",
    {},
    h("h1", { tabindex: "-1" }, "People"),
    h("div", { class: "search", role: "search" }, field(`Find in ${gallery}`, input)),
    told,
    content,
    h("div", { class: "actions" }, more),
  );
  more.hidden = true;
  more.addEventListener("click", () => run(more, showMore, failed));
  input.addEventListener("input", () => search().catch(failed));
  begin();

  function begin() {
    told.textContent = "Loading …";
    run(more, showMore, failed);
  }

  async function load(limit) {
    const query = new URLSearchParams({ limit, ...(cursor && { cursor }) });
    const page = await ask("GET", `${base}?${query}`);
    begun = true;
    cursor = page.next_cursor;
    // Two searches may have asked for the same page.
    const known = new Set(loaded.map((each) => each.id));
    loaded.push(...page.subjects.filter((each) => !known.has(each.id)));
  }

  async function showMore() {
    if (numShown >= loaded.length && (cursor !== null || !begun)) await load(PAGE);
    numShown = Math.min(loaded.length, numShown + PAGE);
    drawList();
  }

  function drawList() {
    numShown = Math.min(numShown, loaded.length);
    const all = cursor === null && numShown === loaded.length;
    draw(loaded.slice(0, numShown), "Nobody is enrolled here yet.");
    more.hidden = all;
    if (loaded.length === 0) told.textContent = "";
    else told.textContent = all ? `${count(numShown, "person", "people")}, in the order of their enrollment.` : `The first ${numShown.toLocaleString()}, in the order of their enrollment.`;
  }

  function draw(subjects, nobody) {
    shown = subjects;
    rows.replaceChildren(...subjects.map(personRow));
    content.replaceChildren(subjects.length === 0 ? h("p", {}, nobody) : body);
  }

  /** Shows whose name or id holds what is typed, as soon as they are found; a newer search ends an older one. */
  async function search() {
    const mine = (searching += 1);
    const wanted = folded(input.value.trim());
    if (wanted === "") return begun ? drawList() : begin();
    more.hidden = true;
    const found = () => loaded.filter((each) => folded(each.name ?? "").includes(wanted) || folded(each.external_id ?? "").includes(wanted));
    // Whoever still types waits for nothing.
    await new Promise((done) => setTimeout(done, 150));
    while (searching === mine && found().length <= MOST_HITS && (cursor !== null || !begun) && loaded.length < MOST_SEARCHED) {
      showFound(found(), `Looked through ${loaded.length.toLocaleString()} …`);
      await load(SEARCH_PAGE);
    }
    if (searching !== mine) return;
    const hits = found();
    if (cursor === null || hits.length > MOST_HITS) return showFound(hits);
    const exact = (await exactly(input.value.trim())).filter((each) => !hits.some((hit) => hit.id === each.id));
    if (searching === mine) showFound([...hits, ...exact], `There are more than ${MOST_SEARCHED.toLocaleString()} people here: those after them are found by their whole name or id alone.`);
  }

  async function exactly(text) {
    const asked = ["name", "external_id"].map((each) => ask("GET", `${base}?${new URLSearchParams({ [each]: text })}`));
    return (await Promise.all(asked)).flatMap((each) => each.subjects);
  }

  function showFound(hits, progress = "") {
    draw(hits.slice(0, MOST_HITS), progress ? "Nobody yet." : "Nobody here has this in the name or id.");
    const many = hits.length > MOST_HITS ? "More than " : "";
    told.textContent = [hits.length > 0 && `${many}${count(Math.min(hits.length, MOST_HITS), "person", "people")} found.`, progress].filter(Boolean).join(" ");
  }

  function personRow(subject) {
    const open = h("button", { type: "button", class: "link", "aria-haspopup": "dialog" }, nameOf(subject));
    open.addEventListener("click", () => {
      const dialog = openPerson(gallery, subject, { changed, removed });
      dialog.addEventListener("close", () => comeBack(subject));
    });
    const remove = h("button", { type: "button", class: "quiet", "aria-label": `Remove ${nameOf(subject)}` }, "Remove");
    remove.addEventListener("click", () => removePerson(gallery, subject, { removed }));
    return row(
      HEADINGS,
      open,
      subject.external_id ?? "",
      subject.num_templates.toLocaleString(),
      when(subject.created_at),
      subject.expires_at ? when(subject.expires_at) : "",
      may("remove") ? remove : "",
    );
  }

  function changed(subject) {
    const place = loaded.findIndex((each) => each.id === subject.id);
    if (place >= 0) loaded[place] = subject;
    redraw();
  }

  function removed(subject) {
    const place = loaded.findIndex((each) => each.id === subject.id);
    if (place >= 0) loaded.splice(place, 1);
    redraw();
    // The row that had the focus is gone.
    element.querySelector("h1").focus();
  }

  /** Where a row was drawn anew meanwhile, the button that had the focus is another one now. */
  function comeBack(subject) {
    const place = shown.findIndex((each) => each.id === subject.id);
    if (place >= 0 && document.activeElement === document.body) rows.children[place].querySelector("button").focus();
  }

  function redraw() {
    if (input.value.trim() === "") drawList();
    else search().catch(failed);
  }

  function failed(error) {
    told.textContent = "";
    content.replaceChildren(againBox(error, () => (input.value.trim() === "" ? begin() : search().catch(failed))));
  }

  return { element, stop: () => (searching += 1) };
}

/** Text in which letter case and accents do not count. */
function folded(text) {
  return text.normalize("NFD").replace(/\p{Mark}/gu, "").toLowerCase();
}
