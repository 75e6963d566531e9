// Accounts elsewhere that the account can be signed in to with.

import { get, post, remove } from "./api.js";
import { at, confirmed, row, sections } from "./account_ui.js";
import { back, brought, refusal } from "./provider.js";
import { stepped } from "./step_up.js";
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
    byId("identities").replaceChildren(...data.map(show));
    const others = config.providers.filter(({ id }) => !data.some(({ provider }) => provider === id));
    const buttons = others.map((provider) => {
      const button = h("button", { type: "button", className: "plain" }, fill(t.account.connect, { name: provider.name }));
      onClick(button, () => connect(provider));
      return button;
    });
    byId("connect").replaceChildren(...buttons);
  };
  // From where somebody was sent to connect one.
  const [linked, refused] = brought("linked", "error");
  if (linked) say(t.account.connected);
  if (refused) explain(byId("identities").closest("section"), refusal(refused));
}
