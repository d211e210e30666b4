// Fields of one's own of a person: names with values, changed as a merge patch.

import { field, h } from "./dom.js";

/** Inputs for metadata; `patch` gives what was changed, null for a field that was taken out. */
export function metadataFields(before) {
  const list = h("div", {});
  let rows = Object.entries(before).map(([name, value]) => madeRow(name, value));
  const add = h("button", { type: "button", class: "quiet" }, "Add a field");
  add.addEventListener("click", () => {
    const fresh = madeRow("", "");
    rows.push(fresh);
    list.append(fresh.element);
    fresh.name.focus();
  });
  list.append(...rows.map((each) => each.element));

  function madeRow(name, value) {
    const named = h("input", { value: name, maxlength: 64, autocomplete: "off" });
    const valued = h("input", { value: String(value), maxlength: 4000, autocomplete: "off" });
    const out = h("button", { type: "button", class: "quiet", "aria-label": `Take out the field ${name}`.trim() }, "Take out");
    const element = h("div", { class: "metadata" }, field("Field", named), field("Value", valued), out);
    const made = { name: named, value: valued, was: value, element };
    out.addEventListener("click", () => {
      rows = rows.filter((each) => each !== made);
      element.remove();
      add.focus();
    });
    return made;
  }

  function patch() {
    const now = new Map(rows.filter((each) => each.name.value.trim()).map((each) => [each.name.value.trim(), asBefore(each)]));
    const gone = Object.keys(before).filter((each) => !now.has(each));
    const changed = [...now].filter(([name, value]) => before[name] !== value || !Object.hasOwn(before, name));
    return Object.fromEntries([...gone.map((each) => [each, null]), ...changed]);
  }

  const element = h(
    "details",
    { open: rows.length > 0 },
    h("summary", {}, "Fields of your own"),
    list,
    add,
  );
  return { element, patch };
}

/** What is typed, as a number or a yes or no where it was one and still reads as one; else text. */
function asBefore({ value, was }) {
  if (value.value === String(was)) return was;
  const text = value.value.trim();
  if (typeof was === "number" && text !== "" && Number.isFinite(Number(text))) return Number(text);
  if (typeof was === "boolean" && (text === "true" || text === "false")) return text === "true";
  return text;
}
