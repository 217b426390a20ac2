import { waitFor } from "@testing-library/svelte";
import { describe, expect, test } from "vitest";

import { endOf, lastDay } from "../features/greetings/days";
import { filled, TEMPLATES } from "../features/greetings/templates";
import { expectAccessible, World } from "./world";

const titles = (world: World) => world.all("greeting").map((row) => row.querySelector("h2")?.textContent);

async function open(...scenes: Parameters<typeof World.open>): Promise<World> {
  const world = await World.open(...scenes);
  await world.go("greetings");
  return world;
}

describe("the list", () => {
  test("what callers hear comes first; a greeting plays, becomes the standard one, is lent until a day", async () => {
    const world = await open();
    expect(titles(world).slice(0, 2)).toEqual(["November vacation", "Office"]);
    await expectAccessible();
    await world.user.click(world.all("play")[1] as HTMLElement);
    const office = (await world.asked("play_greeting")).greeting;
    expect(world.all("greeting")[1]?.dataset.greetingId).toBe(office);
    await world.find("pause");
    await world.user.click(world.all("greeting-standard")[0] as HTMLElement);
    await waitFor(() => expect(titles(world)[0]).toBe("November vacation"));
    await world.user.click(world.all("greeting-temporary")[1] as HTMLElement);
    await world.user.type(await world.find("greeting-until"), "2001-02-30");
    expect(world.get("greeting-save")).toHaveProperty("disabled", true);
    await world.user.clear(world.get("greeting-until"));
    await world.user.type(world.get("greeting-until"), "2126-12-06");
    await world.click("greeting-save");
    expect((await world.asked("set_temporary_greeting")).until).toBe(new Date(2126, 11, 7).toISOString());
  });

  test("deleted, and brought back by the toast", async () => {
    const world = await open();
    await world.user.click(world.all("greeting-delete")[1] as HTMLElement);
    await waitFor(() => expect(titles(world)).not.toContain("Office"));
    await world.click("undo");
    await waitFor(() => expect(titles(world)).toContain("Office"));
  });

  test("title and text are changed; what fails is told where it was asked", async () => {
    const world = await open();
    await world.user.click(world.all("greeting-edit")[1] as HTMLElement);
    await world.user.clear(await world.find("greeting-title"));
    expect(world.get("greeting-save")).toHaveProperty("disabled", true);
    await world.user.type(world.get("greeting-title"), "Desk");
    world.host.failures.set("describe_greeting", "connect");
    await world.click("greeting-save");
    await waitFor(() => expect(document.querySelector("[role=alert]")?.textContent).toContain("can’t be reached"));
    await world.click("greeting-save");
    await waitFor(() => expect(titles(world)).toContain("Desk"));
  });

  test("without a connection what needs one rests", async () => {
    const world = await open(["offline"]);
    expect(world.all("greeting-delete")[0]).toHaveProperty("disabled", true);
  });
});

describe("a new one", () => {
  test("recorded after a countdown, trimmed by keys, saved as the standard one", async () => {
    const world = await open(["empty"]);
    await world.click("greeting-new");
    await world.user.click(world.get("template-vacation"));
    const points = () => Object.fromEntries(world.all("advice").map((row) => [row.dataset.point, row.dataset.good]));
    await waitFor(() => expect(points()).toMatchObject({ thanks: "true", current: "false" }));
    await world.user.type(world.get("greeting-ends"), "2126-12-06");
    await waitFor(() => expect(points()).toMatchObject({ current: "true" }));
    expect(world.get("greeting-save").title).toBe("Record something first");
    await world.click("record");
    await waitFor(() => expect(world.get("recorder").dataset.state).toBe("recording"));
    expect(world.get("greeting-text")).toHaveProperty("readOnly", true);
    await world.click("record-stop");
    await waitFor(() => expect(world.get("recorder").dataset.state).toBe("recorded"));
    await expectAccessible();
    world.get("trim-from").focus();
    const before = Number(world.get("trim-to").ariaValueNow ?? world.get("trim-to").getAttribute("aria-valuenow"));
    world.get("trim-to").focus();
    await world.user.keyboard("{ArrowRight}{ArrowLeft}");
    await world.click("play");
    expect((await world.asked("play_recording")).to_ms).toBeLessThanOrEqual(before);
    await world.user.type(world.get("greeting-title"), "Vacation");
    await world.click("greeting-save");
    const saved = await world.asked("save_greeting");
    expect(saved).toMatchObject({ title: "Vacation", use: { type: "standard" }, expires_at: new Date(2126, 11, 7).toISOString() });
    expect(saved.text).toContain("Maria Eckert");
    await waitFor(() => expect(titles(world)).toEqual(["Vacation"]));
  });

  test("a file that is no sound is refused where it was chosen", async () => {
    const world = await open(["empty"]);
    await world.click("greeting-new");
    await world.user.upload(world.get("record-file") as HTMLInputElement, new File(["%PDF"], "letter.ogg", { type: "audio/ogg" }));
    await waitFor(() => expect(world.get("recorder").dataset.state).toBe("recorded"));
    world.host.failures.set("load_recording", "sound_too_long");
    await world.user.upload(world.get("record-file") as HTMLInputElement, new File(["long"], "long.wav", { type: "audio/wav" }));
    await waitFor(() => expect(document.querySelector("[data-code=sound_too_long]")).not.toBeNull());
  });

  test("templates follow name, company and language", () => {
    for (const template of TEMPLATES) {
      expect(filled(template, "de", { name: "Ada Klein", company: "Muster GmbH" })).toMatch(/Ada Klein (bei|von) Muster GmbH/);
      expect(filled(template, "en", { name: "Ada Klein", company: " " })).toMatch(/Ada Klein\./);
    }
  });
});

test("days that are typed", () => {
  const now = new Date(2026, 10, 20, 15).getTime();
  expect(endOf("", now)).toEqual({ type: "none" });
  expect(endOf("2026-11-20", now)).toEqual({ type: "until", at: new Date(2026, 10, 21).toISOString() });
  for (const bad of ["2026-11-19", "2026-02-30", "tomorrow", "7.12.2026"]) expect(endOf(bad, now)).toEqual({ type: "bad" });
  expect(lastDay(new Date(2026, 10, 21).toISOString())).toBe("2026-11-20");
});
