import type { MailboxView } from "../../host";

/** Which messages are selected beside the open one. */
export interface Marks {
  ids: ReadonlySet<string>;
  /** Where a range begins. */
  anchor: Place | null;
}

/** A message and its index in the folder; the index may be old, the message is right. */
export interface Place {
  id: string;
  index: number;
}

export const NONE: Marks = { ids: new Set(), anchor: null };

/** Where a message stands, when it is at hand. */
export function placeOf(mailbox: MailboxView, id: string): Place | null {
  const index = mailbox.rows.findIndex((row) => row.id === id);
  return index < 0 ? null : { id, index: index + mailbox.offset };
}

/** Selects a message, or takes it out again. */
export function toggled(marks: Marks, id: string, place: Place | null): Marks {
  const ids = new Set(marks.ids);
  if (!ids.delete(id)) ids.add(id);
  return { ids, anchor: place };
}

/** More are selected. */
export function joined(marks: Marks, more: readonly string[]): Marks {
  return { ids: new Set([...marks.ids, ...more]), anchor: marks.anchor };
}

/** A range: what it holds if all of it is at hand, else which part of the folder has to be asked for. */
export function range(mailbox: MailboxView, from: Place, to: Place): { ids: string[] } | { offset: number; limit: number } {
  const start = placeOf(mailbox, from.id)?.index ?? from.index;
  const [first, last] = [Math.min(start, to.index), Math.max(start, to.index)];
  const rows = mailbox.rows.slice(Math.max(0, first - mailbox.offset), last - mailbox.offset + 1);
  return rows.length === last - first + 1 ? { ids: rows.map(({ id }) => id) } : { offset: first, limit: last - first + 1 };
}
