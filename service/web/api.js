// Asks the service. The session's cookie goes along by itself; no key is ever kept here.

import { Problem } from "./dom.js";

/**
 * The answer of a route as JSON; a problem document becomes an error with its words. With the same
 * `once` the same request is done once, however often it is sent.
 */
export async function ask(method, path, { json, form, signal, once, version } = {}) {
  const headers = {};
  if (once !== undefined) headers["Idempotency-Key"] = once;
  if (version !== undefined) headers["If-Match"] = `"${version}"`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  const answer = await sent(path, { method, headers, signal, body: json === undefined ? form : JSON.stringify(json) });
  return answer.status === 204 ? null : reached(() => answer.json());
}

/** All that a list holds under a name, asked for page by page. */
export async function askAll(path, name) {
  const found = [];
  const query = new URLSearchParams({ limit: 1000 });
  for (;;) {
    const page = await ask("GET", `${path}?${query}`);
    found.push(...page[name]);
    if (page.next_cursor === null) return found;
    query.set("cursor", page.next_cursor);
  }
}

/** Asks for a file and gives it to the person to keep. */
export async function download(path, name) {
  const answer = await sent(path, { method: "GET", headers: {} });
  keep(name, await reached(() => answer.blob()));
}

/** The answer of a route that did what it was asked. */
async function sent(path, { headers, ...options }) {
  const answer = await reached(() =>
    fetch(path, {
      ...options,
      // Without this header a cookie does not count, and pages of other origins cannot set it.
      headers: { ...headers, "X-FaceGallery-Page": location.origin },
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
    }),
  );
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

/** What a step over the network gives; when the connection breaks, an error in words. */
async function reached(step) {
  try {
    return await step();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("the service is not reached; is it running, and is the network there?", "unreachable");
  }
}

async function problemOf(answer) {
  const content = await answer.json().catch(() => ({}));
  const detail = content.detail ?? `the service answered ${answer.status}`;
  const problem = new Problem(detail, content.code ?? "", {
    status: answer.status,
    reasons: content.reasons ?? [],
  });
  if (answer.status === 401 && problem.code !== "key_invalid") {
    window.dispatchEvent(new CustomEvent("signed-out", { detail: problem }));
  }
  return problem;
}

export const part = encodeURIComponent;

/** A value that no other request has. Pages over plain HTTP have no `crypto.randomUUID`. */
export function newOnce() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
}

/** Gives the person an object of JSON to keep as a file. */
export function save(name, content) {
  keep(name, new Blob([JSON.stringify(content, null, 2)], { type: "application/json" }));
}

function keep(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
