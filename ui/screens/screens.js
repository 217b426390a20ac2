// Every view of the interface over the host in memory, in a real browser: light and dark, English and German, narrow and wide.
//
// `npm run screens` photographs them into docs/screens, `npm run screens -- --into FOLDER --only mailbox,people` some of them elsewhere;
// `npm run test:screens` takes no pictures. Either way axe looks at each, contrast included, nothing may be wider than its window, and
// what is found ends it with an error. `--report FILE` says how many were looked at.
import { mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { losslessCompressPng } from "@napi-rs/image";
import puppeteer from "puppeteer-core";
import { preview } from "vite";

const SIZES = { wide: [1200, 760], narrow: [380, 760] };
const LOOKS = [
  { theme: "light", lang: "en" },
  { theme: "dark", lang: "de" },
];
const ALL = [
  { theme: "light", lang: "en" },
  { theme: "dark", lang: "en" },
  { theme: "light", lang: "de" },
  { theme: "dark", lang: "de" },
];

const click = (id) => (page) => page.click(`[data-testid="${id}"]`);
const clickNth = (id, n) => async (page) => (await page.$$(`[data-testid="${id}"]`))[n].click();
const type = (id, text) => (page) => page.type(`[data-testid="${id}"]`, text);
/** A day, however the browser writes it. */
const choose = (id, day) => (page) =>
  page.$eval(
    `[data-testid="${id}"]`,
    (field, day) => {
      field.value = day;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    },
    day,
  );
const key = (name) => (page) => page.keyboard.press(name);
const further = async (page) => {
  await page.keyboard.down("Shift");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.up("Shift");
};
/** In a narrow window the list comes first. */
const openFirst = (page) => page.click("[data-testid=message-row]");

/** Each view: its world, its section, and what is done in it before the picture is taken. */
const VIEWS = [
  { name: "mailbox", world: "playing", looks: ALL },
  { name: "message", world: "playing", steps: [openFirst] },
  { name: "mailbox-all", steps: [click("folder-all")] },
  { name: "mailbox-selected", steps: [click("folder-all"), key("x"), further, further] },
  { name: "mailbox-saved", steps: [click("folder-saved")] },
  { name: "mailbox-trash", steps: [click("folder-trash")] },
  { name: "mailbox-search", steps: [click("folder-all"), type("search", "brandt")] },
  { name: "mailbox-search-none", steps: [click("folder-all"), type("search", "zebra")] },
  { name: "mailbox-full", world: "full" },
  { name: "mailbox-empty", world: "empty" },
  { name: "mailbox-loading", world: "loading" },
  { name: "mailbox-offline", world: "offline" },
  { name: "forward", steps: [openFirst, click("forward"), type("forward-to", "am")] },
  { name: "shortcuts", steps: [key("?")] },
  { name: "toast", steps: [openFirst, click("delete")] },
  { name: "ringing", world: "ringing", looks: ALL },
  { name: "in-call-elsewhere", world: "in_call" },
  { name: "calls", section: "calls" },
  { name: "calls-figures", section: "calls", steps: [clickNth("call-row-figures", 1)] },
  { name: "calls-empty", section: "calls", world: "empty" },
  { name: "dial-pad", section: "calls", steps: [showPad, type("dial-number", "ha")] },
  { name: "in-call", section: "calls", world: "in_call", looks: ALL },
  { name: "in-call-keypad", section: "calls", world: "in_call", steps: [click("keypad"), click("digit-4"), click("digit-2"), click("digit-#")] },
  { name: "in-call-recorded", section: "calls", world: "in_call", steps: [click("call-record")] },
  { name: "on-hold", section: "calls", world: "held" },
  { name: "people", section: "people" },
  { name: "people-none", section: "people", steps: [type("people-search", "zebra")] },
  { name: "greetings", section: "greetings", looks: ALL },
  { name: "greetings-empty", section: "greetings", world: "empty" },
  { name: "greetings-offline", section: "greetings", world: "offline" },
  { name: "greeting-edit", section: "greetings", steps: [click("greeting-edit")] },
  { name: "greeting-until", section: "greetings", steps: [click("greeting-temporary"), click("greeting-temporary"), choose("greeting-until", "2026-12-06")] },
  { name: "greeting-name", section: "greetings", steps: [click("name-record"), click("record"), wait("record-gauge"), click("record-stop"), wait("trim-to")] },
  { name: "greeting-new", section: "greetings", steps: [click("greeting-new"), click("template-vacation")] },
  { name: "greeting-recording", section: "greetings", world: "recording" },
  { name: "greeting-recorded", section: "greetings", world: "recorded", steps: [type("greeting-title", "Office")], looks: ALL },
  { name: "rules", section: "greetings", steps: [click("section-rules")], looks: ALL },
  { name: "rules-more", section: "greetings", steps: [click("section-rules"), async (page) => page.$eval("[data-testid=own-day-add]", (button) => button.scrollIntoView({ block: "end" }))] },
  { name: "rules-empty", section: "greetings", world: "empty", steps: [click("section-rules")] },
  { name: "rules-offline", section: "greetings", world: "offline", steps: [click("section-rules")] },
  { name: "rule", section: "greetings", steps: [click("section-rules"), click("rule-edit")], looks: ALL },
  { name: "rules-keys", section: "greetings", steps: [click("section-rules"), async (page) => page.$eval("[data-testid=key-0]", (button) => button.scrollIntoView({ block: "end" }))], looks: ALL },
  { name: "key", section: "greetings", steps: [click("section-rules"), click("key-4")] },
  { name: "rule-ringing", section: "greetings", steps: [click("section-rules"), click("rule-new-answering")] },
  { name: "group", section: "greetings", steps: [click("section-rules"), click("group-edit")] },
  { name: "simulator", section: "greetings", steps: [click("greeting-temporary"), click("section-simulator"), click("simulation-passed")], looks: ALL },
  { name: "simulator-colleague", section: "greetings", steps: [click("section-simulator"), click("caller-colleague")] },
  { name: "settings", section: "settings", steps: [click("quiet")], looks: ALL },
  { name: "settings-sound", section: "settings", steps: [async (page) => page.$eval("[data-testid=microphone]", (field) => field.scrollIntoView())] },
  { name: "settings-phone", section: "settings", steps: [async (page) => page.$eval("[data-testid=menu-layout]", (field) => field.scrollIntoView({ block: "end" }))] },
  { name: "settings-more", section: "settings", steps: [scrollDown] },
  { name: "set-up", section: "setup", looks: ALL },
  { name: "set-up-sound", section: "setup", steps: [next(1), click("test-microphone")] },
  { name: "set-up-greeting", section: "setup", world: "empty", steps: [next(2), click("setup-own")] },
  { name: "set-up-ringing", section: "setup", steps: [next(3)] },
  { name: "set-up-notifications", section: "setup", steps: [next(4), click("test-notification"), wait("test-notification-state")] },
  { name: "set-up-test", section: "setup", world: "tested", steps: [next(5)], looks: ALL },
  { name: "set-up-test-failed", section: "setup", world: "failing", steps: [next(5)] },
  { name: "set-up-test-ringing", section: "setup", steps: [next(5), click("test-call-start"), wait("ringing")] },
  { name: "set-up-done", section: "setup", world: "tested", steps: [next(6)] },
  { name: "sign-in", world: "signed_out", looks: ALL },
  { name: "sign-in-wrong", world: "signed_out", steps: [type("server", "phone.example.com"), type("user", "maria"), type("password", "wrong"), click("submit"), wait("sign-in-error")] },
  { name: "sign-in-invitation", world: "invited" },
  { name: "sign-in-revoked", world: "revoked" },
  { name: "keyring-locked", world: "locked" },
];

async function showPad(page) {
  const pad = (await page.$$(".switch button"))[1];
  if (await pad?.isVisible()) await pad.click();
}

async function scrollDown(page) {
  await page.$eval(".settings", (main) => main.scrollTo(0, main.scrollHeight));
}

/** So many steps on. */
function next(count) {
  return async (page) => {
    for (let step = 0; step < count; step += 1) await page.click("[data-testid=setup-next]");
  };
}

function wait(id) {
  return (page) => page.waitForSelector(`[data-testid="${id}"]`);
}

/** Every picture is taken at the same time of the same day. */
const NOW = new Date(2026, 10, 20, 14, 39).getTime();
function stopTheClock(now) {
  const real = Date;
  const begun = real.now();
  globalThis.Date = class extends real {
    constructor(...given) {
      if (given.length === 0) super(globalThis.Date.now());
      else super(...given);
    }
    static now() {
      return now + real.now() - begun;
    }
  };
}

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const { values: given } = parseArgs({
  options: { check: { type: "boolean" }, into: { type: "string" }, only: { type: "string" }, report: { type: "string" } },
});
const folder = resolve(given.into ?? "../docs/screens");
const wanted = given.only?.split(",");
const found = [];
let looked = 0;
let failed = 0;

async function photograph(browser, origin, view, size, { theme, lang }, zoom = 1) {
  const [width, height] = SIZES[size];
  const before = found.length;
  const page = await browser.newPage();
  page.on("pageerror", (error) => found.push(`${view.name}: ${error.message}`));
  await page.setBypassCSP(true);
  await page.evaluateOnNewDocument(stopTheClock, NOW);
  await page.setViewport({ width: Math.round(width / zoom), height: Math.round(height / zoom), deviceScaleFactor: zoom });
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: theme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  await page.goto(`${origin}/?world=${view.world ?? ""}&lang=${lang}#/${view.section ?? "mailbox"}`);
  await page.waitForSelector("main");
  await page.evaluate(() => document.fonts.ready);
  for (const step of view.steps ?? []) await step(page);
  // The pointer rests where it touches nothing.
  await page.mouse.move(0, 0);
  await page.evaluate(async () => {
    for (let frame = 0; frame < 3; frame += 1) await new Promise((done) => requestAnimationFrame(done));
    await Promise.all(document.getAnimations().map(({ finished }) => finished));
  });
  const name = [view.name, size, theme, lang, zoom === 1 ? "" : "zoomed"].filter(Boolean).join("-");
  if (!given.check) await writeFile(join(folder, `${name}.png`), await losslessCompressPng(await page.screenshot(), { strip: true }));
  await page.addScriptTag({ path: axe });
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, nodes } of violations) found.push(`${name}: ${id}: ${nodes.map(({ html, any }) => `${html.slice(0, 120)} ${any[0]?.message ?? ""}`).join(" | ")}`);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (overflow > 0) found.push(`${name}: ${overflow} pixels wider than the window`);
  await page.close();
  looked += 1;
  if (found.length > before) failed += 1;
}

const server = await preview({ preview: { port: 0, strictPort: false }, logLevel: "silent" });
const origin = server.resolvedUrls.local[0].replace(/\/$/, "");
const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--force-color-profile=srgb"] });
if (!given.check) await mkdir(folder, { recursive: true });
try {
  for (const view of VIEWS.filter(({ name }) => wanted === undefined || wanted.includes(name))) {
    for (const size of Object.keys(SIZES)) for (const look of view.looks ?? LOOKS) await photograph(browser, origin, view, size, look);
    if (view.looks === ALL) await photograph(browser, origin, view, "wide", LOOKS[0], 2);
  }
} finally {
  await browser.close();
  await server.close();
}
for (const line of found) console.error(line);
console.log(`${looked} views looked at, ${found.length} findings${given.check ? "" : `; the pictures are in ${folder}`}`);
if (given.report !== undefined) await writeFile(given.report, JSON.stringify({ passed: looked - failed, failed }));
process.exit(found.length > 0 ? 1 : 0);
