// The account: profile, password, deletion; the other sections have files of their own.

import { get, patch, put, remove } from "./api.js";
import "./account_devices.js";
import "./account_emails.js";
import "./account_factors.js";
import "./account_identities.js";
import "./account_organizations.js";
import { confirmed, sections } from "./account_ui.js";
import "./password.js";
import { has, stepped } from "./step_up.js";
import { byId, explain, onSubmit, say, t } from "./ui.js";

const ME = "/v1/users/me";

onSubmit(byId("profile"), async ({ name }) => {
  await patch(ME, { name: name.trim() || null });
  say(t.common.saved);
});

const password = byId("change-password");
if (password) {
  onSubmit(password, async (values) => {
    const body = { password: values.password, ...(values.current_password && { current_password: values.current_password }) };
    await stepped(() => put(`${ME}/password`, body));
    password.reset();
    has.password = true;
    say(t.account.password_changed);
    await sections.devices();
  });
}

onSubmit(byId("delete"), async () => {
  if (!(await confirmed(t.account.delete_ask, t.account.delete_lead, t.account.delete))) return;
  await stepped(() => remove(ME));
  location.replace("/auth/sign-out");
});

try {
  const { user } = await get("/v1/sessions/current");
  has.email = user.email;
  byId("who").textContent = user.email ?? "";
  byId("name").value = user.name ?? "";
  for (const field of document.querySelectorAll('input[name="username"]')) field.value = user.email ?? "";
  await Promise.all(Object.values(sections).map((load) => load()));
} catch (problem) {
  if (problem.status === 401) location.replace(`/auth/sign-in${document.body.dataset.carry}`);
  else explain(document.querySelector("main"), problem);
}
