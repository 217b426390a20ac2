import { render, screen, waitFor } from "@testing-library/svelte";
import { createRawSnippet } from "svelte";
import { describe, expect, test } from "vitest";

import type { TestMessageView } from "../host";
import { FakeHost, type Scene } from "../host/fake";
import { PEOPLE, speech } from "../host/fake-data";
import Avatar from "../kit/Avatar.svelte";
import Button from "../kit/Button.svelte";
import Chips from "../kit/Chips.svelte";
import Dialog from "../kit/Dialog.svelte";
import Empty from "../kit/Empty.svelte";
import FormDialog from "../kit/FormDialog.svelte";
import IconButton from "../kit/IconButton.svelte";
import { Phone, PhoneDown, Voicemail } from "../kit/icons";
import Meter from "../kit/Meter.svelte";
import MiniSelect from "../kit/MiniSelect.svelte";
import Notice from "../kit/Notice.svelte";
import PeoplePicker from "../kit/PeoplePicker.svelte";
import Player from "../kit/Player.svelte";
import ProviderFields from "../kit/ProviderFields.svelte";
import Quality from "../kit/Quality.svelte";
import SearchField from "../kit/SearchField.svelte";
import SelectField from "../kit/SelectField.svelte";
import Shortcuts from "../kit/Shortcuts.svelte";
import Slider from "../kit/Slider.svelte";
import Switch from "../kit/Switch.svelte";
import TestMessage from "../kit/TestMessage.svelte";
import TextField from "../kit/TextField.svelte";
import VirtualList from "../kit/VirtualList.svelte";
import Waveform from "../kit/Waveform.svelte";
import { expectAccessible, World } from "./world";

const words = createRawSnippet(() => ({ render: () => "<span>Some words</span>" }));
const item = createRawSnippet((row: () => unknown) => ({ render: () => `<p role="listitem">${String(row())}</p>` }));
const option = createRawSnippet((row: () => unknown) => ({ render: () => `<p role="option" aria-selected="false" tabindex="-1">${String(row())}</p>` }));
const nothing = () => {};
const TASTE = { rate_percent: 125, volume_percent: 80, skip_silence: true };

const DEVICES = new FakeHost().devices;
const PLAYER = { peaks: speech(1), durationMs: 42_000, playable: true, playback: null, taste: TASTE, devices: DEVICES, ondevice: nothing, ontaste: nothing, onplay: nothing, onpause: nothing, onseek: nothing };
const PLAYING = { message: "1", greeting: null, account_greeting: false, position_ms: 12_000, duration_ms: 42_000, playing: true, loading: false, rate_percent: 125, device: "Jabra Evolve2 65" };
const QUALITY = { bars: 4, codec: "Opus", round_trip_ms: 40, loss_permille: 31, jitter_ms: 22, mos_tenths: 31, relayed: true, one_way: false, unheard: false };
const FOLDERS = [
  { value: "a", label: "A" },
  { value: "b", label: "B" },
];
const tested = (progress: TestMessageView) => () => void render(TestMessage, { progress, primary: progress.type === "idle", onstart: nothing, onopen: nothing });
const listed = (role: "list" | "listbox", rows: readonly string[]) => () =>
  void render(VirtualList, { label: "Rows", role, multiple: role === "listbox", total: 3, offset: 0, rows, estimate: 40, testid: "rows", row: role === "list" ? item : option, onneed: nothing });

const FORM = { title: "Forward", testid: "d", submit: "Send", submitTestid: "s", blocked: false, ask: () => Promise.resolve(null), onclose: nothing, children: words };

