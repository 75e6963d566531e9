// Asks who is there where the API wants a fresh sign-in, in place; then does what was asked.

import { post } from "./api.js";
import { byId, config, explain, h, mark, onSubmit, t, tell } from "./ui.js";
import { ask as askPasskey, available } from "./webauthn.js";

const dialog = byId("step-up");
const input = byId("step-up-value");
const VERIFICATIONS = "/v1/sessions/current/verifications";

// What the account has, as the page learns it.
export const has = { email: null, password: config.methods.password, passkeys: false, totp: false };

const FIELDS = {
  password: () => [t.common.password, { type: "password", autocomplete: "current-password", inputMode: "", className: "" }],
  totp: () => [t.factor.first_code, { type: "text", autocomplete: "one-time-code", inputMode: "numeric", className: "code" }],
  recovery_code: () => [t.factor.recovery_code, { type: "text", autocomplete: "off", inputMode: "", className: "" }],
  email_code: () => [t.common.code, { type: "text", autocomplete: "one-time-code", inputMode: "numeric", className: "code" }],
};
const LABELS = { password: t.step_up.use_password, totp: t.factor.use_totp, passkey: t.factor.use_passkey, recovery_code: t.factor.use_recovery_code, email_code: t.step_up.use_email };

let method = null;
let settle = null;

function ways(strong) {
  const found = [];
  if (has.passkeys && available()) found.push("passkey");
  if (has.totp) found.push("totp");
  // A second factor is asked for: the first one again is none.
  if (strong && found.length) return [...found, "recovery_code"];
  if (has.password) found.unshift("password");
  if (config.methods.magic_link && has.email) found.push("email_code");
  return found;
}

function show(way, all) {
  method = way;
  mark(input);
  tell(dialog);
  const field = FIELDS[way]?.();
  input.closest(".field").hidden = !field;
  input.required = Boolean(field);
  input.value = "";
  if (field) {
    byId("step-up-label").textContent = field[0];
    Object.assign(input, field[1]);
  }
  const others = all.filter((other) => other !== way);
  byId("step-up-ways").replaceChildren(
    ...others.map((other) => {
      const button = h("button", { type: "button", className: "link" }, LABELS[other]);
      button.addEventListener("click", () => choose(other, all));
      return button;
    }),
  );
  if (field) input.focus();
}

async function choose(way, all) {
  show(way, all);
  if (way !== "email_code") return;
  try {
    await post("/v1/magic-links", { email: has.email, cookie: true });
  } catch (problem) {
    explain(dialog, problem);
  }
}

async function proof(value) {
  switch (method) {
    case "password":
      return { method, password: value };
    case "passkey":
      return askPasskey({ step_up: true });
    case "totp":
    case "recovery_code":
      return { method, code: value.replace(/\s/g, "") };
    default:
      return { method, email: has.email, code: value.replace(/\s/g, "") };
  }
}

onSubmit(byId("step-up-form"), async ({ value }) => {
  await post(VERIFICATIONS, await proof(value));
  settle(true);
});
byId("step-up-cancel").addEventListener("click", () => settle(false));
dialog.addEventListener("cancel", () => settle(false));

function confirmed(strong) {
  const all = ways(strong);
  show(all[0] ?? "password", all);
  dialog.querySelector('[name="username"]').value = has.email ?? "";
  dialog.showModal();
  return new Promise((resolve) => {
    settle = (outcome) => {
      input.value = "";
      dialog.close();
      resolve(outcome);
    };
  });
}

// Does `act`, after a step-up where the API asks for one. Whoever cancels has changed nothing, and reads no complaint.
export async function stepped(act) {
  try {
    return await act();
  } catch (problem) {
    if (problem.code !== "insufficient_user_authentication") throw problem;
    if (await confirmed(/2/.test(problem.body?.acr_values ?? ""))) return act();
    throw { code: "cancelled" };
  }
}
