// Accounts elsewhere that the account can be signed in to with.

import { get, post, remove } from "./api.js";
import { at, confirmed, row, sections } from "./account_ui.js";
import { back, brought, proof } from "./provider.js";
import { VERIFICATIONS, has, stepped } from "./step_up.js";
import { byId, config, explain, fill, h, onClick, say, t } from "./ui.js";

const IDENTITIES = "/v1/users/me/identities";

function show({ id, provider_name, email, name, created_at, last_used_at }) {
  const disconnect = async () => {
    const title = fill(t.account.disconnect_ask, { what: provider_name });
    if (!(await confirmed(title, "", t.account.disconnect))) return;
    await stepped(() => remove(`${IDENTITIES}/${id}`));
    await sections.identities();
    say(t.common.done);
  };
  const used = last_used_at ? at(t.account.used, last_used_at) : t.account.never_used;
  return row(provider_name, {
    notes: [email ?? name, at(t.account.added, created_at), used],
    actions: [[t.account.disconnect, disconnect, "bad-link"]],
  });
}

async function connect(provider) {
  const request = { provider: provider.id, redirect_to: back("/auth/account") };
  const { authorize_url } = await stepped(() => post(IDENTITIES, request));
  location.assign(authorize_url);
}

if (byId("identities")) {
  sections.identities = async () => {
    const { data } = await get(IDENTITIES);
    has.providers = data.map(({ provider }) => provider);
    byId("identities").replaceChildren(...data.map(show));
    const others = config.providers.filter(({ id }) => !data.some(({ provider }) => provider === id));
    const buttons = others.map((provider) => {
      const button = h("button", { type: "button", className: "plain" }, fill(t.account.connect, { name: provider.name }));
      onClick(button, () => connect(provider));
      return button;
    });
    byId("connect").replaceChildren(...buttons);
  };
  // Back from a provider: one was connected, or the session is to be fresh.
  const [linked] = brought("linked");
  if (linked) say(t.account.connected);
  try {
    const fresh = proof();
    if (fresh) {
      await post(VERIFICATIONS, fresh);
      say(t.step_up.confirmed);
    }
  } catch (problem) {
    explain(byId("identities").closest("section"), problem);
  }
}
