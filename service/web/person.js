// One person: what is kept besides the face, changed and removed.

import { ask, part, save } from "./api.js";
import { confirmDialog, count, dayOf, endOfDay, errorBox, field, h, openDialog, run, when } from "./dom.js";
import { metadataFields } from "./metadata.js";
import { may, state } from "./state.js";
import { figure, nameOf } from "./words.js";

const NOTHING = () => {};

/** Opens a person in a dialog; `changed` hears of the new state, `removed` that they are gone. */
export function openPerson(gallery, subject, { changed = NOTHING, removed = NOTHING } = {}) {
  const path = `v1/galleries/${part(gallery)}/subjects/${part(subject.id)}`;
  const content = h("div", {}, h("p", {}, "Loading …"));
  const dialog = openDialog(nameOf(subject), content);
  const failed = (error) => content.replaceChildren(errorBox(error), closing());
  const closing = () => h("div", { class: "actions" }, h("button", { type: "button", on: { click: () => dialog.close() } }, "Close"));
  load().catch(failed);
  return dialog;

  async function load() {
    const found = await ask("GET", path);
    dialog.querySelector("h2").textContent = nameOf(found);
    content.replaceChildren(
      h("p", { class: "hint" }, `In ${gallery} since ${when(found.created_at)}. Id ${found.id}`),
      may("change_subjects") ? form(found) : "",
      photosOf(gallery, found, { path, reload: () => load().then(() => tellChanged()).catch(failed) }),
      h(
        "div",
        { class: "actions spread" },
        may("remove") && h("button", { type: "button", class: "quiet", on: { click: () => removePerson(gallery, found, { removed: gone }) } }, "Remove this person"),
        h("button", { type: "button", on: { click: () => dialog.close() } }, "Close"),
      ),
    );
  }

  async function tellChanged() {
    changed(await ask("GET", path));
  }

  function gone() {
    dialog.close();
    removed(subject);
  }

  function form(found) {
    const text = (value, maxlength) => h("input", { value: value ?? "", maxlength, autocomplete: "off" });
    const inputs = {
      name: text(found.name, 200),
      external_id: text(found.external_id, 255),
      purpose: text(found.purpose, 200),
      consent_reference: text(found.consent_reference, 255),
    };
    const until = h("input", { type: "date", value: dayOf(found.expires_at) });
    const metadata = metadataFields(found.metadata);
    const button = h("button", { type: "submit", class: "primary" }, "Save");
    const told = h("div", { "aria-live": "polite" });

    function patch() {
      const texts = Object.entries(inputs).map(([name, input]) => [name, input.value.trim() || null]);
      const changes = Object.fromEntries(texts.filter(([name, value]) => value !== (found[name] ?? null)));
      if (until.value !== dayOf(found.expires_at)) changes.expires_at = endOfDay(until.value);
      const meta = metadata.patch();
      return Object.keys(meta).length > 0 ? { ...changes, metadata: meta } : changes;
    }

    async function send() {
      const asked = patch();
      if (Object.keys(asked).length > 0) {
        found = await ask("PATCH", path, { json: asked, version: found.version });
        changed(found);
        await load();
      }
      content.querySelector(".saved").replaceChildren(h("p", { role: "status" }, Object.keys(asked).length > 0 ? "Saved." : "Nothing was changed."));
    }

    told.classList.add("saved");
    const submit = (event) => {
      event.preventDefault();
      told.replaceChildren();
      run(button, send, (error) => told.replaceChildren(error.code === "subject_changed" ? changedBox(error) : errorBox(error)));
    };
    const changedBox = (error) => errorBox(error, h("div", { class: "actions" }, h("button", { type: "button", on: { click: () => load().catch(failed) } }, "Show it as it is now")));
    return h(
      "form",
      { on: { submit } },
      h(
        "div",
        { class: "columns" },
        field("Name", inputs.name),
        field("Your own id", inputs.external_id),
        field("Purpose", inputs.purpose, "Why the person is here."),
        field("Consent", inputs.consent_reference, "Where you keep it."),
        field("Erased at the end of", until, "Empty: kept until removed."),
      ),
      metadata.element,
      told,
      h("div", { class: "actions" }, button),
    );
  }
}

