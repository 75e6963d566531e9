// Sign-in with an identity provider. The code that comes back is worth nothing without the verifier that this tab kept.

import { signIn } from "./api.js";
import { finish } from "./second_factor.js";
import { byId, explain, returnTo, t } from "./ui.js";
import { encode } from "./webauthn.js";

const KEPT = "beyond-auth.verifier";

async function leaveFor(provider) {
  const verifier = encode(crypto.getRandomValues(new Uint8Array(32)));
  const challenge = encode(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  sessionStorage.setItem(KEPT, verifier);
  const back = new URL("/auth/sign-in", location.origin);
  if (returnTo) back.searchParams.set("redirect_to", returnTo);
  const query = new URLSearchParams({ redirect_to: back.href, code_challenge: challenge });
  location.assign(`/v1/oauth/${encodeURIComponent(provider)}/authorize?${query}`);
}

for (const button of document.querySelectorAll("[data-provider]")) {
  button.addEventListener("click", () => leaveFor(button.dataset.provider));
}

// Goes on where a provider has sent the person back.
export async function goOn(start) {
  const address = new URL(location.href);
  const [code, refused] = ["code", "error"].map((name) => address.searchParams.get(name));
  if (!code && !refused) return;
  for (const name of ["code", "error"]) address.searchParams.delete(name);
  history.replaceState(null, "", address);
  const code_verifier = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  try {
    if (!code || !code_verifier) throw { detail: t.sign_in.provider_failed };
    await finish(await signIn({ method: "oauth", code, code_verifier }), start);
  } catch (problem) {
    explain(byId("sign-in"), problem);
  }
}
