// Keys: listed, made (and shown this once), revoked.

import { ask, askAll, part } from "./api.js";
import { confirmDialog, endOfDay, errorBox, field, h, openDialog, row, run, table, when } from "./dom.js";
import { state } from "./state.js";

const ROLES = {
  identifier: "identifier: says who is in a photo, no more",
  operator: "operator: enrolls, removes and identifies",
  auditor: "auditor: reads the audit log",
  listener: "listener: follows decisions, for doors",
  admin: "admin: everything, keys and galleries too",
};

const HEADINGS = ["Key", "For", "Role", "Galleries", "Last used", "State"];

export function keys() {
  const list = h("div", { "aria-live": "polite" }, h("p", {}, "Loading …"));
  const failed = (error) => list.replaceChildren(errorBox(error));
  const element = h("section", {}, h("h1", { tabindex: "-1" }, "Keys"), list, makeForm(reload));
  reload().catch(failed);

  async function reload() {
    const found = await askAll("v1/keys", "keys");
    found.sort((a, b) => Boolean(a.revoked_at) - Boolean(b.revoked_at));
    list.replaceChildren(table("Keys", HEADINGS, found.map(keyRow)));
  }

  function keyRow(key) {
    const ended = key.revoked_at !== null || (key.expires_at !== null && new Date(key.expires_at) < new Date());
    const line = row(
      HEADINGS,
      h("code", {}, key.key_id),
      key.label,
      key.role,
      key.galleries === null ? "all" : key.galleries.join(", "),
      when(key.last_used_at),
      stateOf(key, ended),
    );
    line.classList.toggle("ended", ended);
    return line;
  }

  function stateOf(key, ended) {
    if (key.revoked_at !== null) return "revoked";
    if (ended) return "expired";
    if (key.key_id === state.session.key_id) return "in use here";
    const named = key.label || key.key_id;
    const revoke = h("button", { type: "button", class: "quiet", "aria-label": `Revoke ${named}` }, "Revoke");
    revoke.addEventListener("click", () =>
      confirmDialog({
        title: `Revoke ${named}?`,
        text: "It is refused from its next request on, and its sessions end. This cannot be undone.",
        action: "Revoke",
        task: async () => {
          await ask("DELETE", `v1/keys/${part(key.key_id)}`);
          await reload();
        },
      }),
    );
    return [revoke, key.expires_at && h("span", { class: "hint" }, ` until ${when(key.expires_at)}`)];
  }

  return { element };
}

function makeForm(reload) {
  const role = h("select", {}, Object.entries(ROLES).map(([value, text]) => h("option", { value }, text)));
  const label = h("input", { maxlength: 200, autocomplete: "off" });
  const names = state.galleries ?? [];
  const tied = h("select", { multiple: true, size: Math.min(6, Math.max(2, names.length)) }, names.map((each) => h("option", { value: each.name }, each.name)));
  const until = h("input", { type: "date" });
  const perMinute = h("input", { type: "number", min: 1, step: 1 });
  const perDay = h("input", { type: "number", min: 1, step: 1 });
  const problem = h("div", {});
  const button = h("button", { type: "submit", class: "primary" }, "Make the key");
  const submit = (event) => {
    event.preventDefault();
    problem.replaceChildren();
    run(button, make, (error) => problem.replaceChildren(errorBox(error)));
  };

  async function make() {
    const galleries = [...tied.selectedOptions].map((each) => each.value);
    const made = await ask("POST", "v1/keys", {
      json: {
        role: role.value,
        label: label.value.trim(),
        galleries: galleries.length === 0 ? null : galleries,
        expires_at: endOfDay(until.value),
        max_per_minute: perMinute.valueAsNumber || null,
        max_per_day: perDay.valueAsNumber || null,
      },
    });
    label.value = "";
    await reload();
    showKey(made);
  }

  return h(
    "form",
    { class: "panel", on: { submit } },
    h("h2", {}, "A new key"),
    field("Role", role),
    field("What it is for", label, "For example “front desk”."),
    field("Galleries", tied, "None chosen: all. A key that is tied to galleries reaches no other."),
    field("Good until the end of", until, "Empty: it does not expire."),
    h(
      "details",
      {},
      h("summary", {}, "Limits"),
      field("Requests a minute", perMinute, "Empty: as the service's settings say."),
      field("Requests a day", perDay),
    ),
    problem,
    h("div", { class: "actions" }, button),
  );
}

function showKey(made) {
  const shown = h("input", { readonly: true, value: made.key, class: "secret", on: { focus: (event) => event.currentTarget.select() } });
  const copied = h("p", { role: "status" });
  const copy = h("button", { type: "button", class: "primary" }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(made.key);
      copied.textContent = "Copied.";
    } catch {
      shown.select();
      copied.textContent = "Press Ctrl-C to copy it.";
    }
  });
  const dialog = openDialog(
    "The new key",
    h("p", {}, "It is shown this once. Keep it safe: whoever has it may do what its role allows."),
    field("Key", shown),
    copied,
    h("div", { class: "actions" }, copy, h("button", { type: "button", on: { click: () => dialog.close() } }, "Done")),
  );
  dialog.addEventListener("close", () => (shown.value = ""));
}
