import type { Around } from "./fake-greetings";
import type { AnsweringRule, BecauseView, Code, Command, GreetingRow, GreetingRule, Language, MetView, PassedView, Plan, PlanPart, SimulatedCall, UnmetView, Weekday, When } from "./generated/contract";

type RuleCommand = Extract<Command, { type: "change_plan" | "remove_from_plan" | "set_ring_time" | "simulate" }>;
type Rule = GreetingRule | AnsweringRule;

const WEEK: readonly Weekday[] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const WORK: readonly Weekday[] = WEEK.slice(1, 6);
const REGIONS = ["AT", "CH", "CH-ZH", "DE", "DE-BE", "DE-BY", "DE-NW", "FR", "GB", "GB-SCT", "US"];
const LISTS = { greeting: "greetings", answering: "answering", group: "groups", own_day: "own_days", key: "keys" } as const satisfies Record<PlanPart, keyof Plan>;
const OPEN: When = { callers: [], reasons: [], hours: null, holiday: null, dates: null };

export const NO_PLAN: Plan = { zone: "", region: "", own_days: [], groups: [], standard: null, temporary: null, greetings: [], answering: [], keys: [], longest_s: null };

export function plan(language: Language, rows: readonly GreetingRow[]): Plan {
  const german = language === "de";
  const evening: When = { ...OPEN, hours: { spans: [{ days: [...WORK], from: "18:00:00", to: "08:00:00" }], outside: false } };
  const customers: When = { ...OPEN, callers: [{ kind: "group", id: "customers" }], reasons: ["busy"] };
  const afterHours = rows[2]?.id ?? null;
  return {
    zone: "Europe/Berlin",
    region: "DE-BY",
    own_days: [{ date: "2026-12-24", yearly: true, title: german ? "Heiligabend" : "Christmas Eve" }],
    groups: [{ id: "customers", title: german ? "Kunden" : "Customers", members: ["+49 30 901820", "040*"] }],
    standard: null,
    temporary: null,
    greetings: [
      { title: "", on: true, when: evening, greeting: afterHours },
      { title: german ? "Kunden warten nicht" : "Customers don’t wait", on: true, when: customers, greeting: rows[1]?.id ?? null },
      { title: "", on: false, when: { ...OPEN, holiday: true, dates: { from: "2026-12-21", to: "2027-01-06" } }, greeting: null },
    ],
    answering: [
      { title: german ? "Dringend" : "Urgent", on: true, when: { ...OPEN, callers: [{ kind: "number", number: "+49 170 5550102" }] }, answer: { kind: "through", time: { seconds: 40 } } },
      { title: "", on: true, when: { ...OPEN, callers: [{ kind: "withheld" }] }, answer: { kind: "mailbox" } },
    ],
    keys: [
      { key: "1", title: german ? "Öffnungszeiten" : "Opening hours", target: { kind: "announcement", greeting: rows[1]?.id ?? "" } },
      { key: "2", title: german ? "Vertrieb" : "Sales", target: { kind: "person", extension: "1005" } },
      { key: "3", title: "", target: { kind: "mailbox", extension: "1012" } },
      { key: "0", title: german ? "Zentrale" : "Switchboard", target: { kind: "number", number: "+49 30 901820" } },
    ],
    longest_s: null,
  };
}

/** The plan in memory. */
export class FakeRules {
  #version = 1;
  #ringSeconds = 20;
  #rows: readonly GreetingRow[] = [];

  constructor(
    private readonly around: Around,
    private plan: Plan,
    private readonly loaded: boolean,
  ) {}

