// A forgotten password: the link of the mail sets a new one and ends every session there was.

import assert from "node:assert/strict";
import { fill, flow, inAccount, look, mail, open, press, shown, signIn, signUp, title, until } from "./support.mjs";

const ada = "ada@example.com";
const NEW = "nine loud mountains";

await flow(async (newcomer) => {
  const laptop = await newcomer();
  await signUp(laptop.page, ada);
  const phone = await newcomer();
  await signIn(phone.page, ada);
  await inAccount(phone.page);

  const { page } = await newcomer();
  await open(page, "/auth/sign-in");
  await page.getByRole("link", { name: "Forgot password?" }).click();
  await title(page, "Forgot your password?");
  await look(page, "forgot-password");
  await fill(page, "Email address", ada);
  await press(page, "Mail me a link");
  await title(page, "Check your mail");
  await look(page, "mailed");
  const { link } = await mail(ada);

  const [address, fragment] = link.split("#");
  for (const method of ["GET", "HEAD"]) {
    assert.equal((await fetch(`${address}?${fragment}`, { method })).status, 200);
  }
  await page.goto(link);
  await title(page, "Choose a new password");
  await until(() => page.url().includes("pwr_"), false);
  await fill(page, "New password", "password1");
  await press(page, "Set password");
  await page.locator("#password-error").waitFor();
  await look(page, "reset-password");
  await fill(page, "New password", NEW);
  await press(page, "Set password");
  await title(page, "Password changed");
  await look(page, "reset");

  for (const other of [laptop, phone]) {
    await other.page.reload();
    await other.page.waitForURL("**/auth/sign-in");
  }
  await signIn(page, ada);
  await shown(page, "That did not match.");
  await fill(page, "Password", NEW);
  await press(page, "Sign in");
  await inAccount(page);

  await page.goto(link);
  await fill(page, "New password", NEW);
  await press(page, "Set password");
  await title(page, "This link does not work");
});
