// What every page shares: texts, steps, forms, what went wrong.

const root = document.documentElement;
export const lang = root.lang;
export const t = (await import(`./texts.${lang}.js`)).default;
const page = document.body.dataset;
export const config = JSON.parse(page.config);
export const returnTo = page.return;
export const byId = (id) => document.getElementById(id);
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter(Boolean));
  return element;
}

// Whoever has to sign in before accepting an invitation finds back to it: in this tab, and no longer than it is open.
const KEPT = "invitation";
export function keepInvitation(what) {
  if (what) sessionStorage.setItem(KEPT, JSON.stringify(what));
  else sessionStorage.removeItem(KEPT);
}
export const invited = JSON.parse(sessionStorage.getItem(KEPT));
const address = byId("email");
if (invited && address) address.value = invited.email;

// To the invitation that is still to be accepted, to the application where it asked for that, to the account otherwise.
// The server has compared origins.
export function leave(target) {
  const back = sessionStorage.getItem(KEPT) && `/auth/invitation${page.carry}`;
  location.replace(back || target || returnTo || "/auth/account");
}

// Shows one step of the page, and puts the focus where it goes on.
export function step(name) {
  for (const section of document.querySelectorAll("[data-step]")) section.hidden = section.dataset.step !== name;
  const section = document.querySelector(`[data-step="${name}"]`);
  const title = section.querySelector("h1");
  document.title = title.textContent;
  const foot = document.querySelector(".foot");
  if (foot) foot.hidden = name !== "start";
  (section.querySelector("[data-focus]") ?? title).focus();
  return section;
}

// What a mailed link brought: kept in this page's memory, not in the address bar, the history or a bookmark.
export function takeFragment() {
  const { token, redirect_to } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  return { token, target: allowed(redirect_to) };
}

// Anybody can write a fragment: only exact origins of the operator's list, written anew from what was parsed.
function allowed(text) {
  if (!text || !URL.canParse(text)) return null;
  const url = new URL(text);
  const bare = /^https?:$/.test(url.protocol) && !url.username && !url.password;
  return bare && config.allowed_origins.includes(url.origin) ? url.href : null;
}

// Runs `act` with the values of the form each time it is sent, one at a time, and shows what went wrong.
export function onSubmit(form, act) {
  const alert = h("div", { role: "alert" });
  form.prepend(alert);
  for (const input of form.querySelectorAll("input")) {
    input.addEventListener("input", () => mark(input));
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const inputs = [...form.querySelectorAll("input")];
    inputs.forEach((input) => mark(input));
    const empty = inputs.filter((input) => input.required && !input.value.trim());
    empty.forEach((input) => mark(input, t.common.required));
    if (empty.length) return empty[0].focus();
    run(form, event.submitter, () => act(Object.fromEntries(new FormData(form))));
  });
}

export function onClick(button, act) {
  button.addEventListener("click", () => run(button.closest("form, section, dialog, main"), button, act));
}

const busy = new WeakSet();

// Does one thing at a time within `scope`, and shows there what went wrong.
export async function run(scope, button, act) {
  if (busy.has(scope)) return;
  busy.add(scope);
  // Not `disabled`: that would take the focus away from those who use the keyboard.
  button?.setAttribute("aria-disabled", "true");
  tell(scope);
  const slow = setTimeout(() => say(t.common.wait), 1000);
  try {
    await act();
  } catch (problem) {
    if (problem.code !== "cancelled") explain(scope, problem);
  } finally {
    busy.delete(scope);
    clearTimeout(slow);
    if (byId("status").textContent === t.common.wait) say("");
    button?.removeAttribute("aria-disabled");
  }
}

// At the fields that are meant, or above the form.
export function explain(scope, problem) {
  const marked = (problem.errors ?? []).filter((error) => {
    const input = scope.querySelector(`input[name="${CSS.escape(error.pointer.slice(1))}"]:not([hidden])`);
    if (input) mark(input, words(error));
    return input;
  });
  const first = scope.querySelector("[aria-invalid]");
  if (marked.length && first) first.focus();
  else tell(scope, words(problem.errors?.[0] ?? problem));
}

export function words({ code, detail, name }) {
  if (name === "NotAllowedError" || name === "AbortError") return t.problem.passkey;
  if (name === "InvalidStateError") return t.problem.passkey_known;
  const text = t.errors[code] ?? t.problem[code] ?? detail ?? t.problem.unknown;
  return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

export function tell(scope, text) {
  const alert = scope.querySelector('[role="alert"]') ?? scope.appendChild(h("div", { role: "alert" }));
  alert.replaceChildren(...(text ? [h("p", { className: "notice bad" }, text)] : []));
}

// Says what is wrong with a field, or that nothing is.
export function mark(input, text) {
  const id = `${input.id}-error`;
  byId(id)?.remove();
  const others = (input.getAttribute("aria-describedby") ?? "").split(" ").filter((other) => other && other !== id);
  if (text) {
    others.unshift(id);
    input.setAttribute("aria-invalid", "true");
    input.closest(".field").append(h("p", { id, className: "error" }, text));
  } else {
    input.removeAttribute("aria-invalid");
  }
  if (others.length) input.setAttribute("aria-describedby", others.join(" "));
  else input.removeAttribute("aria-describedby");
}

// A word that passes: read out, seen at the foot of the page, gone after a while.
let fading;
export function say(text) {
  clearTimeout(fading);
  byId("status").textContent = text;
  if (text && text !== t.common.wait) fading = setTimeout(() => say(""), 6000);
}
