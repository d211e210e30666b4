// What a user must know: the limits, the model, and the session.

import { ask } from "./api.js";
import { errorBox, h, when } from "./dom.js";
import { may, state } from "./state.js";

export function about() {
  const models = h("div", {}, h("p", {}, "Loading …"));
  const session = state.session;
  const element = h(
    "section",
    { class: "about" },
    h("h1", { tabindex: "-1" }, "About"),
    h(
      "div",
      { class: "warning" },
      h("h2", {}, "Read this first"),
      h(
        "ul",
        {},
        h("li", {}, h("strong", {}, "There is no liveness detection."), " A printed photo, or one on a phone, may pass as the person. Never let a match be the only factor at a door."),
        h("li", {}, "A match can be wrong, and so can an unknown. Let a person look before something happens to somebody."),
        h("li", {}, "It does not work equally well for every group of people."),
        h("li", {}, "Templates of faces are biometric data. Whether you may keep them is a question of the law where you are."),
      ),
    ),
    h("h2", {}, "What happens to photos"),
    h("p", {}, "They go from this browser to your own service, are compared, and are not stored. An enroll keeps a template of the face. Nothing is sent anywhere else."),
    h("h2", {}, "You"),
    h("dl", {}, h("dt", {}, "Key"), h("dd", {}, h("code", {}, session.key_id)), h("dt", {}, "Role"), h("dd", {}, session.role), h("dt", {}, "Signed in until"), h("dd", {}, when(session.expires_at))),
    h("h2", {}, "Models"),
    models,
    h("p", {}, "Programs use the same service: ", h("a", { href: "docs" }, "API docs"), "."),
  );
  if (may("read_galleries")) {
    ask("GET", "v1/models").then(
      (answer) => models.replaceChildren(...answer.models.map(modelCard)),
      (error) => models.replaceChildren(errorBox(error)),
    );
  } else {
    models.replaceChildren(h("p", {}, "An operator's key shows the models, their licences and their accuracy."));
  }
  return { element };
}

function modelCard(model) {
  return h(
    "article",
    { class: "panel" },
    h("h3", {}, model.name, model.default && h("span", { class: "hint" }, " (for new galleries)")),
    h("p", {}, model.licence),
    h("details", { open: model.default }, h("summary", {}, "Measured accuracy"), figures(model.accuracy)),
    h("p", { class: "hint fingerprint" }, model.fingerprint),
  );
}

function inWords(name) {
  const words = name.replace(/^num_/, "number_of_").replaceAll("_", " ");
  return words.replace(/\b(lfw|tar|far|fpir|fnir)\b/g, (each) => each.toUpperCase());
}

/** Figures of a card, whatever they are called there. */
function figures(values) {
  return h(
    "dl",
    { class: "figures" },
    Object.entries(values).map(([name, value]) => {
      const several = value !== null && typeof value === "object" && !Array.isArray(value);
      const kind = several ? "group" : null;
      return [h("dt", { class: kind }, inWords(name)), h("dd", { class: kind }, several ? figures(value) : String(value))];
    }),
  );
}