/** Every component of the kit in each of its states. */
const KIT: Record<string, () => void> = {
  Avatar: () => void render(Avatar, { initials: "AB", size: "huge", tinted: true }),
  ...Object.fromEntries(
    (["primary", "plain", "quiet", "answer", "decline"] as const).flatMap((kind) =>
      [false, true].map((disabled) => [`Button, ${kind}${disabled ? ", disabled" : ""}`, () => void render(Button, { children: words, icon: Phone, kind, disabled })]),
    ),
  ),
  IconButton: () => void render(IconButton, { label: "Call", icon: Phone }),
  "IconButton, on": () => void render(IconButton, { label: "Call", icon: Phone, on: true, "aria-pressed": true }),
  "IconButton, disabled": () => void render(IconButton, { label: "Call", icon: PhoneDown, disabled: true }),
  Chips: () => void render(Chips, { label: "Folders", options: FOLDERS, value: "a", onchange: nothing }),
  "Chips, segmented": () => void render(Chips, { label: "Folders", options: FOLDERS, value: "b", segmented: true, onchange: nothing }),
  Dialog: () => void render(Dialog, { open: true, title: "Forward", description: "A message", testid: "d", onclose: nothing, children: words }),
  "Dialog, wide, without a description": () => void render(Dialog, { open: true, title: "Forward", wide: true, testid: "d", onclose: nothing, children: words }),
  Empty: () => void render(Empty, { icon: Voicemail, title: "Nothing", text: "Here", children: words }),
  FormDialog: () => void render(FormDialog, FORM),
  "FormDialog, blocked": () => void render(FormDialog, { ...FORM, icon: Voicemail, blocked: true, blockedWhy: "Choose somebody" }),
  Meter: () => void render(Meter, { label: "Microphone", level: 40, testid: "m" }),
  "Meter, silent": () => void render(Meter, { label: "Microphone", level: 0, testid: "m" }),
  MiniSelect: () => void render(MiniSelect, { label: "Speed", options: FOLDERS, value: "a", shown: "A", testid: "m", onchange: nothing }),
  Slider: () => void render(Slider, { label: "Volume", value: 80, max: 150, step: 5, text: "80 %", testid: "v", onchange: nothing }),
  Notice: () => void render(Notice, { children: words }),
  "Notice, danger, alert": () => void render(Notice, { children: words, alert: true, tone: "danger" }),
  PeoplePicker: () => void render(PeoplePicker, { label: "To", placeholder: "Name", people: PEOPLE, chosen: ["warehouse"], onchange: nothing }),
  "PeoplePicker, without people": () => void render(PeoplePicker, { label: "To", placeholder: "Name", people: null, chosen: [], onchange: nothing }),
  Player: () => void render(Player, PLAYER),
  "Player, before devices are known": () => void render(Player, { ...PLAYER, devices: null }),
  "Player, playing": () => void render(Player, { ...PLAYER, playback: PLAYING }),
  "Player, paused, silent": () => void render(Player, { ...PLAYER, taste: { ...TASTE, volume_percent: 0 }, playback: { ...PLAYING, playing: false } }),
  "Player, loading": () => void render(Player, { ...PLAYER, playback: { ...PLAYING, loading: true, device: null } }),
  "Player, unplayable": () => void render(Player, { ...PLAYER, playable: false }),
  ProviderFields: () => void render(ProviderFields, { server: "", user: "", password: "" }),
  ...Object.fromEntries([4, 3, 1, 0].map((bars) => [`Quality, ${bars} bars`, () => void render(Quality, { quality: { ...QUALITY, bars } })])),
  "Quality, one way": () => void render(Quality, { quality: { ...QUALITY, round_trip_ms: null, one_way: true } }),
  "Quality, unheard": () => void render(Quality, { quality: { ...QUALITY, unheard: true } }),
  Shortcuts: () => void render(Shortcuts, { onclose: nothing }),
  Switch: () => void render(Switch, { label: "New messages", hint: "Tells of them", on: true, testid: "s", onchange: nothing }),
  "Switch, off": () => void render(Switch, { label: "New messages", on: false, testid: "s", onchange: nothing }),
  SearchField: () => void render(SearchField, { label: "Search", value: "", testid: "s", shortcut: "/" }),
  "SearchField, filled": () => void render(SearchField, { label: "Search", value: "amelie", testid: "s" }),
  SelectField: () => void render(SelectField, { label: "Language", options: [{ value: "en", label: "English" }], value: "en", testid: "l", onchange: nothing }),
  "SelectField, disabled": () => void render(SelectField, { label: "Language", options: FOLDERS, value: "a", testid: "l", disabled: true, onchange: nothing }),
  "TestMessage, idle": tested({ type: "idle" }),
  "TestMessage, calling": tested({ type: "calling" }),
  "TestMessage, greeting": tested({ type: "greeting" }),
  "TestMessage, speaking": tested({ type: "speaking" }),
  "TestMessage, waiting": tested({ type: "waiting" }),
  "TestMessage, arrived": tested({ type: "arrived", message: "1", after_ms: 200 }),
  "TestMessage, failed": tested({ type: "failed", code: "connect" }),
  TextField: () => void render(TextField, { label: "Name", value: "Ada", testid: "p" }),
  "TextField, date": () => void render(TextField, { label: "Until", value: "2026-12-07", testid: "p", type: "date" }),
  "TextField, time": () => void render(TextField, { label: "From", value: "18:05", testid: "p", type: "time" }),
  "TextField, secret": () => void render(TextField, { label: "Password", value: "", testid: "p", secret: true, hint: "Of the account" }),
  "VirtualList, list": listed("list", ["a", "b", "c"]),
  "VirtualList, listbox": listed("listbox", ["a", "b", "c"]),
  "VirtualList, rows on their way": listed("listbox", ["a"]),
  Waveform: () => void render(Waveform, { peaks: speech(1), bars: 34, height: 14, played: 0.4 }),
};

describe("axe finds nothing in the kit", () => {
  test.each(Object.keys(KIT))("%s", async (name) => {
    KIT[name]?.();
    expect(document.body.textContent.length + document.querySelectorAll("button, input, select, svg, [role]").length).toBeGreaterThan(0);
    await expectAccessible();
  });

  test("every component of the kit is looked at", () => {
    const looked = new Set(Object.keys(KIT).map((name) => name.replace(/,.*/, "")));
    const files = Object.keys(import.meta.glob("../kit/*.svelte")).map((path) => path.replace(/.*\/(.*)\.svelte/, "$1"));
    // An icon, which is looked at in the buttons.
    expect(files.filter((name) => !looked.has(name))).toEqual(["PhoneDown"]);
  });

  test("PeoplePicker, open", async () => {
    KIT["PeoplePicker"]?.();
    screen.getByTestId("forward-to").focus();
    await screen.findAllByTestId("forward-option");
    await expectAccessible();
  });

  test("TextField, shown", async () => {
    KIT["TextField, secret"]?.();
    screen.getByRole("button").click();
    await expectAccessible();
  });
});

