// Passkeys: the browser's API with the server's JSON.

import { post } from "./api.js";

export const available = () => "PublicKeyCredential" in window && Boolean(navigator.credentials);

const decode = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
export const encode = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const ids = (list) => list?.map((entry) => ({ ...entry, id: decode(entry.id) }));

// `PublicKeyCredential.toJSON`, which not every browser in use has.
function toJson(credential) {
  const { response } = credential;
  const names = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const members = names.filter((name) => response[name]).map((name) => [name, encode(response[name])]);
  const transports = response.getTransports?.();
  return {
    id: credential.id,
    rawId: encode(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: { ...Object.fromEntries(members), ...(transports && { transports }) },
  };
}

let waiting = null;

// Asks for a passkey; resolves to what the door takes. `request` says what for; a prompt that waits in a field gives way.
export async function ask(request, mediation) {
  waiting?.abort();
  const mine = (waiting = new AbortController());
  const { challenge_id, options } = await post("/v1/passkeys/authentication-options", request);
  const { challenge, allowCredentials, ...rest } = options.publicKey;
  const publicKey = { ...rest, challenge: decode(challenge), allowCredentials: ids(allowCredentials) };
  const credential = await navigator.credentials.get({ publicKey, mediation, signal: mine.signal });
  return { method: "passkey", challenge_id, credential: toJson(credential) };
}

// Makes a passkey; resolves to what registration takes.
export async function make({ challenge_id, options }) {
  waiting?.abort();
  const { challenge, user, excludeCredentials, ...rest } = options.publicKey;
  const publicKey = {
    ...rest,
    challenge: decode(challenge),
    user: { ...user, id: decode(user.id) },
    excludeCredentials: ids(excludeCredentials),
  };
  const credential = await navigator.credentials.create({ publicKey });
  return { challenge_id, credential: toJson(credential) };
}

// A challenge lives five minutes.
const ANEW = 4 * 60 * 1000;

// Offers passkeys in the autofill of a field marked `webauthn`, as long as the page is looked at.
export async function offer(accept) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  if (document.hidden) await new Promise((seen) => addEventListener("visibilitychange", seen, { once: true }));
  const anew = setTimeout(() => offer(accept), ANEW);
  // Nobody asked for this aloud: what fails before somebody chooses is no news.
  const proof = await ask({}, "conditional").catch(() => null);
  if (!proof) return;
  clearTimeout(anew);
  await accept(proof);
}
