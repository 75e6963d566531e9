// An invitation: accepted by somebody who has no account yet, declined by somebody who has one, refused to a third.

import assert from "node:assert/strict";
import { PASSWORD, fill, flow, inAccount, look, mail, open, press, shown, signUp, title, until } from "./support.mjs";

const ada = "ada@example.com";
const ben = "ben@example.com";
const cat = "cat@example.com";

// Calls the API from a page, as its own scripts do.
function call(page, path, body) {
  const send = async ([path, body]) => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return response.json();
  };
  return page.evaluate(send, [path, body]);
}

await flow(async (newcomer) => {
  const owner = await newcomer();
  await signUp(owner.page, ada);
  const { organization } = await call(owner.page, "/v1/organizations", { name: "Ada's <i>Engines</i>" });
  const invite = (email) => call(owner.page, `/v1/organizations/${organization.slug}/invitations`, { email, role: "member" });
  await owner.page.reload();
  await shown(owner.page, "Ada's <i>Engines</i>");
  await press(owner.page, "Leave: Ada's <i>Engines</i>");
  await owner.page.locator("#ask").getByRole("button", { name: "Leave" }).click();
  await shown(owner.page, "You are the last owner of an organization.");

  // Somebody new: to the sign-up and back again.
  await invite(ben);
  const { link } = await mail(ben);
  const { page, context } = await newcomer();
  await page.goto(link);
  await title(page, "Join Ada's <i>Engines</i>");
  await page.getByText("ada@example.com invites you").waitFor();
  await until(() => page.url().includes("inv_"), false);
  await look(page, "invitation");
  await page.getByRole("link", { name: "Create account" }).click();
  await title(page, "Create your account");
  await until(() => page.getByLabel("Email address").inputValue(), ben);
  await fill(page, "Password", PASSWORD);
  await press(page, "Create account");
  await title(page, "Check your mail");
  await fill(page, "Six-digit code", (await mail(ben)).code);
  await press(page, "Confirm");
  await page.waitForURL("**/auth/invitation");
  await title(page, "Join Ada's <i>Engines</i>");
  await look(page, "accept");
  await press(page, "Accept");
  await title(page, "Welcome to Ada's <i>Engines</i>");
  await press(page, "Continue");
  await inAccount(page);
  await shown(page, "Ada's <i>Engines</i>");
  await look(page, "member");
  await until(() => page.evaluate(() => sessionStorage.length), 0);
  const again = await context.newPage();
  await again.goto(link);
  await title(again, "This invitation does not work");
  await look(again, "spent");

  // Somebody who has an account, and rather not.
  const third = await newcomer();
  await signUp(third.page, cat);
  await invite(cat);
  const second = await mail(cat);
  // Ben finds out what it is, and that it is not for him.
  await page.goto(second.link);
  await page.getByText("You are signed in as ben@example.com").waitFor();
  assert.equal(await page.getByRole("button", { name: "Accept" }).count(), 0);
  await open(third.page, "/auth/account");
  await shown(third.page, "To accept it, open the link in the mail.");
  await third.page.goto(second.link);
  await press(third.page, "Decline");
  await title(third.page, "Invitation declined");
});
