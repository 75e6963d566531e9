// An account elsewhere: signing in through the pages of a real OpenID provider, disconnecting and connecting it.

import assert from "node:assert/strict";
import { BASE, api, flow, inAccount, look, mail, open, picture, press, shown, signOut, title, until } from "./support.mjs";

const provider = JSON.parse(process.env.PROVIDER);
const ada = "ada@example.com";

// The provider's own pages, which load a font from far away.
async function agree(page, name) {
  await page.getByPlaceholder("Enter any login").fill(name);
  await page.getByPlaceholder("and password").fill("any");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("heading", { name: "Authorize" }).waitFor();
  await page.getByRole("button", { name: "Continue" }).click();
}

await flow(async (newcomer) => {
  await api("PUT", "/v1/admin/oauth-providers", {
    id: "peer",
    kind: "oidc",
    name: "Example SSO",
    ...provider,
    trust_email: true,
    allow_sign_up: true,
  });

  const { page, context } = await newcomer();
  await context.route(/googleapis/, (route) => route.abort());
  await open(page, "/auth/sign-up");
  await page.getByRole("button", { name: "Continue with Example SSO" }).waitFor();
  await look(page, "sign-up");
  await open(page, "/auth/sign-in");
  await look(page, "sign-in");

  await press(page, "Continue with Example SSO");
  await page.getByRole("link", { name: "Cancel" }).click();
  await title(page, "Sign in");
  await shown(page, "You did not agree");
  await until(() => page.url(), `${BASE}/auth/sign-in`);

  // What comes back is of use in this tab alone, and once: nothing of it stays in the address.
  const seen = [];
  page.on("framenavigated", (frame) => seen.push(frame.url()));
  await press(page, "Continue with Example SSO");
  await agree(page, ada);
  await inAccount(page);
  const last = seen.find((url) => url.startsWith(`${BASE}/auth/sign-in?`));
  assert.match(last, /[?&]code=oac_/);
  for (const url of seen) assert.doesNotMatch(url, /session_|id_token|access_token|refresh/);
  await open(page, new URL(last).pathname + new URL(last).search);
  await shown(page, "The sign-in was not finished.");

  await open(page, "/auth/account");
  const row = page.locator("#identities").getByRole("listitem");
  await row.filter({ hasText: ada }).waitFor();
  await look(page, "account");
  await press(page, "Disconnect: Example SSO");
  await page.locator("#ask").getByRole("button", { name: "Disconnect" }).click();
  await row.waitFor({ state: "detached" });
  assert.match((await mail(ada)).subject, /disconnected/);

  // The provider knows the person by now, and has been agreed to.
  await press(page, "Connect Example SSO");
  await shown(page, "The account is connected.");
  await row.filter({ hasText: ada }).waitFor();
  await until(() => page.url(), `${BASE}/auth/account`);
  assert.match((await mail(ada)).subject, /was connected/);

  // Who is to confirm a change does it where the account is, and is back for it.
  await api("PATCH", "/v1/admin/settings", { sessions: { fresh_seconds: 1 } });
  await page.waitForTimeout(1_500);
  const disconnect = async () => {
    await press(page, "Disconnect: Example SSO");
    await page.locator("#ask").getByRole("button", { name: "Disconnect" }).click();
  };
  await disconnect();
  await title(page, "Confirm that it is you");
  await picture(page, "step-up");
  await press(page.locator("#step-up"), "Continue with Example SSO");
  await shown(page, "Thank you. Go on");
  await shown(page, "This device");
  await api("PATCH", "/v1/admin/settings", { sessions: { fresh_seconds: 600 } });
  await disconnect();
  await row.waitFor({ state: "detached" });
  await press(page, "Connect Example SSO");
  await row.filter({ hasText: ada }).waitFor();

  await signOut(page);
  await open(page, "/auth/sign-in");
  await press(page, "Continue with Example SSO");
  await inAccount(page);
});
