import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { messages } from "../host/fake-data";
import type { MailboxView, MessageView } from "../host";
import { neighbour, withOpen } from "../features/mailbox/window";
import { de } from "../i18n/de";
import { en } from "../i18n/en";
import { i18n } from "../i18n/index.svelte";
import { matching } from "../kit/people";

/** Every text of a language by its path; functions are asked with numbers and names that show. */
function texts(words: object, path = ""): [string, string][] {
  return Object.entries(words).flatMap(([key, value]): [string, string][] => {
    const here = `${path}.${key}`;
    if (typeof value === "string") return [[here, value]];
    if (typeof value === "function") return [[here, String((value as (argument: unknown) => string)(2))]];
    return texts(value as object, here);
  });
}

describe("words", () => {
  test("both languages say something everywhere, and the same thing nowhere by accident", () => {
    const [english, german] = [new Map(texts(en)), new Map(texts(de))];
    expect([...german.keys()].sort()).toEqual([...english.keys()].sort());
    expect([...german.values()].filter((text) => text.trim() === "")).toEqual([]);
    // A state is called the same in both.
    const long = [...english].filter(([path, text]) => !path.startsWith(".rules.states.") && text.length > 14 && german.get(path) === text).map(([path]) => path);
    expect(long).toEqual([".signIn.linkHint"]);
  });

  test("one and many", () => {
    expect(en.toast.deleted(1)).toBe("Message deleted");
    expect(en.toast.deleted(3)).toBe("3 messages deleted");
    expect(de.calls.waiting(1)).toBe("1 Nachricht von diesem Anrufer wartet");
    expect(de.calls.waiting(2)).toBe("2 Nachrichten von diesem Anrufer warten");
  });
});

describe("times", () => {
  const now = new Date(2026, 10, 20, 15, 0);
  const before = (days: number, hour = 9) => new Date(2026, 10, 20 - days, hour).toISOString();

  beforeEach(() => {
    vi.useFakeTimers({ now });
  });
  afterEach(() => {
    vi.useRealTimers();
    i18n.language = "en";
  });

  test("days are told as people tell them", () => {
    i18n.language = "de";
    expect([0, 1, 2, 6, 7, 400].map((days) => i18n.day(before(days)))).toEqual(["Heute", "Gestern", "Mittwoch", "Samstag", "13. November", "16. Oktober 2025"]);
    i18n.language = "en";
    expect([0, 1, 2, 7].map((days) => i18n.day(before(days)))).toEqual(["Today", "Yesterday", "Wednesday", "13 November"]);
    expect(i18n.day(before(1, 23))).toBe("Yesterday");
  });

  test("lengths", () => {
    expect(i18n.duration(42_900)).toBe("0:42");
    expect(i18n.duration(3_723_000)).toBe("1:02:03");
    expect([0, 300, 1400, 59_600].map((ms) => i18n.length(ms))).toEqual(["0:00", "0:01", "0:01", "1:00"]);
    expect(i18n.seconds(240)).toBe("0.2s");
  });
});

describe("the open message stays in the folder of new ones", () => {
  const rows = messages(Date.UTC(2026, 10, 20)).slice(0, 3);
  const view = (shown: typeof rows, more: Partial<MailboxView> = {}): MailboxView => ({
    folder: "new",
    query: "",
    counts: { new: 2, all: 3, saved: 0, trash: 0 },
    total: shown.length,
    offset: 0,
    rows: shown,
    fullness: "roomy",
    synced: true,
    failed: false,
    ...more,
  });
  const open = (index: number): MessageView => ({ row: { ...(rows[index] as (typeof rows)[number]), state: "heard" }, story: [] });
  const ids = (shown: { rows: readonly { id: string }[] }) => shown.rows.map(({ id }) => id);
  const without = (index: number) => rows.filter((_, other) => other !== index);

  test("at its place: first, between, last", () => {
    for (const index of [0, 1, 2]) {
      const shown = withOpen(view(without(index)), open(index));
      expect(ids(shown)).toEqual(rows.map(({ id }) => id));
      expect(shown.total).toBe(3);
    }
  });

  test("not twice, not in other folders, not when it was deleted, not outside the window", () => {
    expect(withOpen(view(rows), open(1)).total).toBe(3);
    expect(withOpen(view(without(1), { folder: "saved" }), open(1)).total).toBe(2);
    const deleted = open(1);
    expect(withOpen(view(without(1)), { ...deleted, row: { ...deleted.row, state: "deleted" } }).total).toBe(2);
    expect(withOpen(view(without(2), { total: 9 }), open(2)).total).toBe(9);
    expect(withOpen(view(without(0), { total: 9, offset: 4 }), open(0)).total).toBe(9);
  });

  test("the next one opens when one leaves, at the end the one before", () => {
    const [a, b, c] = rows.map(({ id }) => id);
    expect(neighbour(rows, a ?? "")).toBe(b);
    expect(neighbour(rows, c ?? "")).toBe(b);
    expect(neighbour(rows.slice(0, 1), a ?? "")).toBeNull();
  });
});

test("people match without accents and by extension; beginnings come first", () => {
  const people = ["Anna Özil", "Özlem Kaya", "Tom Weiß"].map((name, n) => ({ user: `u${n}`, extension: `100${n}`, name, initials: "" }));
  const found = (query: string) => matching(people, query).map(({ name }) => name);
  expect(found("oz")).toEqual(["Özlem Kaya", "Anna Özil"]);
  expect(found("1002")).toEqual(["Tom Weiß"]);
  expect(found("kaya oz")).toEqual(["Özlem Kaya"]);
  expect(found("")).toHaveLength(3);
});
