import { waitFor } from "@testing-library/svelte";
import { describe, expect, test } from "vitest";

import { STEPS } from "../features/setup/steps";
import type { TestNote } from "../host";
import { setup as german } from "../i18n/setup-de";
import { setup as english } from "../i18n/setup-en";
import { expectAccessible, World } from "./world";

async function open(...scenes: Parameters<typeof World.open>): Promise<World> {
  const world = await World.open(...scenes);
  world.host.tell({ type: "show", view: { type: "set_up" } });
  await world.find("setup");
  return world;
}

const at = (world: World) => world.get("setup").dataset["step"];

async function goTo(world: World, step: (typeof STEPS)[number]): Promise<void> {
  while (at(world) !== step) await world.click("setup-next");
}

const steps = (world: World) => world.all("test-step").map((row) => [row.dataset["step"], row.dataset["state"]]);

describe.each(["en", "de"] as const)("axe finds nothing in the set-up (%s)", (language) => {
  test.each(STEPS)("%s", async (step) => {
    const world = await open([], language);
    await goTo(world, step);
    await expectAccessible();
  });

  test.each(["tested", "failing"] as const)("the list of a test call: %s", async (scene) => {
    const world = await open([scene], language);
    await goTo(world, "test");
    await expectAccessible();
  });
});

describe("the set-up", () => {
  test("is gone through and back, and each step tells where it is", async () => {
    const world = await open();
    for (const step of STEPS) {
      expect(at(world)).toBe(step);
      if (step !== "done") await world.click("setup-next");
      if (step !== "account") expect(document.activeElement?.tagName).toBe("H1");
    }
    await world.click("setup-back");
    expect(at(world)).toBe("test");
    await world.click("setup-next");
    await world.click("setup-finish");
    await world.find("mailbox");
    await world.asked("end_set_up");
  });

  test("left by a way of its own it has been seen", async () => {
    const world = await open();
    await world.go("people");
    await world.asked("end_set_up");
  });

  test("is begun again in the settings, from the start or with the test call", async () => {
    const world = await World.open();
    await world.go("settings");
    await world.click("setup-again");
    await waitFor(() => expect(at(world)).toBe("account"));
    await world.go("settings");
    await world.click("setup-test");
    await waitFor(() => expect(at(world)).toBe("test"));
  });

  test("chooses the default greeting, or one that is recorded there", async () => {
    const world = await open();
    await goTo(world, "greeting");
    await world.click("setup-default");
    expect((await world.asked("set_standard_greeting")).greeting).toBeNull();
    await world.click("setup-own");
    await world.click("record");
    await world.asked("start_recording");
  });

  test("says at once what the time to ring means", async () => {
    const world = await open();
    await goTo(world, "ringing");
    await world.user.selectOptions(await world.find("setup-ring"), "0");
    await waitFor(() => expect(world.get("setup-ring-explained").textContent).toContain(english.ringing.none));
    await world.user.selectOptions(await world.find("setup-ring"), "15");
    await waitFor(() => expect(world.get("setup-ring-explained").textContent).toContain(english.ringing.explained(15, 3)));
  });

  test("a test notification that isn’t shown is told of", async () => {
    const world = await open();
    await goTo(world, "notifications");
    world.host.failures.set("test_notification", "notification_not_shown");
    await world.click("test-notification");
    await waitFor(() => expect(document.querySelector("[data-code=notification_not_shown]")).not.toBeNull());
    await world.click("test-notification");
    await waitFor(() => expect(world.get("test-notification-state").dataset["state"]).toBe("shown"));
  });
});

describe("the test call", () => {
  test("turns green step by step, is heard, and its message is removed", async () => {
    const world = await open();
    await goTo(world, "test");
    await world.click("test-call-start");
    await waitFor(() => expect(world.get("test-call").dataset["state"]).toBe("passed"));
    expect(steps(world).every(([, state]) => state === "done")).toBe(true);
    await world.click("test-call-listen");
    await world.asked("play_test_call");
    await world.click("test-call-remove");
    expect((await world.asked("act")).action).toBe("expunge");
    await waitFor(() => expect(world.all("test-call-remove")).toEqual([]));
  });

  test("a ringing one isn’t answered but sent to the mailbox", async () => {
    const world = await World.open();
    const call = { id: "1", direction: "incoming", party: { number: "test-call", name: "Test call", initials: "TC" }, state: { type: "ringing" }, muted: false, recording: false, recordable: false, held: false, held_by_other: false, quality: null, digits: "", waiting_messages: 0, test: true } as const;
    world.host.tellApp({ calls: [call] });
    await world.find("ringing");
    await expectAccessible();
    expect(world.all("answer")).toEqual([]);
    await world.click("decline");
    expect((await world.asked("decline")).call).toBe(call.id);
  });

  test("says what failed and what is left out", async () => {
    const world = await open(["failing"]);
    await goTo(world, "test");
    expect(world.get("test-call").dataset["state"]).toBe("failed");
    expect(steps(world).filter(([, state]) => state !== "done")).toEqual([["rang", "skipped"], ["greeting", "failed"]]);
    expect(world.all("test-step")[3]?.textContent).toContain(english.test.notes.greeting_lost({ type: "greeting_lost" }));
  });

  test("one that is refused is told of where it was asked", async () => {
    const world = await open();
    await goTo(world, "test");
    world.host.failures.set("start_test_call", "rate_limited");
    await world.click("test-call-start");
    await waitFor(() => expect(document.querySelector("[data-code=rate_limited]")).not.toBeNull());
  });

  test("every note has a sentence of its own in both languages", () => {
    for (const words of [english, german]) {
      const samples: TestNote[] = [{ type: "refused", status: 503 }, { type: "refused", status: 404 }, { type: "refused", status: null }, { type: "measured", spoken_ms: 5500, arrived_ms: 5480, louder: 0 }, { type: "measured", spoken_ms: 5500, arrived_ms: 5480, louder: -12 }];
      const said = samples.map((note) => (words.test.notes[note.type] as (note: TestNote) => string)(note));
      expect(new Set(said).size).toBe(samples.length);
      for (const [type, note] of Object.entries(words.test.notes)) expect((note as (note: never) => string)({ type, duration_ms: 1, status: 1, spoken_ms: 1, arrived_ms: 1, louder: 1 } as never).length).toBeGreaterThan(10);
    }
  });
});
