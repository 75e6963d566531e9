// What the sections of the account share: rows with buttons, questions, dates.

import { byId, fill, h, lang, onClick, t } from "./ui.js";

// How each section is loaded; they put themselves in.
export const sections = {};

const dates = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
export const at = (text, time) => fill(text, { at: dates.format(new Date(time)) });

// `actions` are [label, what it does, "bad"?].
export function row(title, { notes = [], badges = [], actions = [] }) {
  const buttons = actions.filter(Boolean).map(([label, act, kind]) => {
    const button = h("button", { type: "button", className: `link ${kind ?? ""}`, "aria-label": `${label}: ${title}` }, label);
    onClick(button, act);
    return button;
  });
  return h(
    "li",
    {},
    h(
      "div",
      {},
      h("strong", {}, title),
      ...badges.filter(Boolean).map((badge) => h("span", { className: "badge" }, badge)),
      h("p", { className: "quiet small" }, notes.filter(Boolean).join(" · ")),
    ),
    buttons.length && h("div", { className: "actions" }, ...buttons),
  );
}

const dialog = byId("ask");
const input = byId("ask-value");

function open(title, text, yes, kind) {
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-yes").textContent = yes;
  byId("ask-yes").className = kind;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// Whether the person means it.
export function confirmed(title, text, yes) {
  input.closest(".field").hidden = true;
  const answer = open(title, text, yes, "danger");
  byId("ask-yes").form.querySelector('[value="no"]').focus();
  return answer;
}

export const removal = (what) => confirmed(fill(t.account.remove_ask, { what }), "", t.common.remove);

// A name, or null.
export async function named(label, present) {
  input.closest(".field").hidden = false;
  input.labels[0].textContent = label;
  input.value = present ?? "";
  const answer = open(label, "", t.common.save, "");
  input.select();
  return (await answer) ? input.value.trim() || null : null;
}
