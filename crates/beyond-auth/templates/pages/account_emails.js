// The addresses of the account.

import { get, post, put, remove } from "./api.js";
import { removal, row, sections } from "./account_ui.js";
import { has, stepped } from "./step_up.js";
import { byId, fill, onSubmit, say, t } from "./ui.js";

const EMAILS = "/v1/users/me/emails";

async function changed(act, text = t.common.done) {
  await stepped(act);
  await sections.emails();
  say(text);
}

function show({ id, address, primary, verified_at }) {
  const at = `${EMAILS}/${id}`;
  return row(address, {
    badges: [primary && t.account.primary, !verified_at && t.account.unconfirmed],
    actions: [
      !verified_at && [t.account.verify, () => changed(() => post(`${at}/verifications`), t.mailed.sent)],
      verified_at && !primary && [t.account.make_primary, () => changed(() => put(`${at}/primary`))],
      !primary && [t.common.remove, async () => (await removal(address)) && changed(() => remove(at)), "bad-link"],
    ],
  });
}

sections.emails = async () => {
  const { data } = await get(EMAILS);
  has.email = data.find(({ primary }) => primary)?.address ?? has.email;
  byId("emails").replaceChildren(...data.map(show));
};

onSubmit(byId("add-email"), async ({ email }) => {
  await changed(() => post(EMAILS, { email: email.trim() }), fill(t.account.email_sent, { email: email.trim() }));
  byId("new-email").value = "";
});
