// The second half of a sign-in: another factor, or setting one up where the project asks for it.

import { post, signIn } from "./api.js";
import { byId, explain, fill, h, leave, onClick, onSubmit, say, step, t } from "./ui.js";
import { ask, available } from "./webauthn.js";

let token = null;
let factors = [];
let after = null;
let restart = () => location.reload();

// Takes the door's answer to a first factor to its end, and the person to `redirect_to`, which the page has checked.
// `start` leads back where the attempt has run out.
export async function finish(answer, start) {
  restart = start ?? restart;
  after = answer.redirect_to;
  if (!answer.attempt) return leave(after);
  ({ token, factors } = answer.attempt);
  if (answer.attempt.enrolment_required) return enrol();
  factors = factors.filter((factor) => factor !== "passkey" || available());
  show(factors[0] ?? "totp");
}

function show(factor) {
  const more = step(factor).querySelector(".more");
  const others = factors.filter((other) => other !== factor);
  more.replaceChildren(
    ...others.map((other) => {
      const button = h("button", { type: "button", className: "link" }, t.factor[`use_${other}`]);
      button.addEventListener("click", () => show(other));
      return button;
    }),
  );
}

async function prove(proof) {
  try {
    const answer = await signIn({ attempt_token: token, ...proof });
    token = null;
    if (answer.recovery_codes) return showCodes(answer.recovery_codes);
    leave(after);
  } catch (problem) {
    // The attempt is over: only the first step helps.
    if (problem.code !== "invalid_attempt") throw problem;
    restart();
    explain(document.querySelector("[data-step]:not([hidden])"), { detail: t.sign_in.expired });
  }
}

async function enrol() {
  const { factor } = await post("/v1/sessions", { method: "totp_enrolment", attempt_token: token });
  step("enrol");
  showKey(factor);
}

// The picture is drawn from data, as an image: it can run nothing.
export function showKey(factor) {
  byId("qr").src = `data:image/svg+xml,${encodeURIComponent(factor.qr_svg)}`;
  byId("secret").textContent = factor.secret.match(/.{1,4}/g).join(" ");
}

function showCodes(codes) {
  step("codes");
  listCodes(codes);
}

export function listCodes(codes) {
  byId("codes").replaceChildren(...codes.map((code) => h("li", {}, h("code", {}, code))));
  byId("save-codes").href = `data:text/plain,${encodeURIComponent(`${codes.join("\n")}\n`)}`;
  byId("copy-codes").onclick = async () => {
    await navigator.clipboard.writeText(codes.join("\n")).catch(() => {});
    say(t.common.copied);
  };
}

if (document.querySelector('[data-step="totp"]')) {
  onSubmit(byId("totp"), ({ code }) => prove({ method: "totp", code: code.replace(/\s/g, "") }));
  onSubmit(byId("enrol"), ({ code }) => prove({ method: "totp", code: code.replace(/\s/g, "") }));
  onSubmit(byId("recovery"), ({ code }) => prove({ method: "recovery_code", code: code.trim() }));
  onSubmit(byId("factor-passkey"), async () => prove(await ask({ attempt_token: token })));
  onClick(byId("codes-kept"), () => leave(after));
}

export const mailedText = (text, email) => (byId("mailed-text").textContent = fill(text, { email }));
