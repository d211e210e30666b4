// Makes elements. Text is always a text node: there is no way from a name to markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element; `on` holds listeners, other properties become attributes, children text or nodes. */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...children.flat(Infinity).filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

/** A button that runs a task: it cannot be pressed twice, and errors of the task go to `failed`. */
export function taskButton(text, task, { kind = "", failed, ...rest } = {}) {
  const button = h("button", { type: "button", class: kind, ...rest }, text);
  button.addEventListener("click", () => run(button, task, failed));
  return button;
}

/** Runs a task while its button is disabled; a form's listener uses it, too. */
export async function run(button, task, failed) {
  if (button.getAttribute("aria-disabled") === "true") return;
  // Not `disabled`, which would throw the focus away.
  button.setAttribute("aria-disabled", "true");
  button.classList.add("busy");
  try {
    await task();
  } catch (error) {
    failed(error);
  } finally {
    button.removeAttribute("aria-disabled");
    button.classList.remove("busy");
  }
}

let numFields = 0;
let numDialogs = 0;

/** A labelled input; `hint` is read with it. */
export function field(label, input, hint = null) {
  const id = `field-${(numFields += 1)}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    input,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
  );
}

/** A message that screen readers read at once. */
export function alertBox(title, ...children) {
  return h("div", { class: "alert", role: "alert" }, h("strong", {}, title), ...children);
}

/** Shows an error's own words. */
export function errorBox(error, ...children) {
  if (error.name !== "Problem") console.error(error);
  return alertBox(error.name === "Problem" ? capital(error.message) : "The page failed; reload it.", ...children);
}

/** Shows an error in place of what could not be loaded, with a button that tries again. */
export function againBox(error, again) {
  const button = h("button", { type: "button" }, "Try again");
  const box = errorBox(error, h("div", { class: "actions" }, button));
  button.addEventListener("click", () => {
    box.replaceWith(h("p", {}, "Loading …"));
    again();
  });
  return box;
}

/** A dialog over the page; it is gone once it is closed. */
export function openDialog(title, ...children) {
  // One may lie over another.
  const id = `dialog-${(numDialogs += 1)}`;
  const dialog = h(
    "dialog",
    { "aria-labelledby": id },
    h("h2", { id }, title),
    ...children,
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks before something that cannot be undone; `typed` must be written to go on. */
export function confirmDialog({ title, text, action, task, typed = null }) {
  const problem = h("div", {});
  const input = h("input", { autocomplete: "off", spellcheck: "false" });
  const go = taskButton(
    action,
    async () => {
      if (typed !== null && input.value !== typed) {
        throw new Problem("what you typed is not the name", "typed");
      }
      await task();
      dialog.close();
    },
    { kind: "danger", failed: (error) => problem.replaceChildren(errorBox(error)) },
  );
  const cancel = h("button", { type: "button", autofocus: true, on: { click: () => dialog.close() } }, "Cancel");
  const dialog = openDialog(
    title,
    h("p", {}, text),
    typed !== null && field(`Type ${typed} to go on`, input),
    problem,
    h("div", { class: "actions" }, cancel, go),
  );
}

/** An error that is told in its own words. */
export class Problem extends Error {
  constructor(detail, code, { status = 0, reasons = [] } = {}) {
    super(detail);
    this.name = "Problem";
    this.code = code;
    this.status = status;
    this.reasons = reasons;
  }
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "1 photo", "3 photos". */
export function count(number, one, several = `${one}s`) {
  return `${number.toLocaleString()} ${number === 1 ? one : several}`;
}

/** The last second of a day here, of a field for dates; null where that is empty. */
export function endOfDay(date) {
  return date ? new Date(`${date}T23:59:59`).toISOString() : null;
}

/** The day here of a time, as a field for dates has it; empty without one. */
export function dayOf(iso) {
  if (!iso) return "";
  const at = new Date(iso);
  const two = (number) => String(number).padStart(2, "0");
  return `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** A time as people write it here. */
export function when(iso, timeStyle = "short") {
  return iso ? new Date(iso).toLocaleString([], { dateStyle: "medium", timeStyle }) : "never";
}

/**
 * A table; the first cell of each row is its heading. Roles are said, since a narrow screen shows
 * the rows as blocks, and browsers then forget them.
 */
export function table(caption, headings, rows) {
  return h(
    "div",
    { class: "table" },
    h(
      "table",
      { role: "table", "aria-label": caption },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, headings.map((each) => h("th", { role: "columnheader" }, each)))),
      h("tbody", { role: "rowgroup" }, rows),
    ),
  );
}

/** One row of a table with these headings. */
export function row(headings, first, ...cells) {
  return h(
    "tr",
    { role: "row" },
    h("th", { role: "rowheader" }, first),
    cells.map((each, index) => h("td", { role: "cell", "data-heading": headings[index + 1] }, each)),
  );
}
