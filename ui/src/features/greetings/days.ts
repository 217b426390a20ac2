/** What was typed as a day: none, a day to come, or nothing of the kind. */
export type Day = { type: "none" } | { type: "bad" } | { type: "until"; at: string };

/** The end of a day in local time, as `2026-12-07` says it. */
export function endOf(text: string, now: number): Day {
  const typed = text.trim();
  if (typed === "") return { type: "none" };
  const [, year, month, day] = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(typed)?.map(Number) ?? [];
  if (year === undefined || month === undefined || day === undefined) return { type: "bad" };
  const date = new Date(year, month - 1, day);
  if (date.getMonth() !== month - 1 || date.getDate() !== day) return { type: "bad" };
  const end = new Date(year, month - 1, day + 1);
  return end.getTime() > now ? { type: "until", at: end.toISOString() } : { type: "bad" };
}

/** The last day before a moment, for a field. */
export function lastDay(at: string | null): string {
  if (at === null) return "";
  const date = new Date(Date.parse(at) - 1);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

export function atOf(day: Day): string | null {
  return day.type === "until" ? day.at : null;
}
