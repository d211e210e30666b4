// What codes and figures mean, in words.

import { count, s } from "./dom.js";

export const DECISIONS = { match: "Match", review: "Review", unknown: "Unknown" };

export const QUALITY_REASONS = {
  too_small: "the face is too small",
  too_blurred: "the face is blurred",
  extreme_pose: "the head is turned too far",
  low_confidence: "this may not be a face",
  low_norm: "the model sees too little of the face",
};

export const REVIEW_REASONS = {
  below_match: "similar, but below the threshold for a match",
  close_runner_up: "somebody else is almost as similar",
  look_alike: "a declared look-alike is close, too",
  named_elsewhere: "another face of this photo is named as this person",
};

/** Words for codes; an unknown code stays readable. */
export function inWords(codes, words) {
  return codes.map((each) => words[each] ?? each.replaceAll("_", " ")).join("; ");
}

/** "1 in 100". */
export function oneIn(rate) {
  return `1 in ${Math.round(1 / rate).toLocaleString()}`;
}

export function figure(value) {
  return value.toFixed(2).replace("-", "−");
}

export function nameOf(subject) {
  return subject?.name ?? subject?.external_id ?? (subject ? "without a name" : "");
}

/** What a threshold stands for. */
export function thresholdWords(threshold) {
  const unsure = threshold.extrapolated ? "; estimated beyond what was measured" : "";
  const rate = (threshold.fpir * 100).toLocaleString();
  return `${figure(threshold.value)} and above, which ${oneIn(threshold.fpir)} strangers would reach (FPIR ${rate} %${unsure})`;
}

/** A sentence about all faces of a photo. */
export function summary(faces) {
  if (faces.length === 0) return "No face found";
  const parts = ["match", "review", "unknown"]
    .map((kind) => [faces.filter((each) => each.decision === kind).length, kind])
    .filter(([number]) => number > 0)
    .map(([number, kind]) => (kind === "match" ? count(number, "match", "matches") : `${number} ${kind === "review" ? "to compare" : "unknown"}`));
  return `${count(faces.length, "face")}: ${parts.join(", ")}`;
}

/** A shape of its own for each decision, so that colour is not needed. */
export function mark(decision) {
  const shapes = {
    match: [s("circle", { cx: 12, cy: 12, r: 11, class: "fill" }), s("path", { d: "M6.5 12.5l3.7 3.7 7.3-7.9", class: "stroke" })],
    review: [
      s("path", { d: "M12 .8L23.2 12 12 23.2.8 12z", class: "fill" }),
      s("path", { d: "M9.2 9.6a2.8 2.8 0 1 1 4.3 2.4c-1 .6-1.5 1-1.5 2.1", class: "stroke" }),
      s("circle", { cx: 12, cy: 17.2, r: 1.3, class: "dot" }),
    ],
    unknown: [s("rect", { x: 1.5, y: 1.5, width: 21, height: 21, rx: 3, class: "fill" }), s("path", { d: "M7 12h10", class: "stroke" })],
  };
  return s("svg", { viewBox: "0 0 24 24", class: `mark ${decision}`, "aria-hidden": "true" }, shapes[decision]);
}
