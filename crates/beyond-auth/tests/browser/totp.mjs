// Sign-up → mail → proven → password → authenticator app → sign-out → sign-in with it → recovery code.

import assert from "node:assert/strict";
import { PASSWORD, fill, flow, inAccount, look, mail, open, picture, press, shown, signIn, signOut, title, totp, until } from "./support.mjs";

const ada = "ada@example.com";

await flow(async (newcomer) => {
  const { page, context } = await newcomer();

  await open(page, "/auth/sign-up");
  await look(page, "sign-up");
  await fill(page, "Name (optional)", "Ada Lovelace");
  await fill(page, "Email address", "ada");
  await fill(page, "Password", "password1");
  await press(page, "Create account");
  await shown(page, "Enter an address such as name@example.com.");
  await fill(page, "Email address", ada);
  await press(page, "Create account");
  // The error may be there before the answer: passwords are looked at while they are typed.
  await page.locator("#password-error").waitFor();
  await until(() => page.evaluate(() => document.activeElement.id), "password");
  await look(page, "sign-up-refused");
  await fill(page, "Password", PASSWORD);
  await press(page, "Create account");
  await title(page, "Check your mail");
  await look(page, "sign-up-mailed");

  // By the link of the mail, in a tab of its own.
  const { link } = await mail(ada);
  const tab = await context.newPage();
  await tab.goto(link);
  await title(tab, "Confirm your address");
  await until(() => tab.url().includes("ev_"), false);
  await look(tab, "verify-email");
  await press(tab, "Confirm address");
  await title(tab, "Address confirmed");
  await look(tab, "verified");
  await tab.getByRole("link", { name: "Continue" }).click();
  await tab.waitForURL("**/auth/sign-in");
  await tab.close();

  await signIn(page, ada, "not the password");
  await shown(page, "That did not match.");
  await look(page, "sign-in-refused");
  await fill(page, "Password", PASSWORD);
  await press(page, "Sign in");
  await inAccount(page);

  await press(page, "Set up an authenticator app");
  await title(page, "Set up an authenticator app");
  const secret = await page.locator("#secret").innerText();
  await page.locator("#qr").evaluate((image) => image.decode());
  await picture(page, "enrol");
  await page.locator("#enrol-code").fill("000000");
  await page.locator("#enrol").getByRole("button", { name: "Continue" }).click();
  await shown(page, "not valid");
  await page.locator("#enrol-code").fill(totp(secret));
  await page.locator("#enrol").getByRole("button", { name: "Continue" }).click();
  await title(page, "Keep these recovery codes");
  const codes = await page.locator("#codes li").allInnerTexts();
  assert.equal(codes.length, 10);
  await picture(page, "recovery-codes");
  await press(page, "I have kept them");
  await shown(page, "10 codes are left");
  await look(page, "account");
  await signOut(page);
  await look(page, "signed-out");

  await signIn(page, ada);
  await title(page, "One more step");
  await look(page, "second-factor");
  // The code of the enrolment is spent, and so is its step.
  await fill(page, "Six-digit code", totp(secret, 1));
  await press(page, "Continue");
  await inAccount(page);
  await signOut(page);

  await signIn(page, ada);
  await press(page, "Use a recovery code");
  await look(page, "recovery-code");
  await fill(page, "Recovery code", codes[0]);
  await press(page, "Continue");
  await inAccount(page);
  await shown(page, "9 codes are left");
  await signOut(page);

  // Once is once.
  await signIn(page, ada);
  await press(page, "Use a recovery code");
  await fill(page, "Recovery code", codes[0]);
  await press(page, "Continue");
  await page.getByRole("alert").filter({ hasText: /./ }).or(page.locator("#recovery-code-error")).first().waitFor();
});