  /** With the greetings as they are by now. */
  sendAll(rows: readonly GreetingRow[]): null {
    this.#rows = rows;
    const temporary = rows.find((row) => row.temporary);
    this.plan = { ...this.plan, standard: rows.find((row) => row.standard)?.id ?? null, temporary: temporary ? { greeting: temporary.id, until: temporary.until } : null };
    const view = { plan: this.loaded ? this.plan : null, version: this.#version, ring_s: this.#ringSeconds, regions: REGIONS, reachable: this.around.reachable() };
    return this.around.send({ type: "rules", view });
  }

  do(command: RuleCommand): Code | null {
    if (command.type === "simulate") return this.#simulate(command);
    if (!this.around.reachable()) return "connect";
    switch (command.type) {
      case "change_plan":
        return command.version === this.#version ? this.#set(command.plan) : "conflict";
      case "remove_from_plan":
        return command.version === this.#version ? this.#remove(command.part, command.index) : "conflict";
      case "set_ring_time":
        this.#ringSeconds = command.seconds;
        return this.sendAll(this.#rows);
    }
  }

  /** Another device changes the plan. */
  changeElsewhere(change: Partial<Plan>): void {
    this.#set({ ...this.plan, ...change });
  }

  #set(plan: Plan): null {
    this.plan = plan;
    this.#version += 1;
    return this.sendAll(this.#rows);
  }

  #remove(part: PlanPart, index: number): Code | null {
    const list = LISTS[part];
    const gone = this.plan[list][index];
    if (!gone) return "gone";
    this.#set({ ...this.plan, [list]: [...this.plan[list]].filter((other) => other !== gone) });
    return this.around.toast({ type: "removed_from_plan", part }, () => {
      const rest: unknown[] = this.plan[list];
      this.#set({ ...this.plan, [list]: [...rest.slice(0, index), gone, ...rest.slice(index)] });
    });
  }

  #simulate(call: SimulatedCall): null {
    const { temporary, standard, greetings, answering } = this.plan;
    const isDirect = call.reason === "direct";
    const screened = first(answering, call, this.plan, false);
    const through = answering[screened.index ?? -1]?.answer ?? { kind: call.reason === "dnd" ? "mailbox" : "ring", time: { seconds: this.#ringSeconds } };
    const action = through.kind === "mailbox" ? ({ type: "mailbox" } as const) : { type: through.kind, seconds: "seconds" in through.time ? through.time.seconds : 0 };
    const reason = isDirect ? "direct" : action.type === "mailbox" ? "dnd" : call.reason;
    const chosen = first(greetings, { ...call, reason }, this.plan, true);
    const { because, passed } = temporary ? { because: { type: "temporary", until: temporary.until } as const, passed: [] } : chosen;
    const greeting = temporary?.greeting ?? greetings[chosen.index ?? -1]?.greeting ?? standard;
    const { number, internal, at } = call;
    return this.around.send({
      type: "simulation",
      view: { call: { number, internal, reason: call.reason, at }, screened: isDirect ? null : { action, because: screened.because, passed: screened.passed }, reason, greeting, because, passed },
    });
  }
}

interface Found {
  index: number | null;
  because: BecauseView;
  passed: PassedView[];
}

/** The first rule that fits, by a little of what the engine knows. */
function first(rules: readonly Rule[], call: SimulatedCall, plan: Plan, hasRung: boolean): Found {
  const passed: PassedView[] = [];
  for (const [index, rule] of rules.entries()) {
    const fits = rule.on ? fit(rule.when, call, plan, hasRung) : ({ type: "off" } as const);
    if (Array.isArray(fits)) return { index, because: { type: "rule", index, met: fits }, passed };
    passed.push({ index, title: rule.title, unmet: fits });
  }
  return { index: null, because: { type: call.reason === "dnd" && !hasRung ? "do_not_disturb" : "no_rule" }, passed };
}

function fit(when: When, call: SimulatedCall, plan: Plan, hasRung: boolean): MetView[] | UnmetView {
  const met: MetView[] = [];
  if (when.callers.length > 0) {
    const found = caller(when, call, plan);
    if (!found) return { type: "caller" };
    met.push(found);
  }
  if (hasRung && when.reasons.length > 0) {
    if (!when.reasons.includes(call.reason)) return { type: "reason", reason: call.reason };
    met.push({ type: "reason", reason: call.reason });
  }
  const today = call.at.slice(0, 10);
  if (when.dates && today < when.dates.from) return { type: "before", date: when.dates.from };
  if (when.dates && today > when.dates.to) return { type: "after", date: when.dates.to };
  if (when.dates) met.push({ type: "dates", dates: when.dates });
  const own = plan.own_days.find(({ date, yearly }) => (yearly ? date.slice(5) === today.slice(5) : date === today));
  if (when.holiday === true && !own) return { type: "no_holiday" };
  if (when.holiday === true && own) met.push({ type: "holiday", english: own.title, local: own.title });
  const hours = hoursMet(when, call);
  return hours === null ? met : Array.isArray(hours) ? [...met, ...hours] : hours;
}

function caller(when: When, call: SimulatedCall, plan: Plan): MetView | null {
  const digits = (text: string) => text.replaceAll(/[^0-9+*]/g, "");
  const has = (pattern: string) => call.number !== "" && (pattern.endsWith("*") ? digits(call.number).startsWith(digits(pattern).slice(0, -1)) : digits(call.number) === digits(pattern));
  for (const callers of when.callers) {
    const group = callers.kind === "group" ? plan.groups.find(({ id }) => id === callers.id) : undefined;
    if (group?.members.some(has)) return { type: "group", title: group.title };
    if (callers.kind === "number" && has(callers.number)) return { type: "number", number: call.number };
    if (callers.kind === "withheld" && call.number === "") return { type: "withheld" };
    if (callers.kind === "internal" && call.internal) return { type: "internal" };
    if (callers.kind === "external" && !call.internal) return { type: "external" };
  }
  return null;
}

function hoursMet({ hours }: When, call: SimulatedCall): MetView[] | UnmetView | null {
  if (!hours) return null;
  const time = call.at.slice(11);
  const weekday = new Date(`${call.at.slice(0, 10)}T12:00`).getDay();
  for (const { days, from, to } of hours.spans) {
    const overnight = to <= from;
    const day = time >= from && (overnight || time < to) ? WEEK[weekday] : overnight && time < to ? WEEK[(weekday + 6) % 7] : undefined;
    if (day === undefined || !days.includes(day)) continue;
    return hours.outside ? { type: "inside", day, from, to } : [{ type: "inside", day, from, to }];
  }
  return hours.outside ? [{ type: "outside" }] : { type: "outside" };
}
