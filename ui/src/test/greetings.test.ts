import { waitFor } from "@testing-library/svelte";
import { describe, expect, test } from "vitest";

import { endOf, lastDay } from "../features/greetings/days";
import { draftOf, lackOf, whenOf } from "../features/greetings/rules/when";
import { filled, TEMPLATES } from "../features/greetings/templates";
import { i18n } from "../i18n/index.svelte";
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
    await world.user.type(await world.find("greeting-until"), "2001-02-03");
    expect(world.get("greeting-save")).toHaveProperty("disabled", true);
    await world.user.clear(world.get("greeting-until"));
    await world.user.type(world.get("greeting-until"), "2126-12-06");
    await world.click("greeting-save");
    expect((await world.asked("set_temporary_greeting")).until).toBe(new Date(2126, 11, 7).toISOString());
  });

  test("found by what is said in them, whatever the capitals and accents", async () => {
    const world = await open();
    const all = titles(world).length;
    await world.user.type(await world.find("greeting-search"), "VACATION märia");
    await waitFor(() => expect(titles(world)).toEqual(["November vacation"]));
    await expectAccessible();
    await world.user.type(world.get("greeting-search"), " xyz");
    await waitFor(() => expect(world.get("empty").textContent).toContain("xyz"));
    await expectAccessible();
    await world.user.keyboard("{Escape}");
    await waitFor(() => expect(titles(world)).toHaveLength(all));
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

describe("the spoken name", () => {
  test("recorded with its text, in ten seconds at most; heard, deleted, and brought back by the toast", async () => {
    const world = await open(["empty"]);
    expect(world.get("spoken-name").dataset.state).toBe("none");
    await expectAccessible();
    await world.click("name-record");
    expect(await world.find("name-text")).toHaveProperty("value", "Maria Eckert");
    expect(world.get("name-save").title).toBe("Record something first");
    await world.click("record");
    await waitFor(() => expect(world.get("recorder").dataset.state).toBe("recorded"), { timeout: 5000 });
    expect(world.host.asked).toContainEqual({ type: "start_recording", use: "name" });
    expect(world.get("record-gauge").getAttribute("aria-valuetext")).toBe("10 of 10 s");
    await expectAccessible();
    await world.user.type(world.get("name-text"), ", Northlight Tools");
    await world.click("name-save");
    expect(await world.asked("save_name")).toEqual({ type: "save_name", text: "Maria Eckert, Northlight Tools", language: "en", from_ms: 0, to_ms: 10_000 });
    await waitFor(() => expect(world.get("spoken-name").dataset.state).toBe("stored"));
    await expectAccessible();
    await world.click("play");
    const { greeting } = await world.asked("play_greeting");
    await world.click("name-delete");
    expect((await world.asked("remove_greeting")).greeting).toBe(greeting);
    await waitFor(() => expect(world.get("spoken-name").dataset.state).toBe("none"));
    await world.user.click(world.all("undo").at(-1) as HTMLElement);
    await waitFor(() => expect(world.get("spoken-name").dataset.state).toBe("stored"));
  });

  test("a file that is too long is cut, and one may move the ends", async () => {
    const world = await open(["empty"]);
    await world.click("name-record");
    await world.user.upload((await world.find("record-file")) as HTMLInputElement, new File(["sound"], "name.wav", { type: "audio/wav" }));
    await waitFor(() => expect(world.get("trim-to").getAttribute("aria-valuenow")).toBe("10000"));
    expect(world.get("name-save")).toHaveProperty("disabled", false);
    world.get("trim-to").focus();
    await world.user.keyboard("{ArrowRight}");
    expect(world.get("name-save").title).toContain("Ten seconds at most");
  });

  test("what is closed is forgotten, and the recording of a greeting isn’t taken for it", async () => {
    const world = await open(["recorded"]);
    await world.click("back");
    await world.click("name-record");
    expect(world.all("recorder")).toEqual([]);
    await expectAccessible();
    await world.click("name-discard");
    await world.click("record");
    await waitFor(() => expect(world.get("recorder").dataset.state).not.toBe("empty"));
    await world.user.keyboard("{Escape}");
    await waitFor(() => expect(world.all("name-dialog")).toEqual([]));
    await waitFor(() => expect(world.host.asked.at(-1)).toEqual({ type: "discard_recording" }));
  });

  test("is kept without a connection", async () => {
    const world = await open(["offline"]);
    expect(world.get("name-delete")).toHaveProperty("disabled", true);
    await world.click("name-record");
    await world.click("record");
    await waitFor(() => expect(world.get("recorder").dataset.state).toBe("recorded"));
    await world.click("name-save");
    await waitFor(() => expect(world.get("spoken-name").dataset.state).toBe("waiting"));
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

const told = (world: World, kind: "greeting" | "answering") => world.all("rule").filter((row) => row.dataset.kind === kind).map((row) => row.querySelector(".words")?.textContent.replaceAll(/\s+/g, " ").trim() ?? "");
const of = (world: World, kind: "greeting" | "answering", place: number, button: string) =>
  world.all("rule").filter((row) => row.dataset.kind === kind)[place]?.querySelector<HTMLElement>(`[data-testid="${button}"]`) ?? document.body;

async function rules(...scenes: Parameters<typeof World.open>): Promise<World> {
  const world = await open(...scenes);
  await world.click("section-rules");
  return world;
}

describe("the rules", () => {
  test("stand in their order, each as a sentence, in both languages", async () => {
    const world = await rules();
    expect(told(world, "greeting")).toEqual([
      "Weekdays 18:00–08:00 → After hours",
      "Customers don’t wait Customers, when you are in a call → Office",
      `From ${i18n.date("2026-12-21")} to ${i18n.date("2027-01-06")}, on holidays → Standard greeting Switched off`,
    ]);
    expect(told(world, "answering")[0]).toBe("Urgent +49 170 5550102 → gets through even with do-not-disturb, rings 40 s");
    expect(world.all("rule-otherwise").map((row) => row.textContent.replaceAll(/\s+/g, " ").trim())).toEqual(["Otherwise → Office", "Otherwise → rings 20 s"]);
    await expectAccessible();
  });

  test("in German", async () => {
    const world = await rules([], "de");
    expect(told(world, "greeting")[0]).toBe("Montag bis Freitag 18:00–08:00 → Nach Feierabend");
    expect(told(world, "answering")[1]).toBe("Unterdrückte Nummern → sofort zur Mailbox");
    await expectAccessible();
  });

  test("are moved by key and by button, and the focus goes with them", async () => {
    const world = await rules();
    of(world, "greeting", 1, "rule-edit").focus();
    await world.user.keyboard("{Alt>}{ArrowUp}{/Alt}");
    await waitFor(() => expect(told(world, "greeting")[0]).toContain("Customers don’t wait"));
    await waitFor(() => expect(document.activeElement?.closest("[data-testid=rule]")?.getAttribute("data-place")).toBe("0"));
    await world.user.click(of(world, "greeting", 0, "rule-down"));
    await waitFor(() => expect(told(world, "greeting")[0]).toContain("After hours"));
    await waitFor(() => expect(document.activeElement).toBe(of(world, "greeting", 1, "rule-down")));
  });

  test("are switched off, removed without a question and brought back", async () => {
    const world = await rules();
    await world.user.click(of(world, "greeting", 0, "rule-on"));
    await waitFor(() => expect(of(world, "greeting", 0, "rule-on").ariaChecked ?? of(world, "greeting", 0, "rule-on").getAttribute("aria-checked")).toBe("false"));
    await world.user.click(of(world, "answering", 0, "rule-remove"));
    await waitFor(() => expect(told(world, "answering")).toHaveLength(1));
    await world.click("undo");
    await waitFor(() => expect(told(world, "answering")[0]).toContain("Urgent"));
  });

  test("a new one is written in a dialog that says what it means", async () => {
    const world = await rules();
    await world.click("rule-new-greeting");
    await world.user.selectOptions(await world.find("rule-greeting"), "After hours");
    await world.click("rule-hours-add");
    await world.click("rule-day-monday");
    await world.click("rule-who-external");
    await world.click("rule-reason-busy");
    await world.user.type(world.get("rule-first"), "2126-12-07");
    expect(world.get("rule-save")).toHaveProperty("disabled", true);
    await world.user.type(world.get("rule-last"), "2126-12-08");
    await expectAccessible();
    await world.click("rule-save");
    const { plan } = await world.asked("change_plan");
    expect(plan.greetings.at(-1)).toEqual({
      title: "",
      on: true,
      greeting: "00000000-0000-4000-8005-000000000003",
      when: {
        callers: [{ kind: "external" }],
        reasons: ["busy"],
        hours: { spans: [{ days: ["tuesday", "wednesday", "thursday", "friday"], from: "18:00:00", to: "08:00:00" }], outside: false },
        holiday: null,
        dates: { from: "2126-12-07", to: "2126-12-08" },
      },
    });
    await waitFor(() => expect(told(world, "greeting").at(-1)).toBe("Callers from outside, Tue, Wed, Thu, Fri 18:00–08:00, from 7 December 2126 to 8 December 2126, when you are in a call → After hours"));
  });

  test("an edited one keeps what isn’t touched; what was changed elsewhere meanwhile is not overwritten", async () => {
    const world = await rules();
    await world.user.click(of(world, "answering", 0, "rule-edit"));
    await world.user.clear(await world.find("rule-seconds"));
    expect(world.get("rule-save")).toHaveProperty("disabled", true);
    await world.user.type(world.get("rule-seconds"), "25");
    world.host.rules.changeElsewhere({ zone: "Europe/Vienna" });
    await world.click("rule-save");
    await waitFor(() => expect(document.querySelector("[data-code=conflict]")).not.toBeNull());
    await world.user.keyboard("{Escape}");
    await world.user.click(of(world, "answering", 0, "rule-edit"));
    await world.user.selectOptions(await world.find("rule-answer"), "Straight to the mailbox");
    await world.click("rule-save");
    const { plan } = await world.asked("change_plan");
    expect([plan.zone, plan.answering[0]?.title, plan.answering[0]?.answer]).toEqual(["Europe/Vienna", "Urgent", { kind: "mailbox" }]);
  });

  test("groups, holidays and limits; a group that a rule speaks of stays", async () => {
    const world = await rules();
    expect(world.all("group-remove")).toHaveLength(0);
    await world.click("group-new");
    await world.user.type(await world.find("group-title"), "Family");
    await world.user.type(world.get("group-members"), "1004, +49 30 1*");
    await world.click("group-save");
    await waitFor(() => expect(world.all("group")).toHaveLength(2));
    expect((await world.asked("change_plan")).plan.groups[1]).toMatchObject({ title: "Family", members: ["1004", "+49 30 1*"] });
    await world.user.selectOptions(world.get("plan-region"), "Germany: Berlin");
    await world.user.selectOptions(world.get("plan-longest"), "2 minutes");
    await world.user.type(world.get("own-day-date"), "2126-12-31");
    await world.user.type(world.get("own-day-title"), "Stocktaking");
    await world.click("own-day-add");
    await waitFor(() => expect(world.all("own-day")).toHaveLength(2));
    expect((await world.asked("change_plan")).plan).toMatchObject({ region: "DE-BE", longest_s: 120 });
    await world.user.selectOptions(world.get("plan-ring"), "30 seconds");
    await waitFor(() => expect(world.all("rule-otherwise")[1]?.textContent).toContain("rings 30 s"));
  });

  test("keys lead callers where their owner says, and what is removed comes back", async () => {
    const world = await rules();
    expect(world.get("key-2").textContent).toMatch(/Sales.*Tom Hartwig/s);
    await world.click("key-4");
    expect(world.get("key-save")).toHaveProperty("disabled", true);
    await expectAccessible();
    await world.user.selectOptions(world.get("key-target"), "number");
    await world.user.type(world.get("key-number"), "030 555123");
    await world.user.type(world.get("key-title"), "Hotline");
    await world.click("key-save");
    await waitFor(() => expect(world.get("key-4").textContent).toContain("Hotline"));
    expect((await world.asked("change_plan")).plan.keys.map(({ key }) => key)).toEqual(["1", "2", "3", "4", "0"]);
    await world.click("key-remove-2");
    await waitFor(() => expect(world.all("key-remove-2")).toHaveLength(0));
    await world.click("undo");
    await waitFor(() => expect(world.get("key-2").textContent).toContain("Sales"));
    await world.click("own-day-remove");
    await waitFor(() => expect(world.all("own-day")).toHaveLength(0));
    await world.click("undo");
    await waitFor(() => expect(world.all("own-day")).toHaveLength(1));
  });

  test("without a connection they are read, not changed", async () => {
    const world = await rules(["offline"]);
    for (const id of ["rule-on", "rule-edit", "rule-remove", "plan-zone", "rule-new-greeting"]) expect(world.all(id)[0], id).toHaveProperty("disabled", true);
    await expectAccessible();
  });

  test("a draft says what it lacks, and a rule survives it", () => {
    const draft = draftOf({ title: "", on: true, greeting: null, when: { callers: [{ kind: "number", number: "030*" }, { kind: "withheld" }], reasons: ["dnd"], hours: { spans: [{ days: ["sunday"], from: "00:00:00", to: "00:00:00" }], outside: true }, holiday: false, dates: null } });
    expect(whenOf(draft, "greeting")).toEqual({ callers: [{ kind: "withheld" }, { kind: "number", number: "030*" }], reasons: ["dnd"], hours: { spans: [{ days: ["sunday"], from: "00:00:00", to: "00:00:00" }], outside: true }, holiday: false, dates: null });
    expect(lackOf({ ...draft, spans: [{ days: [], from: "09:00", to: "17:00" }] }, "greeting")).toBe("needsDays");
    expect(lackOf({ ...draft, first: "2026-12-24", last: "2026-12-23" }, "greeting")).toBe("needsDates");
    expect(lackOf({ ...draft, seconds: "0" }, "answering")).toBe("needsSeconds");
  });
});

describe("the simulator", () => {
  async function simulator(...scenes: Parameters<typeof World.open>): Promise<World> {
    const world = await open(...scenes);
    // What is used for a while is above all rules.
    await world.user.click(world.all("greeting-temporary")[0] as HTMLElement);
    await world.click("section-simulator");
    return world;
  }

  async function at(world: World, date: string, time: string): Promise<void> {
    for (const [id, text] of [["simulated-date", date], ["simulated-time", time]] as const) {
      await world.user.clear(await world.find(id));
      await world.user.type(world.get(id), text);
    }
  }

  test("says what a caller hears and why, and lets it be heard", async () => {
    const world = await simulator();
    await world.click("caller-number");
    await world.user.type(await world.find("caller-text"), "+49 40 123");
    await at(world, "2126-12-06", "18:05");
    await waitFor(() => expect(world.get("simulation").querySelector("h2")?.textContent).toBe("Friday, 6 December 2126, 18:05 → After hours"));
    expect(world.get("simulation").textContent).toContain("It rings for 20 seconds, because no rule fits.");
    expect(world.get("simulation").textContent).toContain("The caller hears “After hours”, because of the rule “Weekdays 18:00–08:00”: it is within Fri 18:00–08:00.");
    expect(world.get("simulation-passed").textContent).toContain("Urgent: somebody else calls");
    await expectAccessible();
    await world.click("simulation-hear");
    expect((await world.asked("play_greeting")).greeting).toBe(world.get("simulation").dataset.greetingId);
  });

  test("the greeting of the account is heard, too, and paused", async () => {
    const world = await open(["empty"]);
    await world.click("section-simulator");
    await at(world, "2126-12-06", "18:05");
    await waitFor(() => expect(world.get("simulation").dataset.greetingId).toBeUndefined());
    const hear = await world.find("simulation-hear");
    expect(hear.textContent.trim()).toBe("Hear it");
    await world.user.click(hear);
    await world.asked("play_account_greeting");
    await waitFor(() => expect(world.get("simulation-hear").textContent.trim()).toBe("Pause"));
    await expectAccessible();
    await world.user.click(world.get("simulation-hear"));
    await world.asked("pause");
    await waitFor(() => expect(world.get("simulation-hear").textContent.trim()).toBe("Hear it"));
  });

  test("a withheld number goes to the mailbox; a colleague by name; in German", async () => {
    const world = await simulator([], "de");
    await at(world, "2126-12-07", "12:00");
    await waitFor(() => expect(world.get("simulation").textContent).toContain("Die Mailbox übernimmt sofort, wegen der Regel „Unterdrückte Nummern“: der Anrufer zeigt keine Nummer."));
    expect(world.get("simulation").textContent).toContain("Der Anrufer hört „Büro“, weil keine Regel passt.");
    await world.click("caller-colleague");
    await world.user.selectOptions(await world.find("caller-person"), "Lena Fischer · 1004");
    await waitFor(async () => expect(await world.asked("simulate")).toMatchObject({ number: "1004", internal: true, reason: "no_answer", at: "2126-12-07T12:00:00" }));
    await expectAccessible();
  });
});
