import { render, screen } from "@testing-library/svelte";
import { createRawSnippet } from "svelte";
import { describe, expect, test } from "vitest";

import type { Scene } from "../host/fake";
import { PEOPLE, speech } from "../host/fake-data";
import Button from "../kit/Button.svelte";
import Chips from "../kit/Chips.svelte";
import Dialog from "../kit/Dialog.svelte";
import Empty from "../kit/Empty.svelte";
import IconButton from "../kit/IconButton.svelte";
import { Phone, Voicemail } from "../kit/icons";
import Meter from "../kit/Meter.svelte";
import Notice from "../kit/Notice.svelte";
import PeoplePicker from "../kit/PeoplePicker.svelte";
import Player from "../kit/Player.svelte";
import Quality from "../kit/Quality.svelte";
import SearchField from "../kit/SearchField.svelte";
import SelectField from "../kit/SelectField.svelte";
import Shortcuts from "../kit/Shortcuts.svelte";
import Slider from "../kit/Slider.svelte";
import Switch from "../kit/Switch.svelte";
import TestMessage from "../kit/TestMessage.svelte";
import TextField from "../kit/TextField.svelte";
import { expectAccessible, World } from "./world";

const words = createRawSnippet(() => ({ render: () => "<span>Some words</span>" }));
const nothing = () => {};
const TASTE = { rate_percent: 125, volume_percent: 80, skip_silence: true };

describe("axe finds nothing in the kit", () => {
  const kit: Record<string, () => void> = {
    Button: () => void render(Button, { children: words, icon: Phone, kind: "primary" }),
    IconButton: () => void render(IconButton, { label: "Call", icon: Phone }),
    Chips: () => void render(Chips, { label: "Folders", options: [{ value: "a", label: "A" }], value: "a", onchange: nothing }),
    Dialog: () => void render(Dialog, { open: true, title: "Forward", description: "A message", testid: "d", onclose: nothing, children: words }),
    Empty: () => void render(Empty, { icon: Voicemail, title: "Nothing", text: "Here" }),
    Meter: () => void render(Meter, { label: "Microphone", level: 40, testid: "m" }),
    Slider: () => void render(Slider, { label: "Volume", value: 80, max: 150, step: 5, text: "80 %", testid: "v", onchange: nothing }),
    Notice: () => void render(Notice, { children: words, alert: true, tone: "danger" }),
    PeoplePicker: () => void render(PeoplePicker, { label: "To", placeholder: "Name", people: PEOPLE, chosen: ["warehouse"], onchange: nothing }),
    Player: () =>
      void render(Player, { peaks: speech(1), durationMs: 42_000, playable: true, playback: null, taste: TASTE, ontaste: nothing, onplay: nothing, onpause: nothing, onseek: nothing }),
    Quality: () => void render(Quality, { quality: { bars: 2, codec: "Opus", round_trip_ms: 40, loss_permille: 31, jitter_ms: 22, mos_tenths: 31, relayed: true, one_way: true } }),
    Shortcuts: () => void render(Shortcuts, { onclose: nothing }),
    Switch: () => void render(Switch, { label: "New messages", hint: "Tells of them", on: true, testid: "s", onchange: nothing }),
    SearchField: () => void render(SearchField, { label: "Search", value: "", testid: "s", shortcut: "/" }),
    SelectField: () => void render(SelectField, { label: "Language", options: [{ value: "en", label: "English" }], value: "en", testid: "l", onchange: nothing }),
    TestMessage: () => void render(TestMessage, { progress: { type: "arrived", message: "1", after_ms: 200 }, onstart: nothing, onopen: nothing }),
    TextField: () => void render(TextField, { label: "Password", value: "", testid: "p", secret: true, hint: "Of the account" }),
  };

  test.each(Object.keys(kit))("%s", async (name) => {
    kit[name]?.();
    expect(document.body.textContent.length + document.querySelectorAll("button, input, select, svg, [role]").length).toBeGreaterThan(0);
    await expectAccessible();
  });

  test("PeoplePicker, open", async () => {
    kit["PeoplePicker"]?.();
    screen.getByTestId("forward-to").focus();
    await screen.findAllByTestId("forward-option");
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

  test("forward dialog", async () => {
    const world = await World.open([], language);
    await world.find("message");
    await world.click("forward");
    await world.find("forward-dialog");
    await expectAccessible();
  });
});
