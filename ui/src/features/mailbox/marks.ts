import type { MessageRow } from "../../host";

/** Which messages are selected beside the open one. */
export interface Marks {
  ids: ReadonlySet<string>;
  /** Where a range begins. */
  anchor: string | null;
}

export const NONE: Marks = { ids: new Set(), anchor: null };

/** Selects a message, or takes it out again. */
export function toggled(marks: Marks, id: string): Marks {
  const ids = new Set(marks.ids);
  if (!ids.delete(id)) ids.add(id);
  return { ids, anchor: id };
}

/** Selects everything from the anchor to a message, as far as it is at hand. */
export function ranged(marks: Marks, rows: readonly MessageRow[], from: string | null, to: string): Marks {
  const anchor = marks.anchor ?? from ?? to;
  const [a, b] = [anchor, to].map((id) => rows.findIndex((row) => row.id === id));
  if (a === undefined || b === undefined || a < 0 || b < 0) return toggled(marks, to);
  const range = rows.slice(Math.min(a, b), Math.max(a, b) + 1).map(({ id }) => id);
  return { ids: new Set([...marks.ids, ...range]), anchor };
}
