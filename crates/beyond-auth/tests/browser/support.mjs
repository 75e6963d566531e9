// What the flows share: a browser, people in it, their mail, what every page must hold.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdirSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { chromium } from "playwright-core";

export const { BASE, ADMIN_SECRET, CHROME_PATH, SHOTS } = process.env;
export const PASSWORD = "seven quiet rivers";
// For a machine that is busy with other tests; what is there is seen at once.
const PATIENCE = 120_000;

// Runs a flow: fails on what the browser complains about too, and leaves a picture of where it failed.
export async function flow(act) {
  mkdirSync(SHOTS, { recursive: true });
  const browser = await chromium.launch({
    executablePath: CHROME_PATH,
    // The tests may run as root, and in containers with a small /dev/shm.
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  const people = [];
  const newcomer = async (options) => {
    const person = await somebody(browser, options);
    people.push(person);
    return person;
  };
  try {
    await act(newcomer);
    for (const { complaints } of people) assert.deepEqual(complaints, []);
  } catch (error) {
    for (const [n, { page, complaints }] of people.entries()) {
      console.error(`person ${n}: ${page.url()} ${JSON.stringify(complaints)}`);
      const text = page.locator("body").innerText();
      console.error(await text.catch(String));
      await page.screenshot({ path: `${SHOTS}/failed-${n}.png`, fullPage: true }).catch(String);
    }
    console.error(error);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

let addresses = 0;

// A browser of one's own, at a network address of one's own, so that limits by address are too.
async function somebody(browser, options = {}) {
  addresses += 1;
  const context = await browser.newContext({
    // Half-way between day and night no colour is what it will be.
    reducedMotion: "reduce",
    locale: "en",
    extraHTTPHeaders: { "x-forwarded-for": `198.51.100.${addresses}` },
    viewport: { width: 1000, height: 800 },
    ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  // What others write into their own pages is not for us to judge.
  const elsewhere = (frame) => frame && /^http/.test(frame.url()) && new URL(frame.url()).origin !== BASE;
  page.on("console", (message) => {
    if (elsewhere(page.mainFrame())) return;
    // The browser notes every refusal of the API; whether one is meant is for the flow to say.
    const refusal = /status of 4\d\d/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !refusal) complaints.push(message.text());
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    const leaves = origin !== BASE && protocol !== "data:" && !elsewhere(request.frame());
    if (leaves && !request.isNavigationRequest()) complaints.push(`asked ${origin}`);
  });
  return { context, page, complaints };
}

// What a blind, a keyboard or a phone user needs; a small part of what axe looks for.
export async function check(page) {
  const found = await page.evaluate(() => {
    const seen = (element) => element.checkVisibility({ visibilityProperty: true });
    const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
    const name = (element) =>
      element.getAttribute("aria-label") || element.labels?.[0]?.innerText || element.innerText || element.alt || "";
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    const wrong = [];
    for (const element of all("input, button, a[href], img")) {
      if (!name(element).trim()) wrong.push(`no name: ${element.outerHTML}`);
    }
    for (const element of all("[aria-describedby], [aria-labelledby]")) {
      for (const id of `${element.getAttribute("aria-describedby") ?? ""} ${element.getAttribute("aria-labelledby") ?? ""}`.split(" ")) {
        if (id && !document.getElementById(id)) wrong.push(`no ${id}`);
      }
    }
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`twice: ${id}`);
    for (const input of all("input")) {
      if (!input.autocomplete && input.type !== "text") wrong.push(`no autocomplete: ${input.id}`);
      if (input.getBoundingClientRect().height < 24) wrong.push(`small: ${input.id}`);
    }
    for (const button of all("button, a.button")) {
      if (button.getBoundingClientRect().height < 24) wrong.push(`small: ${button.innerText}`);
    }
    // WCAG 2.2, 1.4.3: texts against the nearest ground that is not transparent.
    const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = ([red, green, blue]) => {
      const [r, g, b] = [red, green, blue].map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
      const colour = element ? parts(getComputedStyle(element).backgroundColor) : [255, 255, 255];
      return colour[3] === 0 ? ground(element.parentElement) : colour;
    };
    for (const element of all("body *")) {
      const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      if (!text || element.closest("[aria-disabled], .toast, dialog")) continue;
      const [one, two] = [parts(getComputedStyle(element).color), ground(element)].map(light);
      const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
      if (ratio < 4.5) wrong.push(`${ratio.toFixed(1)} to 1: ${element.innerText}`);
    }
    if (all("h1").length !== 1) wrong.push(`${all("h1").length} h1`);
    if (!document.documentElement.lang || !document.title) wrong.push("no lang or title");
    if (!document.querySelector("main")) wrong.push("no main");
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    if (wide > 0) wrong.push(`${wide}px too wide`);
    return wrong;
  });
  assert.deepEqual(found, [], page.url());
}

export const picture = (page, name, options) =>
  page.screenshot({ path: `${SHOTS}/${name}.png`, animations: "disabled", ...options });

// Pictures by day, by night, and on the smallest phone; each checked.
export async function look(page, name) {
  const size = page.viewportSize();
  for (const [kind, colorScheme, width] of [["light", "light", size.width], ["dark", "dark", size.width], ["320", "light", 320]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: size.height });
    await check(page);
    await picture(page, `${name}-${kind}`, { fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(size);
}

// What scripts bring about is there a moment later.
export async function until(read, expected) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; await new Promise((then) => setTimeout(then, 20))) {
    if (isDeepStrictEqual(await read(), expected)) return;
  }
  assert.deepEqual(await read(), expected);
}

export const title = (page, text) => page.getByRole("heading", { name: text, exact: true }).first().waitFor();
export const fill = (page, label, text) =>
  page.getByLabel(label, { exact: true }).filter({ visible: true }).fill(text);
export const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
export const shown = (page, text) => page.getByText(text).first().waitFor();
export const open = (page, path) => page.goto(BASE + path);

export async function api(method, path, body, token = ADMIN_SECRET) {
  const response = await fetch(BASE + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`);
  return response.status === 204 ? null : response.json();
}

const read = new Set();

// The next mail to an address: `{subject, link, code, …}`.
export async function mail(to) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; await new Promise((then) => setTimeout(then, 50))) {
    const { mails } = await (await fetch(`${BASE}/dev/mailbox.json`)).json();
    const next = mails.reverse().find((mail) => mail.to === to && !read.has(mail.number));
    if (next) {
      read.add(next.number);
      return next;
    }
  }
  throw new Error(`no mail came to ${to}`);
}

// Signs up on the page, proves the address by the code, and ends up in the account.
export async function signUp(page, email) {
  await open(page, "/auth/sign-up");
  await fill(page, "Email address", email);
  await fill(page, "Password", PASSWORD);
  await press(page, "Create account");
  await title(page, "Check your mail");
  await fill(page, "Six-digit code", (await mail(email)).code);
  await press(page, "Confirm");
  await inAccount(page);
}

export async function signIn(page, email, password = PASSWORD) {
  await open(page, "/auth/sign-in");
  await fill(page, "Email address", email);
  await fill(page, "Password", password);
  await press(page, "Sign in");
}

export async function signOut(page) {
  await page.getByRole("link", { name: "Sign out" }).click();
  await press(page, "Sign out");
  await title(page, "You are signed out");
}

export async function inAccount(page) {
  await page.waitForURL(`${BASE}/auth/account`);
  await shown(page, "This device");
}

// RFC 6238, as the app shows it; `later` is so many steps ahead.
export function totp(secret, later = 0) {
  const bits = [...secret.replace(/\s/g, "")].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0"));
  const key = Buffer.from(bits.join("").match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
  const mac = createHmac("sha1", key).update(step).digest();
  const at = mac.at(-1) & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}
