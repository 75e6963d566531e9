// A project that asks everybody for a second factor: set up on the way in, no way around it.

import assert from "node:assert/strict";
import { PASSWORD, api, fill, flow, inAccount, look, mail, open, press, shown, signIn, signOut, title, totp } from "./support.mjs";

const ada = "ada@example.com";

await flow(async (newcomer) => {
  await api("PATCH", "/v1/admin/settings", { mfa: { policy: "required" } });
  const { page, context } = await newcomer();
  await open(page, "/auth/sign-up");
  await fill(page, "Email address", ada);
  await fill(page, "Password", PASSWORD);
  await press(page, "Create account");
  await fill(page, "Six-digit code", (await mail(ada)).code);
  await press(page, "Confirm");
  await title(page, "Set up an authenticator app");
  await look(page, "enrolment");
  assert.deepEqual(await context.cookies(), []);
  const secret = await page.locator("#secret").innerText();
  await fill(page, "Code that the app shows", totp(secret));
  await press(page, "Continue");
  await title(page, "Keep these recovery codes");
  await look(page, "recovery-codes");
  await press(page, "I have kept them");
  await inAccount(page);
  await signOut(page);
  await signIn(page, ada);
  await fill(page, "Six-digit code", totp(secret, 1));
  await press(page, "Continue");
  await inAccount(page);
  await shown(page, "10 codes are left");
});
