import { get, post, signIn } from "./api.js";
import "./password.js";
import { proof } from "./provider.js";
import { finish, mailedText } from "./second_factor.js";
import { byId, config, explain, fill, leave, mark, onClick, onSubmit, returnTo, run, say, step, t } from "./ui.js";
import { ask, available, offer } from "./webauthn.js";

const email = byId("email");
const start = () => step("start");
// Where the mail went. What ties its code to this browser is in a cookie.
let mailed = null;

async function sendMail() {
  const address = email.value.trim();
  const request = { email: address, ...(returnTo && { redirect_to: returnTo }) };
  await post("/v1/magic-links", { ...request, cookie: true });
  mailed = address;
}

async function mailMe() {
  mark(email, email.value.trim() ? null : t.common.required);
  if (!email.value.trim()) return email.focus();
  await sendMail();
  mailedText(t.mailed.sign_in, mailed);
  step("mailed");
}

onSubmit(byId("sign-in"), async ({ email, password }) => {
  if (!config.methods.password) return mailMe();
  await finish(await signIn({ method: "password", email: email.trim(), password }), start);
  byId("password").value = "";
});

onSubmit(byId("mailed"), async ({ code }) => {
  await finish(await signIn({ method: "email_code", email: mailed, code: code.replace(/\s/g, "") }), start);
});

onClick(byId("again"), async () => {
  await sendMail();
  say(t.mailed.sent);
});
onClick(byId("back"), start);
if (byId("mail-me")) onClick(byId("mail-me"), mailMe);

const passkey = byId("passkey");
if (passkey && available()) {
  passkey.hidden = false;
  const accept = async (proof) => finish(await signIn(proof), start);
  onClick(passkey, async () => accept(await ask({})));
  offer((proof) => run(byId("sign-in"), passkey, () => accept(proof)));
}

// The cookie is out of reach of scripts; the server has seen one, the API knows whether it is good.
if (document.body.dataset.cookie) {
  const known = await get("/v1/sessions/current").catch(() => null);
  if (known) {
    byId("known-text").textContent = fill(t.sign_in.known, { who: known.user.email ?? known.user.name });
    byId("known").hidden = false;
    byId("go-on").addEventListener("click", () => leave());
  }
}

// Where a provider has sent the person back.
try {
  const brought = proof();
  if (brought) await finish(await signIn(brought), start);
} catch (problem) {
  explain(byId("sign-in"), problem);
}
