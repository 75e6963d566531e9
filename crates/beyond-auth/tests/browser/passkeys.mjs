// A passkey: made in the account, signed in with by the button and by autofill, renamed, removed.

import assert from "node:assert/strict";
import { fill, flow, inAccount, look, open, press, shown, signIn, signOut, signUp, title, totp } from "./support.mjs";

const ada = "ada@example.com";

await flow(async (newcomer) => {
  const { page, context } = await newcomer();
  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  const present = (enabled) =>
    devtools.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled });

  await signUp(page, ada);
  await press(page, "Add a passkey");
  await shown(page, "Not used yet");
  const { credentials } = await devtools.send("WebAuthn.getCredentials", { authenticatorId });
  assert.equal(credentials.length, 1);
  assert.ok(credentials[0].isResidentCredential);
  await look(page, "account");

  // Of this browser's own accord: the account has a passkey here already.
  await press(page, "Add a passkey");
  await shown(page, "This device has a passkey for your account already.");

  // Nobody touches it: the autofill waits, and the button is there all the while.
  await present(false);
  await signOut(page);
  await open(page, "/auth/sign-in");
  await title(page, "Sign in");
  await look(page, "sign-in");
  await present(true);
  await press(page, "Sign in with a passkey");
  await inAccount(page);
  await shown(page, "Last used");

  await press(page, /^Rename/);
  await fill(page, "Name of the passkey", "Ada's laptop");
  await press(page.locator("#ask"), "Save");
  await shown(page, "Ada's laptop");

  // As the second factor as well.
  await press(page, "Set up an authenticator app");
  await title(page, "Set up an authenticator app");
  await page.locator("#enrol-code").fill(totp(await page.locator("#secret").innerText()));
  await press(page.locator("#enrol"), "Continue");
  await press(page, "I have kept them");
  await present(false);
  await signOut(page);
  await signIn(page, ada);
  await title(page, "One more step");
  await press(page, "Use a passkey");
  await look(page, "second-factor");
  await present(true);
  await press(page, "Use a passkey");
  await inAccount(page);
  await shown(page, "10 codes are left");

  await page.getByRole("button", { name: "Remove: Ada's laptop" }).click();
  await press(page.locator("#ask"), "Remove");
  await page.locator("#passkeys").getByText("Ada's laptop").waitFor({ state: "detached" });
  await signOut(page);

  // The device offers what the service no longer knows.
  await open(page, "/auth/sign-in");
  await press(page, "Sign in with a passkey");
  await page.getByRole("alert").filter({ hasText: /./ }).first().waitFor();
});
