// Passkeys, authenticator apps and recovery codes of the account.

import { get, patch, post, remove } from "./api.js";
import { ask, at, confirmed, named, removal, row, sections } from "./account_ui.js";
import { listCodes, showKey } from "./second_factor.js";
import { has, stepped } from "./step_up.js";
import { byId, fill, onClick, onSubmit, say, t } from "./ui.js";
import { available, make } from "./webauthn.js";

const FACTORS = "/v1/users/me/factors";
const CODES = "/v1/users/me/recovery-codes";
const PASSKEYS = "/v1/users/me/passkeys";

async function changed(section, act) {
  const answer = await stepped(act);
  await sections[section]();
  say(t.common.done);
  return answer;
}

const times = ({ created_at, last_used_at }) => [
  created_at && at(t.account.added, created_at),
  last_used_at ? at(t.account.used, last_used_at) : t.account.never_used,
];

function showPasskey(passkey) {
  const path = `${PASSKEYS}/${passkey.id}`;
  const name = passkey.name || t.account.passkey;
  const rename = async () => {
    const chosen = await named(t.account.passkey_name, passkey.name);
    if (chosen) await changed("passkeys", () => patch(path, { name: chosen }));
  };
  return row(name, {
    badges: [passkey.backed_up && t.account.synced],
    notes: times(passkey),
    actions: [
      [t.common.rename, rename],
      [t.common.remove, async () => (await removal(name)) && changed("passkeys", () => remove(path)), "bad-link"],
    ],
  });
}

if (byId("passkeys")) {
  sections.passkeys = async () => {
    const { data } = await get(PASSKEYS);
    has.passkeys = data.length > 0;
    byId("passkeys").replaceChildren(...data.map(showPasskey));
  };
  byId("add-passkey").hidden = !available();
  onSubmit(byId("add-passkey"), async () => {
    const options = await stepped(() => post(`${PASSKEYS}/registration-options`));
    await changed("passkeys", async () => post(PASSKEYS, await make(options)));
  });
}

function showFactor(factor) {
  const name = factor.name || t.account.totp;
  const removeFactor = async () => {
    const title = fill(t.account.remove_ask, { what: name });
    const code = await ask({ title, yes: t.common.remove, kind: "danger", field: t.account.code_or_recovery });
    if (code) await changed("factors", () => remove(`${FACTORS}/${factor.id}`, { code }));
  };
  return row(name, {
    notes: times(factor),
    actions: [
      [t.common.remove, removeFactor, "bad-link"],
    ],
  });
}

sections.factors = async () => {
  const [{ data }, codes] = await Promise.all([get(FACTORS), get(CODES)]);
  const active = data.filter((factor) => factor.active);
  has.totp = active.length > 0;
  byId("factors").replaceChildren(...active.map(showFactor));
  byId("add-totp").hidden = has.totp;
  byId("recovery").hidden = !has.totp && !codes.remaining;
  byId("recovery-left").textContent = t.account.recovery_left.replace("{n}", codes.remaining);
};

const enrolment = byId("enrol-dialog");
const kept = byId("codes-dialog");
let pending = null;

onSubmit(byId("add-totp"), async () => {
  const { factor } = await stepped(() => post(FACTORS));
  pending = factor.id;
  showKey(factor);
  byId("enrol").reset();
  enrolment.showModal();
  byId("enrol-code").focus();
});

onSubmit(byId("enrol"), async ({ code }) => {
  const proven = { code: code.replace(/\s/g, "") };
  const answer = await stepped(() => post(`${FACTORS}/${pending}/activations`, proven));
  enrolment.close();
  showCodes(answer.recovery_codes);
  await sections.factors();
});
byId("enrol-cancel").addEventListener("click", () => enrolment.close());

onSubmit(byId("new-codes"), async () => {
  if (!(await confirmed(t.account.new_codes, t.account.new_codes_ask, t.account.new_codes))) return;
  const answer = await changed("factors", () => post(CODES));
  showCodes(answer.recovery_codes);
});

function showCodes(codes) {
  if (!codes?.length) return;
  listCodes(codes);
  kept.showModal();
  byId("codes-title").focus();
}
onClick(byId("codes-kept"), () => kept.close());
