// The organizations that the account belongs to, and invitations that wait for it.

import { get, post, remove } from "./api.js";
import { at, confirmed, row, sections } from "./account_ui.js";
import { byId, fill, say, t } from "./ui.js";

const list = byId("organizations");

async function changed(act) {
  await act();
  await sections.organizations();
  say(t.common.done);
}

function show({ id, name, role }) {
  const leave = async () => {
    if (!(await confirmed(fill(t.account.leave_ask, { name }), "", t.account.leave))) return;
    await changed(() => remove(`/v1/organizations/${id}/members/me`));
  };
  return row(name, { badges: [role], actions: [[t.account.leave, leave, "bad-link"]] });
}

function showInvitation({ id, organization, created_at }) {
  return row(organization.name, {
    badges: [t.account.invited],
    notes: [at(t.account.added, created_at), t.account.invited_lead],
    actions: [[t.invitation.decline, () => changed(() => post(`/v1/invitations/${id}/declines`)), "bad-link"]],
  });
}

sections.organizations = async () => {
  const paths = ["/v1/organizations?limit=100", "/v1/users/me/invitations?limit=100"];
  const [own, waiting] = await Promise.all(paths.map(get));
  list.replaceChildren(...own.data.map(show), ...waiting.data.map(showInvitation));
  list.closest("section").hidden = !list.children.length;
};
