import type { MailboxView, MessageRow, MessageView } from "../../host";

/** The rows to show: those of the window, and the open message. */
export interface Shown {
  rows: readonly MessageRow[];
  total: number;
}

/**
 * A new message that is played is heard, and leaves the folder of new ones. So that it doesn't vanish under the listener's
 * hands, the open one stays in its place until another is opened.
 */
export function withOpen(mailbox: MailboxView, open: MessageView | null): Shown {
  const { rows, total, offset, folder } = mailbox;
  const row = open?.row;
  const stays = folder === "new" && mailbox.query === "" && row !== undefined && row.state !== "deleted";
  if (!stays || rows.some(({ id }) => id === row.id)) return { rows, total };
  const place = rows.findIndex(({ received_at }) => received_at < row.received_at);
  const [before, after] = place < 0 ? [rows, []] : [rows.slice(0, place), rows.slice(place)];
  const isBeforeWindow = place === 0 && offset > 0;
  const isBehindWindow = place < 0 && offset + rows.length < total;
  return isBeforeWindow || isBehindWindow ? { rows, total } : { rows: [...before, row, ...after], total: total + 1 };
}

/** Which message comes into the place of one that leaves the list with others: the next that stays, or at the end the one before. */
export function neighbour(rows: readonly MessageRow[], id: string, leaving: ReadonlySet<string> = new Set([id])): string | null {
  const index = rows.findIndex((row) => row.id === id);
  if (index < 0) return null;
  const stays = (row: MessageRow) => !leaving.has(row.id);
  return (rows.slice(index).find(stays) ?? rows.slice(0, index).findLast(stays))?.id ?? null;
}
