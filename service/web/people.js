// The people of a gallery, page by page, and their removal.

import { ask, part, save } from "./api.js";
import { confirmDialog, count, errorBox, h, openDialog, row, run, table, when } from "./dom.js";
import { may, state } from "./state.js";
import { nameOf } from "./words.js";

const PAGE = 100;
const HEADINGS = ["Name", "Your own id", "Photos", "Enrolled", "Remove"];

export function people() {
  const gallery = state.gallery;
  const base = `v1/galleries/${part(gallery)}/subjects`;
  const content = h("div", { "aria-live": "polite" });
  const body = table("People", HEADINGS, []);
  const rows = body.querySelector("tbody");
  const more = h("button", { type: "button" }, "Show more");
  const element = h(
    "section",
    {},
    h("h1", { tabindex: "-1" }, "People"),
    h("p", {}, `In the gallery ${gallery}, in the order of their enrollment.`),
    content,
    h("div", { class: "actions" }, more),
  );
  let cursor = null;
  more.addEventListener("click", () => run(more, next, failed));
  more.hidden = true;
  run(more, next, failed);

  async function next() {
    const query = new URLSearchParams({ limit: PAGE, ...(cursor && { cursor }) });
    const page = await ask("GET", `${base}?${query}`);
    cursor = page.next_cursor;
    rows.append(...page.subjects.map(personRow));
    more.hidden = cursor === null;
    draw();
  }

  function draw() {
    content.replaceChildren(rows.children.length === 0 ? h("p", {}, "Nobody is enrolled here yet.") : body);
  }

  function personRow(subject) {
    const remove = h("button", { type: "button", class: "quiet", "aria-label": `Remove ${nameOf(subject)}` }, "Remove");
    const line = row(
      HEADINGS,
      nameOf(subject),
      subject.external_id ?? "",
      subject.num_templates.toLocaleString(),
      when(subject.created_at),
      may("remove") ? remove : "",
    );
    remove.addEventListener("click", () =>
      confirmDialog({
        title: `Remove ${nameOf(subject)}?`,
        text: "The person is never matched again, and what was stored of the face is erased. This cannot be undone.",
        action: "Remove",
        task: async () => {
          const erased = await ask("DELETE", `${base}/${part(subject.id)}`);
          line.remove();
          draw();
          showReceipt(subject, erased);
        },
      }),
    );
    return line;
  }

  function failed(error) {
    content.replaceChildren(errorBox(error));
  }

  return { element };
}

function showReceipt(subject, erased) {
  const file = `erasure-${subject.id}.json`;
  const keep = h("button", { type: "button", class: "primary", on: { click: () => save(file, JSON.stringify(erased.receipt, null, 2)) } }, "Save the receipt");
  const dialog = openDialog(
    `${nameOf(subject)} is removed`,
    h("p", {}, `${count(erased.num_templates, "template")} went. The last bytes leave the disk a little later, usually by ${when(erased.receipt.content.purge_due_at)}.`),
    h("p", {}, "The signed receipt proves the removal. It holds ids and times, not the name."),
    h("div", { class: "actions" }, keep, h("button", { type: "button", on: { click: () => dialog.close() } }, "Close")),
  );
}
