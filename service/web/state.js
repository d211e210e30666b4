// Who is signed in, and in which gallery they work.

import { askAll } from "./api.js";

export const state = {
  /** The answer of `GET session`; null while nobody is signed in. */
  session: null,
  gallery: "default",
  /** What the key reaches; null where the role may not list them. */
  galleries: null,
  /** A face that Identify hands to Enroll: `{file, box}`. */
  toEnroll: null,
};

export function may(permission) {
  return state.session?.permissions.includes(permission) ?? false;
}

/** Looks up the galleries, and chooses one that is there. */
export async function loadGalleries() {
  if (may("read_galleries")) {
    state.galleries = await askAll("v1/galleries", "galleries");
  } else {
    state.galleries = null;
  }
  const names = galleryNames();
  if (names !== null && names.length > 0 && !names.includes(state.gallery)) chooseGallery(names[0]);
}

/** Names to choose from; null where any may be typed. */
export function galleryNames() {
  return state.galleries?.map((each) => each.name) ?? state.session?.galleries ?? null;
}

/** Stands in the address, so that a desk can bookmark its gallery. */
export function chooseGallery(name) {
  state.gallery = name;
  const url = new URL(location.href);
  url.searchParams.set("gallery", name);
  history.replaceState(history.state, "", url);
}

export function readAddress() {
  state.gallery = new URLSearchParams(location.search).get("gallery") ?? "default";
}
