import type { AnsweringRule, Callers, GreetingRule, Plan, PlanPart, Reason, Span, Weekday, When } from "../../../host";
import { secondsOf, WEEK } from "./sentences";

export const REASONS: readonly Reason[] = ["no_answer", "busy", "declined", "offline", "dnd", "direct"];
export const NEW: When = { callers: [], reasons: [], hours: null, holiday: null, dates: null };
const OFFICE_DAYS = WEEK.slice(0, 5);
const RING_S = 20;
const MOST_RING_S = 300;

/** A part of the plan that is a list of rules. */
export type RuleKind = Extract<PlanPart, "greeting" | "answering">;
export type HolidayChoice = "any" | "only" | "never";
export interface SpanDraft {
  days: Weekday[];
  from: string;
  to: string;
}

/** What a dialog says of a rule while it is being written. */
export interface RuleDraft {
  title: string;
  /** Of callers: what is chosen, and numbers as they are typed. */
  chosen: string[];
  numbers: string;
  reasons: Reason[];
  spans: SpanDraft[];
  outside: boolean;
  holiday: HolidayChoice;
  first: string;
  last: string;
  greeting: string;
  answer: AnsweringRule["answer"]["kind"];
  seconds: string;
}

/** `internal`, or `group:` and its id: how a choice of callers stands in a draft. */
export const keyOf = (callers: Callers) => (callers.kind === "group" ? `group:${callers.id}` : callers.kind);

/** What was typed between commas. */
export function listed(text: string): string[] {
  return text.split(/[,;\n]/).map((part) => part.trim()).filter(Boolean);
}

export const evening = (): SpanDraft => ({ days: [...OFFICE_DAYS], from: "18:00", to: "08:00" });

export function draftOf(rule: GreetingRule | AnsweringRule | null): RuleDraft {
  const when = rule?.when ?? NEW;
  const answer = rule && "answer" in rule ? rule.answer : null;
  return {
    title: rule?.title ?? "",
    chosen: when.callers.filter(({ kind }) => kind !== "number").map(keyOf),
    numbers: when.callers.flatMap((callers) => (callers.kind === "number" ? [callers.number] : [])).join(", "),
    reasons: [...when.reasons],
    spans: (when.hours?.spans ?? []).map(({ days, from, to }) => ({ days: [...days], from: from.slice(0, 5), to: to.slice(0, 5) })),
    outside: when.hours?.outside ?? false,
    holiday: when.holiday === null ? "any" : when.holiday ? "only" : "never",
    first: when.dates?.from ?? "",
    last: when.dates?.to ?? "",
    greeting: rule && "greeting" in rule ? (rule.greeting ?? "") : "",
    answer: answer?.kind ?? "ring",
    seconds: String(answer && answer.kind !== "mailbox" ? secondsOf(answer.time) : RING_S),
  };
}

export type Lack = "needsDays" | "needsDates" | "needsSeconds";

const isTime = (text: string) => /^([01]?\d|2[0-3]):[0-5]\d$/.test(text);
const isDay = (text: string) => /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text));

/** What a draft lacks before it can be kept. */
export function lackOf(draft: RuleDraft, kind: RuleKind): Lack | null {
  if (draft.spans.some(({ days, from, to }) => days.length === 0 || !isTime(from) || !isTime(to))) return "needsDays";
  const { first, last } = draft;
  if ((first !== "" || last !== "") && !(isDay(first) && isDay(last) && first <= last)) return "needsDates";
  const seconds = Number(draft.seconds);
  const rings = kind === "answering" && draft.answer !== "mailbox";
  return rings && !(Number.isInteger(seconds) && seconds >= 1 && seconds <= MOST_RING_S) ? "needsSeconds" : null;
}

export function whenOf(draft: RuleDraft, kind: RuleKind): When {
  const chosen = draft.chosen.map((key): Callers => (key.startsWith("group:") ? { kind: "group", id: key.slice("group:".length) } : { kind: key as "internal" | "external" | "withheld" }));
  const numbers = listed(draft.numbers).map((number): Callers => ({ kind: "number", number }));
  const spans = draft.spans.map(({ days, from, to }): Span => ({ days: WEEK.filter((day) => days.includes(day)), from: `${from.padStart(5, "0")}:00`, to: `${to.padStart(5, "0")}:00` }));
  return {
    callers: [...chosen, ...numbers],
    // There is none before it has rung.
    reasons: kind === "greeting" ? draft.reasons : [],
    hours: spans.length === 0 ? null : { spans, outside: draft.outside },
    holiday: draft.holiday === "any" ? null : draft.holiday === "only",
    dates: draft.first === "" ? null : { from: draft.first, to: draft.last },
  };
}

/** A plan with the rule of a draft at a place, or at the end. */
export function withRule(plan: Plan, kind: RuleKind, index: number | null, draft: RuleDraft): Plan {
  const when = whenOf(draft, kind);
  const title = draft.title.trim();
  if (kind === "greeting") {
    const on = (index === null ? null : plan.greetings[index])?.on ?? true;
    return { ...plan, greetings: placed(plan.greetings, index, { title, on, when, greeting: draft.greeting === "" ? null : draft.greeting }) };
  }
  const on = (index === null ? null : plan.answering[index])?.on ?? true;
  const time = { seconds: Number(draft.seconds) };
  const answer: AnsweringRule["answer"] = draft.answer === "mailbox" ? { kind: "mailbox" } : { kind: draft.answer, time };
  return { ...plan, answering: placed(plan.answering, index, { title, on, when, answer }) };
}

function placed<T>(rules: readonly T[], index: number | null, rule: T): T[] {
  return index === null ? [...rules, rule] : rules.map((other, at) => (at === index ? rule : other));
}

function moved<T>(rules: readonly T[], from: number, to: number): T[] {
  const rest = rules.filter((_, index) => index !== from);
  return [...rest.slice(0, to), ...rules.slice(from, from + 1), ...rest.slice(to)];
}

export function withMoved(plan: Plan, kind: RuleKind, from: number, to: number): Plan {
  return kind === "greeting" ? { ...plan, greetings: moved(plan.greetings, from, to) } : { ...plan, answering: moved(plan.answering, from, to) };
}

export function withSwitched(plan: Plan, kind: RuleKind, index: number): Plan {
  const flip = <T extends { on: boolean }>(rules: readonly T[]) => rules.map((rule, at) => (at === index ? { ...rule, on: !rule.on } : rule));
  return kind === "greeting" ? { ...plan, greetings: flip(plan.greetings) } : { ...plan, answering: flip(plan.answering) };
}
