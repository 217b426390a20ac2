import { expect, test } from "vitest";

import { placeOf, range, toggled, NONE, joined } from "../features/mailbox/marks";
import { messages } from "../host/fake-data";
import type { MailboxView } from "../host";

const ROWS = messages(Date.UTC(2026, 10, 20));

/** A folder of which the rows from `offset` on are at hand. */
function mailbox(offset: number, limit: number): MailboxView {
  const counts = { new: 3, all: ROWS.length, saved: 0, trash: 0 };
  return { folder: "all", query: "", counts, total: ROWS.length, offset, rows: ROWS.slice(offset, offset + limit), fullness: "roomy", synced: true, failed: false };
}

const at = (index: number) => ({ id: ROWS[index]?.id ?? "", index });

test("a range whose rows are at hand is known at once, in either direction", () => {
  const ids = ROWS.slice(11, 15).map(({ id }) => id);
  expect(range(mailbox(10, 20), at(11), at(14))).toEqual({ ids });
  expect(range(mailbox(10, 20), at(14), at(11))).toEqual({ ids });
});

test("a range that reaches beyond the rows at hand is asked for", () => {
  expect(range(mailbox(100, 50), at(1), at(148))).toEqual({ offset: 1, limit: 148 });
  expect(range(mailbox(0, 50), at(148), at(1))).toEqual({ offset: 1, limit: 148 });
});

test("a message that moved since is found where it is now", () => {
  expect(range(mailbox(0, 50), { ...at(4), index: 3 }, at(5))).toEqual({ ids: ROWS.slice(4, 6).map(({ id }) => id) });
});

test("where a message stands is its index in the folder, or unknown", () => {
  expect(placeOf(mailbox(100, 50), at(120).id)).toEqual(at(120));
  expect(placeOf(mailbox(100, 50), at(4).id)).toBeNull();
});

test("more is added to what is selected, and a second time takes one out", () => {
  const one = toggled(NONE, "a", { id: "a", index: 0 });
  const three = joined(one, ["b", "c"]);
  expect([...three.ids]).toEqual(["a", "b", "c"]);
  expect([...toggled(three, "b", null).ids]).toEqual(["a", "c"]);
});
