// The frame: signing in and out, the views, and the gallery that they work in.

import { ask } from "./api.js";
import { about } from "./about.js";
import { audit } from "./audit.js";
import { enroll } from "./enroll.js";
import { errorBox, field, h, run } from "./dom.js";
import { galleries } from "./galleries.js";
import { identify } from "./identify.js";
import { keys } from "./keys.js";
import { people } from "./people.js";
import { reviews } from "./reviews.js";
import { chooseGallery, galleryNames, loadGalleries, may, readAddress, state } from "./state.js";

/** `within`: the view works in the gallery that is chosen above it. */
const VIEWS = [
  { name: "identify", title: "Identify", make: identify, permission: "identify", within: true },
  { name: "reviews", title: "Reviews", make: reviews, permission: "review", within: true },
  { name: "enroll", title: "Enroll", make: enroll, permission: "enroll", within: true },
  { name: "people", title: "People", make: people, permission: "read_subjects", within: true },
  { name: "galleries", title: "Galleries", make: galleries, permission: "read_galleries" },
  { name: "keys", title: "Keys", make: keys, permission: "manage_keys" },
  { name: "audit", title: "Audit log", make: audit, permission: "read_audit" },
  { name: "about", title: "About", make: about, permission: null },
];

const top = document.getElementById("top");
const main = document.getElementById("main");
let shown = null;

function show(view, { focus = true } = {}) {
  shown?.stop?.();
  shown = view;
  main.replaceChildren(view.element);
  if (focus) main.querySelector("h1")?.focus();
  window.scrollTo(0, 0);
}

function signInView(problem = null) {
  const input = h("input", {
    type: "password",
    name: "key",
    required: true,
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
  });
  const button = h("button", { type: "submit", class: "primary" }, "Sign in");
  const problems = h("div", {}, problem);
  const form = h(
    "form",
    {
      on: {
        submit: (event) => {
          event.preventDefault();
          problems.replaceChildren();
          run(button, signIn, (error) => {
            problems.replaceChildren(errorBox(error));
            input.focus();
          });
        },
      },
    },
    field("Key", input, "Begins with fg_. It is traded for a session and is not kept in this browser."),
    problems,
    button,
  );

  async function signIn() {
    const key = input.value.trim();
    input.value = "";
    state.session = await ask("POST", "session", { json: { key } });
    await begin();
  }

  const element = h(
    "section",
    { class: "sign-in" },
    h("h1", { tabindex: "-1" }, "FaceGallery"),
    h("p", {}, "Sign in with a key to see who is in a photo."),
    form,
    h("p", { class: "warning" }, WARNING),
  );
  return { element, ready: () => input.focus() };
}

const WARNING =
  "There is no liveness detection: a printed photo may pass as the person. Never let a match alone open a door.";

function askForKey(problem = null) {
  state.session = null;
  state.galleries = null;
  state.toEnroll = null;
  top.hidden = true;
  top.replaceChildren();
  document.title = "Sign in · FaceGallery";
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  const view = signInView(problem);
  show(view, { focus: false });
  view.ready();
}

async function signOut() {
  await ask("DELETE", "session");
  askForKey(h("p", { role: "status" }, "You are signed out."));
}

function allowedViews() {
  return VIEWS.filter((each) => {
    if (each.name === "keys" && state.session.galleries !== null) return false;
    if (each.name === "reviews" && !state.session.features.includes("reviews")) return false;
    return each.permission === null || may(each.permission);
  });
}

function galleryChooser(view) {
  if (!view.within) return null;
  const names = galleryNames();
  const input =
    names === null
      ? h("input", { value: state.gallery, maxlength: 255, spellcheck: "false", autocapitalize: "none" })
      : h("select", {}, names.map((each) => h("option", { value: each, selected: each === state.gallery }, each)));
  input.addEventListener("change", () => {
    chooseGallery(input.value.trim() || "default");
    route({ focus: false });
  });
  const chooser = field("Gallery", input);
  chooser.classList.add("chooser");
  return chooser;
}

function drawTop(current) {
  top.hidden = false;
  top.replaceChildren(
    h("a", { class: "brand", href: "#identify" }, "FaceGallery"),
    h(
      "nav",
      { "aria-label": "Views" },
      allowedViews().map((each) =>
        h(
          "a",
          {
            href: `#${each.name}`,
            "aria-current": each === current ? "page" : null,
            // The address does not change then, so nothing else would: the view begins anew.
            on: { click: () => location.hash === `#${each.name}` && route() },
          },
          each.title,
        ),
      ),
    ),
    h(
      "div",
      { class: "who" },
      galleryChooser(current),
      h("span", { class: "role", title: `key ${state.session.key_id}` }, state.session.role),
      h("button", { type: "button", class: "quiet", on: { click: signOutClicked } }, "Sign out"),
    ),
  );
}

function signOutClicked(event) {
  run(event.currentTarget, signOut, (error) => main.prepend(errorBox(error)));
}

function route({ focus = true } = {}) {
  if (state.session === null) return;
  const views = allowedViews();
  const view = views.find((each) => `#${each.name}` === location.hash) ?? views[0];
  document.title = `${view.title} · FaceGallery`;
  drawTop(view);
  // On a narrow screen the views are a strip that is wider than the screen.
  top.querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
  show(view.make({ refresh: () => route({ focus: false }), redrawTop: () => drawTop(view) }), { focus });
}

async function begin() {
  await loadGalleries();
  route();
}

window.addEventListener("hashchange", () => {
  if (location.hash !== "#main") route();
});
window.addEventListener("signed-out", (event) => {
  if (state.session !== null) askForKey(errorBox(event.detail));
});
// A photo that misses the place for it must not replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());

readAddress();
try {
  state.session = await ask("GET", "session");
  await begin();
} catch (error) {
  askForKey(error.status === 401 || error.status === 403 ? null : errorBox(error));
}