describe.each(["en", "de"] as const)("axe finds nothing in the views (%s)", (language) => {
  const scenes: readonly (readonly [string, Scene[]])[] = [
    ["sign-in", ["signed_out"]],
    ["locked keyring", ["locked"]],
    ["mailbox", []],
    ["empty mailbox", ["empty"]],
    ["offline", ["offline"]],
    ["ringing in a call", ["ringing", "in_call"]],
    ["playing", ["playing"]],
    ["on hold", ["held"]],
    ["invited", ["invited"]],
    ["loading", ["loading"]],
    ["a mailbox that can’t be read", ["broken"]],
  ];

  test.each(scenes)("%s", async (_, world) => {
    await World.open([...world], language);
    if (!world.some((scene) => ["signed_out", "locked", "empty", "invited", "loading", "broken"].includes(scene))) await screen.findByTestId("message");
    await expectAccessible();
  });

  test.each(["calls", "people", "settings"] as const)("%s", async (section) => {
    const world = await World.open([], language);
    await world.go(section);
    await screen.findAllByTestId({ calls: "call-row", people: "person", settings: "language" }[section]);
    await expectAccessible();
  });

  test("several messages selected", async () => {
    const world = await World.open([], language);
    await world.find("message");
    await world.user.keyboard("x");
    await world.find("marked");
    await expectAccessible();
  });

  test("the keypad in a call", async () => {
    const world = await World.open(["in_call"], language);
    await world.go("calls");
    await world.click("keypad");
    await expectAccessible();
  });

  test("how a call sounded", async () => {
    const world = await World.open([], language);
    await world.go("calls");
    for (const button of await screen.findAllByTestId("call-row-figures")) await world.user.click(button);
    expect(world.all("call-figures")).toHaveLength(3);
    await expectAccessible();
  });

  test("forward dialog", async () => {
    const world = await World.open([], language);
    await world.find("message");
    await world.click("forward");
    await world.find("forward-dialog");
    await expectAccessible();
  });

  test.each(["trash", "saved"] as const)("the folder %s", async (folder) => {
    const world = await World.open([], language);
    await world.click(`folder-${folder}`);
    await screen.findAllByTestId("message-row");
    await world.find("message");
    await expectAccessible();
  });

  test("nothing found", async () => {
    const world = await World.open([], language);
    await world.user.type(await world.find("search"), "zebra");
    await world.find("empty");
    await expectAccessible();
  });

  test("nobody found", async () => {
    const world = await World.open([], language);
    await world.go("people");
    await world.user.type(await world.find("people-search"), "zebra");
    await expectAccessible();
  });

  test("a sign-in that failed", async () => {
    const world = await World.open(["signed_out"], language);
    for (const [field, text] of [["server", "phone.example.com"], ["user", "maria"], ["password", "wrong"]] as const) await world.user.type(await world.find(field), text);
    await world.click("submit");
    await world.find("sign-in-error");
    await expectAccessible();
  });

  test("a toast", async () => {
    const world = await World.open([], language);
    await world.click("delete");
    await world.find("undo");
    await expectAccessible();
  });

  test("the shortcuts", async () => {
    const world = await World.open([], language);
    await world.click("shortcuts");
    await world.find("shortcuts-dialog");
    await expectAccessible();
  });

  test("deleting for ever, once asked", async () => {
    const world = await World.open([], language);
    await world.click("folder-trash");
    await world.click("expunge");
    await expectAccessible();
  });

  test("signing out, once asked", async () => {
    const world = await World.open([], language);
    await world.go("settings");
    await world.click("sign-out");
    await world.find("sign-out-confirm");
    await expectAccessible();
  });

  test("signing a device out, once asked", async () => {
    const world = await World.open([], language);
    await world.go("settings");
    await world.user.click((await screen.findAllByTestId("device-revoke"))[0] ?? document.body);
    await world.find("device-revoke-confirm");
    await expectAccessible();
  });

  test.each(["calls", "mailbox"] as const)("a call that ended, seen in %s", async (section) => {
    const world = await World.open(["in_call"], language);
    await world.go(section);
    await world.click("hang-up");
    await waitFor(() => expect(world.all("call").every((call) => call.dataset["state"] === "ended")).toBe(true));
    await expectAccessible();
  });

  test.each(["dialling", "ringing"] as const)("a call that is %s", async (state) => {
    const world = await World.open([], language);
    world.host.dial("1004", state);
    await world.find("call");
    await world.go("calls");
    await expectAccessible();
  });
});
