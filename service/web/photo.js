// Shows a photo of this browser with boxes over it, and takes photos from files, drops and pastes.

import { h } from "./dom.js";
import { DECISIONS, mark, nameOf } from "./words.js";

/** What file dialogs offer; phones then hand over a JPEG. The service goes by the content alone. */
const KINDS = "image/jpeg,image/png,image/webp";

/** Of more faces boxes hold numbers alone. */
const MANY = 6;

/** A photo with boxes over it. Its `release` lets go of the memory. */
export function photoStage(file, alt) {
  const url = URL.createObjectURL(file);
  const image = h("img", { src: url, alt });
  const boxes = h("div", { class: "boxes", "aria-hidden": "true" });
  const element = h("div", { class: "photo" }, image, boxes);

  /** Draws the faces of an answer for a photo of this size, both in pixels of the upright photo. */
  function draw(faces, { width, height }, labels) {
    boxes.replaceChildren(
      ...faces.map((face, index) => {
        const { left, top, right, bottom } = face.box;
        const box = h("div", { class: `box ${face.decision ?? "face"}` }, labels?.(face, index));
        place(box, left / width, top / height, right / width, bottom / height);
        return box;
      }),
    );
    return [...boxes.children];
  }

  return { element, draw, release: () => URL.revokeObjectURL(url) };
}

function place(box, left, top, right, bottom) {
  const inside = (share) => Math.min(1, Math.max(0, share));
  box.style.left = `${inside(left) * 100}%`;
  box.style.top = `${inside(top) * 100}%`;
  box.style.width = `${(inside(right) - inside(left)) * 100}%`;
  box.style.height = `${(inside(bottom) - inside(top)) * 100}%`;
  box.classList.toggle("low", bottom > 0.88);
  box.classList.toggle("right", left > 0.6);
}

/** The label of a box: shape, number where there are several, and the name. */
export function labelOf(faces) {
  return (face, index) => {
    const number = faces.length > 1 ? `${index + 1}` : "";
    const text = face.decision === "match" ? nameOf(face.subject) : DECISIONS[face.decision];
    return h(
      "span",
      { class: "label" },
      mark(face.decision),
      number && h("span", {}, number),
      faces.length <= MANY && h("span", { class: number ? "several" : "" }, text),
    );
  };
}

/** A button that opens the file dialog. */
export function fileButton(text, take, { multiple = false, kind = "" } = {}) {
  const input = h("input", { type: "file", accept: KINDS, multiple, class: "unseen", tabindex: "-1", "aria-hidden": "true" });
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    if (files.length > 0) take(files);
  });
  return h("span", {}, h("button", { type: "button", class: kind, on: { click: () => input.click() } }, text), input);
}

/** Takes photos that are dropped on an element. */
export function takeDrops(element, take) {
  let depth = 0;
  const light = () => element.classList.toggle("over", depth > 0);
  element.addEventListener("dragenter", () => ((depth += 1), light()));
  element.addEventListener("dragleave", () => ((depth -= 1), light()));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    light();
    const files = [...event.dataTransfer.files];
    if (files.length > 0) take(files);
  });
}

/** Takes photos that are pasted anywhere; returns what ends that. */
export function takePastes(take) {
  const listener = (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((each) => each.type.startsWith("image/"));
    if (files.length > 0) take(files);
  };
  document.addEventListener("paste", listener);
  return () => document.removeEventListener("paste", listener);
}
