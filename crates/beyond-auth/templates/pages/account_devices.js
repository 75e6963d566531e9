// Where the account is signed in.

import { get, remove } from "./api.js";
import { at, row, sections } from "./account_ui.js";
import { stepped } from "./step_up.js";
import { byId, fill, onSubmit, say, t } from "./ui.js";

const SESSIONS = "/v1/sessions";

function title({ label, device }) {
  if (label) return label;
  const { browser, os: system } = device;
  if (browser && system) return fill(t.account.device, { browser, system });
  return browser ?? system ?? t.account.unknown_device;
}

function show(session) {
  const end = async () => {
    await remove(`${SESSIONS}/${session.id}`);
    await sections.devices();
    say(t.common.done);
  };
  return row(title(session), {
    badges: [session.current && t.account.this_device],
    notes: [session.address, at(t.account.seen, session.last_seen_at)],
    actions: [!session.current && [t.sign_out.title, end, "bad-link"]],
  });
}

sections.devices = async () => {
  const { data } = await get(`${SESSIONS}?limit=100`);
  data.sort((one, other) => other.current - one.current);
  byId("devices").replaceChildren(...data.map(show));
  byId("sign-out-others").hidden = data.length < 2;
};

onSubmit(byId("sign-out-others"), async () => {
  await stepped(() => remove(`${SESSIONS}?scope=others`));
  await sections.devices();
  say(t.account.others_out);
});
