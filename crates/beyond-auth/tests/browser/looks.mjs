// Every page in both colours, at 320 pixels and in both languages; the project's own look; the way back.

import assert from "node:assert/strict";
import { BASE, PASSWORD, api, flow, look, open, signUp, title } from "./support.mjs";

const APP = "http://localhost:1/after?sign=in";
const PAGES = ["sign-in", "sign-up", "sign-out", "verify-email", "forgot-password", "magic-link#token=x", "reset-password#token=x", "verify-email#token=x", "invitation#token=x"];

await flow(async (newcomer) => {
  const { page, context } = await newcomer();
  for (const locale of ["en", "de"]) {
    const reader = await newcomer({ locale });
    for (const path of PAGES) {
      await open(reader.page, `/auth/${path}`);
      await reader.page.locator("h1:visible").waitFor();
      assert.equal(await reader.page.evaluate(() => document.documentElement.lang), locale);
      await look(reader.page, `${path.replace("#token=x", "-link")}-${locale}`);
    }
    await reader.context.close();
  }

  await api("PATCH", "/v1/admin/settings", {
    branding: { name: "Ada's <i>Engines</i>", primary_color: "#ffd400" },
    allowed_origins: ["http://localhost:1"],
  });
  await open(page, "/auth/sign-in");
  await page.getByText("Ada's <i>Engines</i>").waitFor();
  await look(page, "branded");
  const fill = await page.getByRole("button", { name: "Sign in", exact: true }).evaluate((button) => getComputedStyle(button).backgroundColor);
  assert.equal(fill, "rgb(255, 212, 0)");

  // By keyboard alone, with the ways back carried along.
  await signUp(page, "ada@example.com");
  await context.clearCookies();
  await open(page, `/auth/sign-up?redirect_to=${encodeURIComponent(APP)}`);
  await page.getByRole("link", { name: "Sign in" }).click();
  await page.waitForURL((url) => url.searchParams.get("redirect_to") === APP);
  await page.route("http://localhost:1/**", (route) => route.fulfill({ body: "the application" }));
  await page.getByLabel("Email address").focus();
  await page.keyboard.type("ada@example.com");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await page.waitForURL(APP);

  await context.clearCookies();
  for (const evil of ["https://evil.test/", "//evil.test", "http://localhost:1@evil.test/", "javascript:alert(1)", "http://localhost:1.evil.test"]) {
    await open(page, `/auth/sign-out?redirect_to=${encodeURIComponent(evil)}`);
    await title(page, "You are signed out");
    const links = await page.locator("a[href]").evaluateAll((all) => all.map(({ href }) => new URL(href).origin));
    assert.deepEqual([...new Set(links)], [BASE]);
    assert.equal(await page.evaluate(() => document.body.dataset.return), "");
  }
});