/** What is kept of each photo: figures, and the crop where the service keeps those. */
function photosOf(gallery, subject, { path, reload }) {
  const list = h("ul", { class: "crops" }, h("li", {}, "Loading …"));
  const problem = h("div", {});
  ask("GET", `${path}/templates?limit=100`).then(
    ({ templates, next_cursor }) =>
      list.replaceChildren(...templates.map(templateItem), next_cursor ? h("li", { class: "hint" }, "The oldest 100 are shown.") : ""),
    (error) => list.replaceChildren(h("li", {}, errorBox(error))),
  );

  function templateItem(template, index) {
    const name = `photo ${index + 1}`;
    const template_path = `v1/galleries/${part(gallery)}/templates/${part(template.id)}`;
    const remove = h("button", { type: "button", class: "quiet", "aria-label": `Remove ${name}` }, "Remove");
    remove.addEventListener("click", () =>
      confirmDialog({
        title: `Remove ${name} of ${nameOf(subject)}?`,
        text: "It is never matched again. This cannot be undone.",
        action: "Remove",
        task: async () => {
          const erased = await ask("DELETE", template_path);
          await reload();
          showReceipt(`Removed: ${name} of ${nameOf(subject)}`, `erasure-${template.id}.json`, erased);
        },
      }),
    );
    return h(
      "li",
      {},
      shownCrop(`${template_path}/crop`, `Face of ${name}`),
      h("span", { class: "hint" }, `${when(template.created_at)}, quality ${figure(template.quality)}`),
      may("remove") && remove,
    );
  }

  return h("details", {}, h("summary", {}, count(subject.num_templates, "photo")), problem, list);
}

/** A button that shows a kept face: each look stands in the audit log, so none comes by itself. */
function shownCrop(path, alt) {
  if (!state.session.features.includes("crops") || !may("see_crops")) return null;
  const button = h("button", { type: "button", class: "quiet" }, "Show the face");
  const place = h("span", {}, button);
  const failed = (error) => place.replaceChildren(h("span", { class: "hint" }, error.code === "crop_not_found" ? "No face is kept of it." : error.message));
  button.addEventListener("click", () => run(button, async () => place.replaceChildren(await cropImage(path, alt)), failed));
  return place;
}

/** The picture of a kept face. */
export async function cropImage(path, alt) {
  const { png } = await ask("GET", path);
  const bytes = Uint8Array.from(atob(png), (each) => each.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  const image = h("img", { src: url, alt, width: 112, height: 112, class: "crop" });
  image.addEventListener("load", () => URL.revokeObjectURL(url));
  return image;
}

/** Asks, removes a person for good, and offers the receipt. */
export function removePerson(gallery, subject, { removed }) {
  confirmDialog({
    title: `Remove ${nameOf(subject)}?`,
    text: "The person is never matched again, and what was stored of the face is erased. This cannot be undone.",
    action: "Remove",
    task: async () => {
      const erased = await ask("DELETE", `v1/galleries/${part(gallery)}/subjects/${part(subject.id)}`);
      removed(subject);
      showReceipt(`${nameOf(subject)} is removed`, `erasure-${subject.id}.json`, erased);
    },
  });
}

function showReceipt(title, file, erased) {
  const keep = h("button", { type: "button", class: "primary", on: { click: () => save(file, erased.receipt) } }, "Save the receipt");
  const dialog = openDialog(
    title,
    h("p", {}, `${count(erased.num_templates, "template")} went. The last bytes leave the disk a little later, usually by ${when(erased.receipt.content.purge_due_at)}.`),
    h("p", {}, "The signed receipt proves the removal. It holds ids and times, not the name."),
    h("div", { class: "actions" }, keep, h("button", { type: "button", on: { click: () => dialog.close() } }, "Close")),
  );
}
