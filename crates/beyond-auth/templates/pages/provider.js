// Sign-in with an identity provider. The code that comes back is worth nothing without the verifier that this tab kept.

import { byId, onClick, returnTo, t } from "./ui.js";
import { encode } from "./webauthn.js";

const KEPT = "beyond-auth.verifier";

// What a provider is told to send people back to: a page of ours, which knows where they go from there.
export function back(path) {
  const page = new URL(path, location.origin);
  if (returnTo) page.searchParams.set("redirect_to", returnTo);
  return page.href;
}

export async function leaveFor(provider, path = "/auth/sign-in") {
  const verifier = encode(crypto.getRandomValues(new Uint8Array(32)));
  const code_challenge = encode(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  sessionStorage.setItem(KEPT, verifier);
  const query = new URLSearchParams({ redirect_to: back(path), code_challenge });
  location.assign(`/v1/oauth/${encodeURIComponent(provider)}/authorize?${query}`);
}

for (const button of document.querySelectorAll("[data-provider]")) {
  onClick(button, () => leaveFor(button.dataset.provider));
}

// What the address says of somebody whom a provider has sent back; it is gone from there, and from the history.
export function brought(...names) {
  const address = new URL(location.href);
  const values = names.map((name) => address.searchParams.get(name));
  if (values.some(Boolean)) {
    for (const name of [...names, "provider"]) address.searchParams.delete(name);
    history.replaceState(null, "", address);
  }
  return values;
}

// Why nothing came of it, in words of our own: anybody can write an address.
const refusal = (code) => ({ detail: Object.hasOwn(t.provider, code) ? t.provider[code] : t.sign_in.provider_failed });

// The proof that the door takes, where a provider has sent the person back with one.
export function proof() {
  const [code, refused] = brought("code", "error");
  const code_verifier = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  if (!code && !refused) return null;
  if (!code || !code_verifier) throw refusal(refused);
  return { method: "oauth", code, code_verifier };
}
