import type { Answer, AnsweringRule, BecauseView, Callers, GreetingRow, GreetingRule, Hours, HolidayView, MetView, Plan, RingTime, Span, SpanView, UnmetView, Weekday, When } from "../../../host";
import { i18n } from "../../../i18n/index.svelte";

export const WEEK: readonly Weekday[] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/** One second of tone and four of silence, as the server counts rings. */
const RING_CYCLE_S = 5;

export const capital = (text: string) => text.charAt(0).toLocaleUpperCase() + text.slice(1);
const shortDay = (day: Weekday) => i18n.weekday(WEEK.indexOf(day));
/** `09:00:00` as people write it. */
export const clockTime = (time: string) => time.slice(0, 5);

export function secondsOf(time: RingTime): number {
  return "seconds" in time ? time.seconds : time.rings * RING_CYCLE_S;
}

function daysOf(days: readonly Weekday[]): string {
  const chosen = WEEK.filter((day) => days.includes(day));
  const names = i18n.t.rules.days;
  if (chosen.length === 7) return names.all;
  if (chosen.join() === WEEK.slice(0, 5).join()) return names.work;
  if (chosen.join() === WEEK.slice(5).join()) return names.weekend;
  return chosen.map(shortDay).join(", ");
}

function spanOf({ days, from, to }: Pick<Span, "days" | "from" | "to">): string {
  return from === to ? i18n.t.rules.allDay(daysOf(days)) : `${daysOf(days)} ${clockTime(from)}–${clockTime(to)}`;
}

function hoursOf({ spans, outside }: Hours): string {
  const told = spans.map(spanOf).join(" + ");
  return outside ? i18n.t.rules.outside(told) : told;
}

function datesOf({ from, to }: { from: string; to: string }): string {
  const words = i18n.t.rules;
  return from === to ? words.onDay(i18n.date(from)) : words.between(i18n.date(from), i18n.date(to));
}

export function callersOf(callers: Callers, plan: Plan): string {
  const words = i18n.t.rules;
  switch (callers.kind) {
    case "group":
      return plan.groups.find(({ id }) => id === callers.id)?.title ?? words.goneGroup;
    case "number":
      return callers.number;
    case "internal":
    case "external":
    case "withheld":
      return words.callers[callers.kind];
  }
}

/** When a rule fits: `Weekdays 18:00–08:00, not on holidays`. */
export function whenSentence(when: When, plan: Plan, always: string): string {
  const words = i18n.t.rules;
  const parts: string[] = [];
  if (when.callers.length > 0) parts.push(i18n.either(when.callers.map((callers) => callersOf(callers, plan))));
  if (when.hours) parts.push(hoursOf(when.hours));
  if (when.dates) parts.push(datesOf(when.dates));
  if (when.holiday !== null) parts.push(when.holiday ? words.onHolidays : words.notOnHolidays);
  if (when.reasons.length > 0) parts.push(i18n.either(when.reasons.map((reason) => words.reasons[reason])));
  return parts.length === 0 ? always : capital(parts.join(", "));
}

export function greetingName(id: string | null, plan: Plan, rows: readonly GreetingRow[]): string {
  const words = i18n.t.rules;
  if (id !== null) return rows.find((row) => row.id === id)?.title ?? words.gone;
  return plan.standard === null ? words.accountGreeting : words.standard;
}

export function answerSentence(answer: Answer): string {
  const words = i18n.t.rules;
  if (answer.kind === "mailbox") return words.mailbox;
  const seconds = secondsOf(answer.time);
  return answer.kind === "ring" ? words.rings(seconds) : words.through(seconds);
}

export function isGreetingRule(rule: GreetingRule | AnsweringRule): rule is GreetingRule {
  return "greeting" in rule;
}

/** What a rule is called: its name, else what it says. */
export function nameOf(rule: GreetingRule | AnsweringRule, plan: Plan): string {
  if (rule.title.trim() !== "") return rule.title;
  return whenSentence(rule.when, plan, isGreetingRule(rule) ? i18n.t.rules.always : i18n.t.rules.everyCall);
}

const holidayName = ({ english, local }: HolidayView) => (i18n.language === "en" ? english : local);
const spanTold = ({ day, from, to }: SpanView) => `${shortDay(day)} ${clockTime(from)}–${clockTime(to)}`;

function metSentence(met: MetView): string {
  const words = i18n.t.rules.simulator.met;
  switch (met.type) {
    case "group":
      return words.group(met.title);
    case "number":
      return words.number(met.number);
    case "internal":
    case "external":
    case "withheld":
    case "outside":
      return words[met.type];
    case "reason":
      return i18n.t.rules.reasons[met.reason];
    case "inside":
      return words.inside(spanTold(met));
    case "holiday":
      return words.holiday(holidayName(met));
    case "no_holiday":
      return words.noHoliday;
    case "dates":
      return words.dates(datesOf(met.dates));
  }
}

export function unmetSentence(unmet: UnmetView): string {
  const words = i18n.t.rules.simulator.unmet;
  switch (unmet.type) {
    case "off":
    case "silent":
    case "caller":
    case "outside":
      return words[unmet.type];
    case "expired":
      return words.expired(i18n.full(unmet.at));
    case "reason":
      return words.reason(i18n.t.rules.reasons[unmet.reason]);
    case "inside":
      return words.inside(spanTold(unmet));
    case "holiday":
      return words.holiday(holidayName(unmet));
    case "no_holiday":
      return words.noHoliday;
    case "before":
      return words.before(i18n.date(unmet.date));
    case "after":
      return words.after(i18n.date(unmet.date));
    case "do_not_disturb":
      return words.doNotDisturb;
  }
}

/** Why something was chosen, from the list of rules that it was chosen from. */
export function becauseSentence(because: BecauseView, rules: readonly (GreetingRule | AnsweringRule)[], plan: Plan): string {
  const words = i18n.t.rules.simulator;
  switch (because.type) {
    case "temporary":
      return words.because.temporary;
    case "do_not_disturb":
      return words.because.doNotDisturb;
    case "no_rule":
      return words.because.noRule;
    case "rule": {
      const rule = rules[because.index];
      const why = because.met.length === 0 ? words.met.always : i18n.list(because.met.map(metSentence));
      return `${words.because.rule(rule === undefined ? "" : nameOf(rule, plan))}: ${why}`;
    }
  }
}
