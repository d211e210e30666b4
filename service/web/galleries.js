// The galleries that the key reaches; an admin makes and deletes them.

import { ask, part } from "./api.js";
import { confirmDialog, count, errorBox, field, h, row, run, table, when } from "./dom.js";
import { loadGalleries, may, state } from "./state.js";

export function galleries({ redrawTop }) {
  const manages = may("manage_galleries");
  const list = h("div", { "aria-live": "polite" });
  const element = h("section", {}, h("h1", { tabindex: "-1" }, "Galleries"), list, manages && makeForm());
  const headings = ["Name", "People", "Photos", "Model", "Made", ...(manages ? ["Delete"] : [])];
  draw();
  reload().catch((error) => list.replaceChildren(errorBox(error)));

  function draw() {
    list.replaceChildren(state.galleries.length === 0 ? h("p", {}, "There is none yet.") : table("Galleries", headings, state.galleries.map(galleryRow)));
  }

  function galleryRow(gallery) {
    const remove = h("button", { type: "button", class: "quiet", "aria-label": `Delete ${gallery.name}` }, "Delete");
    remove.addEventListener("click", () =>
      confirmDialog({
        title: `Delete ${gallery.name}?`,
        text: `${count(gallery.num_subjects, "person", "people")} with ${count(gallery.num_templates, "photo")} will be deleted and never matched again. This cannot be undone.`,
        action: "Delete the gallery",
        typed: gallery.name,
        task: async () => {
          await ask("DELETE", `v1/galleries/${part(gallery.name)}`);
          await reload();
        },
      }),
    );
    return row(
      headings,
      gallery.name,
      gallery.num_subjects.toLocaleString(),
      gallery.num_templates.toLocaleString(),
      gallery.model ?? "not installed",
      when(gallery.created_at),
      ...(manages ? [remove] : []),
    );
  }

  async function reload() {
    await loadGalleries();
    draw();
    redrawTop();
  }

  function makeForm() {
    const name = h("input", { required: true, maxlength: 255, autocomplete: "off", spellcheck: "false", pattern: "[A-Za-z0-9._\\-]+", title: "Letters, digits, dots, hyphens and underscores" });
    const model = h("select", {}, h("option", { value: "" }, "The default one"));
    const problem = h("div", {});
    const failed = (error) => problem.replaceChildren(errorBox(error));
    const button = h("button", { type: "submit", class: "primary" }, "Make the gallery");
    ask("GET", "v1/models").then(({ models }) => {
      model.append(...models.filter((each) => !each.default).map((each) => h("option", { value: each.fingerprint }, each.name)));
    }, failed);
    const submit = (event) => {
      event.preventDefault();
      problem.replaceChildren();
      run(button, make, failed);
    };

    async function make() {
      await ask("POST", "v1/galleries", { json: { name: name.value, model: model.value || null } });
      name.value = "";
      await reload();
    }

    return h(
      "form",
      { class: "panel", on: { submit } },
      h("h2", {}, "A new gallery"),
      field("Name", name, "Letters, digits, dots, hyphens and underscores."),
      field("Model", model, "A gallery keeps its model for good."),
      problem,
      h("div", { class: "actions" }, button),
    );
  }

  return { element };
}
