// A mailed link, opened by programs that scan mail and then by the person; the code of the same mail.

import assert from "node:assert/strict";
import { fill, flow, inAccount, look, mail, open, press, signOut, signUp, title, until } from "./support.mjs";

const ada = "ada@example.com";

async function ask(page) {
  await open(page, "/auth/sign-in");
  await fill(page, "Email address", ada);
  await press(page, "Email me a link or code");
  await title(page, "Check your mail");
  return mail(ada);
}

await flow(async (newcomer) => {
  const { page, context } = await newcomer();
  await signUp(page, ada);
  await signOut(page);

  const { link } = await ask(page);
  await look(page, "mailed");
  const [address, fragment] = link.split("#");
  for (const url of [address, `${address}?${fragment}`]) {
    for (const method of ["GET", "HEAD", "GET"]) assert.equal((await fetch(url, { method })).status, 200);
  }
  // One that runs scripts, and looks for a while.
  const scanner = await newcomer();
  await scanner.page.goto(link);
  await title(scanner.page, "Sign in");
  await scanner.page.waitForLoadState("networkidle");
  assert.deepEqual(await scanner.context.cookies(), []);

  const tab = await context.newPage();
  await tab.goto(link);
  await title(tab, "Sign in");
  await until(() => tab.url().includes("ml_"), false);
  await look(tab, "magic-link");
  await press(tab, "Sign in");
  await inAccount(tab);
  const cookie = (await context.cookies()).find(({ name }) => name.endsWith("beyond_session"));
  assert.ok(cookie.httpOnly && cookie.sameSite === "Lax");
  assert.equal(await tab.evaluate(() => document.cookie), "");
  await signOut(tab);

  // Once is once.
  await scanner.page.getByRole("button", { name: "Sign in" }).click();
  await title(scanner.page, "This link does not work");
  await look(scanner.page, "spent");

  // The code works where it was asked for, and nowhere else.
  const { code } = await ask(tab);
  const thief = await newcomer();
  await ask(thief.page);
  await fill(thief.page, "Six-digit code", code);
  await press(thief.page, "Sign in");
  await thief.page.getByRole("alert").filter({ hasText: /./ }).or(thief.page.locator("#mail-code-error")).first().waitFor();
  assert.ok((await thief.context.cookies()).every(({ name }) => !name.endsWith("beyond_session")));

  const own = await ask(tab);
  await fill(tab, "Six-digit code", own.code);
  await press(tab, "Sign in");
  await inAccount(tab);
});
