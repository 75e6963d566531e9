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

// A question: what was entered, true where there is nothing to enter, null when the person would rather not.
export function ask({ title, text = "", yes, kind = "", field, value = "" }) {
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-yes").textContent = yes;
  byId("ask-yes").className = kind;
  input.closest(".field").hidden = !field;
  input.labels[0].textContent = field ?? "";
  input.value = value;
  dialog.returnValue = "";
  dialog.showModal();
  (field ? input : dialog.querySelector('[value="no"]')).focus();
  return new Promise((resolve) => {
    const answer = () => resolve(dialog.returnValue === "yes" ? !field || input.value.trim() || null : null);
    dialog.addEventListener("close", answer, { once: true });
  });
}

export const confirmed = (title, text, yes) => ask({ title, text, yes, kind: "danger" });
export const removal = (what) => confirmed(fill(t.account.remove_ask, { what }), "", t.common.remove);
export const named = (field, value) => ask({ title: t.common.rename, yes: t.common.save, field, value });
