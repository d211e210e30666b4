// Asks the service. The session's cookie goes along by itself; no key is ever kept here.

import { Problem } from "./dom.js";

/**
 * The answer of a route as JSON; a problem document becomes an error with its words. With the same
 * `once` the same request is done once, however often it is sent.
 */
export async function ask(method, path, { json, form, signal, once } = {}) {
  // Without this header a cookie does not count, and pages of other origins cannot set it.
  const headers = { "X-FaceGallery-Page": location.origin };
  if (once !== undefined) headers["Idempotency-Key"] = once;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: json === undefined ? form : JSON.stringify(json),
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("the service is not reached; is it running, and is the network there?", "unreachable");
  }
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  const problem = new Problem(content.detail ?? `the service answered ${answer.status}`, content.code ?? "", {
    status: answer.status,
    reasons: content.reasons ?? [],
  });
  if (answer.status === 401 && problem.code !== "key_invalid") {
    window.dispatchEvent(new CustomEvent("signed-out", { detail: problem }));
  }
  throw problem;
}

export const part = encodeURIComponent;

/** A value that no other request has. Pages over plain HTTP have no `crypto.randomUUID`. */
export function newOnce() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
}

/** Gives the person a file to keep. */
export function save(name, content) {
  const url = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
