// The audit log: who did what, when, and how it went.

import { ask, download } from "./api.js";
import { againBox, count, errorBox, field, h, row, run, table, when } from "./dom.js";
import { state } from "./state.js";

const PAGE = 100;
/** Where few entries are wanted of many, so many empty pages are passed by before somebody is asked. */
const MOST_EMPTY_PAGES = 20;
const HEADINGS = ["Number", "When", "Who", "What", "How it went", "Gallery", "About"];
const KINDS = [
  ["Everything", {}],
  ["Refusals", { refused: "true" }],
  ["People enrolled, changed, removed", { action: "subject" }],
  ["Single photos of people", { action: "template" }],
  ["Identifications", { action: "identify" }],
  ["Galleries", { action: "gallery" }],
  ["Keys", { action: "key" }],
  ["Sessions of this page", { action: "session" }],
  ["Reviews", { action: "review" }],
  ["Faces that were shown", { action: "crop" }],
];

export function audit() {
  const names = new Map((state.galleries ?? []).map((each) => [each.id, each.name]));
  const kind = h("select", {}, KINDS.map(([text], index) => h("option", { value: index }, text)));
  const order = h("select", {}, h("option", { value: "true" }, "Newest first"), h("option", { value: "false" }, "Oldest first"));
  const actor = h("input", { maxlength: 64, autocomplete: "off", spellcheck: "false", autocapitalize: "none" });
  const told = h("p", { role: "status", class: "hint" });
  const content = h("div", {});
  const body = table("Audit log", HEADINGS, []);
  const rows = body.querySelector("tbody");
  const more = h("button", { type: "button" }, "Show more");
  const show = h("button", { type: "submit" }, "Show");
  const form = h("form", { class: "filters" }, field("What", kind), field("Id of a key", actor), field("Order", order), show);
  const element = h(
    "section",
    {},
    h("h1", { tabindex: "-1" }, "Audit log"),
    form,
    told,
    content,
    h("div", { class: "actions" }, more),
    exportPanel(),
  );
  let cursor = null;
  let asked = 0;
  more.hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    reload();
  });
  for (const input of [kind, order]) input.addEventListener("change", reload);
  more.addEventListener("click", () => run(more, () => next(asked), failed));
  reload();

  function reload() {
    asked += 1;
    cursor = null;
    rows.replaceChildren();
    told.textContent = "Loading …";
    next(asked).catch(failed);
  }

  async function next(mine) {
    for (let page = 0; page < MOST_EMPTY_PAGES; page += 1) {
      const actorId = actor.value.trim();
      const query = new URLSearchParams({
        limit: PAGE,
        newest_first: order.value,
        ...KINDS[kind.value][1],
        ...(actorId && { actor: actorId }),
        ...(cursor && { cursor }),
      });
      const answer = await ask("GET", `v1/audit?${query}`);
      if (mine !== asked) return;
      cursor = answer.next_cursor;
      rows.append(...answer.entries.map(entryRow));
      if (cursor === null || answer.entries.length > 0) break;
    }
    more.hidden = cursor === null;
    const number = rows.children.length;
    content.replaceChildren(number > 0 ? body : h("p", {}, cursor === null ? "There is no such entry." : "None among those that were looked at so far."));
    told.textContent = number === 0 ? "" : `${count(number, "entry", "entries")}${cursor === null ? ", all there are" : ""}.`;
  }

  function entryRow(entry) {
    return row(
      HEADINGS,
      entry.number.toLocaleString(),
      h("time", { datetime: entry.at, title: entry.at }, when(entry.at, "medium")),
      h("code", {}, entry.actor),
      h("code", {}, entry.action),
      entry.outcome === "done" ? "done" : h("strong", {}, entry.outcome.replaceAll("_", " ")),
      entry.gallery_id === null ? "" : (names.get(entry.gallery_id) ?? h("code", { title: entry.gallery_id }, entry.gallery_id.slice(0, 8))),
      aboutWhat(entry),
    );
  }

  function failed(error) {
    told.textContent = "";
    more.hidden = true;
    content.replaceChildren(againBox(error, reload));
  }

  return { element, stop: () => (asked += 1) };
}

/** Counts of an entry, and what stands for its people. */
function aboutWhat({ facts, subjects }) {
  const told = Object.entries(facts).map(([name, value]) => `${name.replace(/^num_/, "").replaceAll("_", " ")}: ${value}`);
  if (told.length === 0 && subjects.length === 0) return "";
  return h("div", { class: "facts" }, told.join(", "), subjects.slice(0, 3).map((each) => h("div", {}, h("code", {}, each))), subjects.length > 3 && h("div", {}, `and ${count(subjects.length - 3, "other")}`));
}

function exportPanel() {
  const problem = h("div", {});
  const button = h("button", { type: "button" }, "Save the whole log");
  const go = () => download("v1/audit/export", `audit-${new Date().toISOString().slice(0, 10)}.jsonl`);
  button.addEventListener("click", () => run(button, go, (error) => problem.replaceChildren(errorBox(error))));
  const tied = state.session.galleries !== null;
  return h(
    "div",
    { class: "panel" },
    h("h2", {}, "Was it changed?"),
    h("p", {}, "Each entry's code covers the one before. Following them needs the secret of the data folder, so it is done there, not here:"),
    h("p", {}, h("code", {}, "facegallery-index audit verify --file audit.jsonl")),
    h("p", { class: "hint" }, tied ? "This key is tied to galleries, so it reads a part of the log alone, which cannot be followed." : "Keep what you save elsewhere: an old log contradicts one that was written anew."),
    problem,
    h("div", { class: "actions" }, button),
  );
}
