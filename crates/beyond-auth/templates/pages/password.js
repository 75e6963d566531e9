// Password fields: to be looked at, and checked while they are chosen.

import { post } from "./api.js";
import { config, fill, h, mark, t, words } from "./ui.js";

for (const input of document.querySelectorAll('input[type="password"]')) {
  const toggle = h("button", { type: "button", className: "toggle", "aria-label": t.common.show_password }, t.common.show);
  toggle.setAttribute("aria-pressed", "false");
  toggle.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    toggle.textContent = shown ? t.common.show : t.common.hide;
    toggle.setAttribute("aria-pressed", String(!shown));
  });
  const box = h("div", { className: "with-toggle" });
  input.replaceWith(box);
  box.append(input, toggle);
  // A password never stays readable in a form that was sent.
  input.form?.addEventListener("submit", () => input.type === "text" && toggle.click());
}

for (const hint of document.querySelectorAll("[data-least]")) {
  hint.textContent = fill(t.common.least, { n: config.password.min_length });
}

for (const input of document.querySelectorAll("[data-new]")) {
  input.addEventListener("change", async () => {
    const password = input.value;
    if (!password) return;
    const email = input.form.querySelector('[name="email"], [name="username"]')?.value || null;
    // Where the check fails, the form's own answer tells.
    const verdict = await post("/v1/password-checks", { password, email }).catch(() => null);
    if (verdict && input.value === password) mark(input, verdict.errors[0] && words(verdict.errors[0]));
  });
}
