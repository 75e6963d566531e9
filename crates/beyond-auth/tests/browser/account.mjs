// The account page: profile, addresses, password, devices, step-up in place, deletion.

import { PASSWORD, api, fill, flow, inAccount, look, mail, picture, press, shown, signIn, signUp, title, until } from "./support.mjs";

const ada = "ada@example.com";
const other = "ada@other.example";
const NEW = "nine loud mountains";

await flow(async (newcomer) => {
  const { page, context } = await newcomer();
  await signUp(page, ada);
  await fill(page, "Name", "Ada <b>Lovelace</b>");
  await press(page, "Save");
  await shown(page, "Saved.");
  await page.reload();
  await shown(page, "This device");
  await until(() => page.getByLabel("Name", { exact: true }).inputValue(), "Ada <b>Lovelace</b>");

  await fill(page, "Another address", other);
  await press(page, "Add");
  await shown(page, `We sent a mail to ${other}`);
  await look(page, "account");
  const tab = await context.newPage();
  await tab.goto((await mail(other)).link);
  await press(tab, "Confirm address");
  await title(tab, "Address confirmed");
  await tab.getByRole("link", { name: "Continue" }).click();
  await inAccount(tab);
  await tab.close();
  await page.reload();
  await press(page, `Make primary: ${other}`);
  await page.getByRole("listitem").filter({ hasText: other }).getByText("Primary", { exact: true }).waitFor();
  await press(page, `Remove: ${ada}`);
  await page.locator("#ask").getByRole("button", { name: "Remove" }).click();
  await page.locator("#emails").getByText(ada, { exact: true }).waitFor({ state: "detached" });

  const phone = await newcomer();
  await signIn(phone.page, other);
  await inAccount(phone.page);
  await page.reload();
  await press(page, "Sign out all others");
  await shown(page, "All other devices are signed out.");
  await phone.page.reload();
  await phone.page.waitForURL("**/auth/sign-in");

  // Every session is stale after a second: the page asks who is there, and goes on.
  await api("PATCH", "/v1/admin/settings", { sessions: { fresh_seconds: 1 } });
  await page.waitForTimeout(1_500);
  await fill(page, "Current password", PASSWORD);
  await fill(page, "New password", NEW);
  await press(page, "Change password");
  await title(page, "Confirm that it is you");
  await picture(page, "step-up");
  const dialog = page.locator("#step-up");
  await fill(dialog, "Password", "not the password");
  await dialog.getByRole("button", { name: "Continue" }).click();
  await dialog.getByRole("alert").filter({ hasText: /./ }).or(dialog.locator(".error")).first().waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await page.waitForTimeout(100);
  await press(page, "Change password");
  await fill(dialog, "Password", PASSWORD);
  await dialog.getByRole("button", { name: "Continue" }).click();
  await shown(page, "Your password is changed.");

  await page.waitForTimeout(1_500);
  await press(page, "Delete account");
  await picture(page, "delete");
  await page.locator("#ask").getByRole("button", { name: "Delete account" }).click();
  await fill(dialog, "Password", NEW);
  await dialog.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL("**/auth/sign-out");
  await signIn(page, other, NEW);
  await shown(page, "That did not match.");
});
