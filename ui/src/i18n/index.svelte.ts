import type { Language, PartyView } from "../host/generated/contract";
import { clock } from "./clock.svelte";
import { de } from "./de";
import { en, type Words } from "./en";

const WORDS: Record<Language, Words> = { en, de };
/** A calendar's words and a clock's habits; German and British both count hours to 24. */
const LOCALES: Record<Language, string> = { en: "en-GB", de: "de-DE" };
const DAY_MS = 86_400_000;

export const LANGUAGES: readonly Language[] = ["en", "de"];

/** What a language calls itself. */
export function languageName(language: Language): string {
  return WORDS[language].name;
}

function fromSystem(): Language {
  return navigator.language.toLowerCase().startsWith("de") ? "de" : "en";
}

/** Values that are made when they are first asked for: a formatter takes milliseconds, and a window begins with few of them. */
function lazily<T extends Record<string, () => unknown>>(makers: T): { readonly [Name in keyof T]: ReturnType<T[Name]> } {
  const values = {};
  for (const [name, make] of Object.entries(makers)) {
    Object.defineProperty(values, name, {
      configurable: true,
      get() {
        const value = make();
        Object.defineProperty(values, name, { value });
        return value;
      },
    });
  }
  return values as { readonly [Name in keyof T]: ReturnType<T[Name]> };
}

function formats(language: Language) {
  const locale = LOCALES[language];
  return lazily({
    time: () => new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" }),
    seconds: () => new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    weekday: () => new Intl.DateTimeFormat(locale, { weekday: "long" }),
    weekdayShort: () => new Intl.DateTimeFormat(locale, { weekday: "short", timeZone: "UTC" }),
    date: () => new Intl.DateTimeFormat(locale, { day: "numeric", month: "long" }),
    dateOfYear: () => new Intl.DateTimeFormat(locale, { day: "numeric", month: "long", year: "numeric" }),
    full: () => new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" }),
    relative: () => new Intl.RelativeTimeFormat(locale, { numeric: "auto" }),
    relativeShort: () => new Intl.RelativeTimeFormat(locale, { style: "short" }),
    list: () => new Intl.ListFormat(locale),
    either: () => new Intl.ListFormat(locale, { type: "disjunction" }),
    region: () => new Intl.DisplayNames(locale, { type: "region" }),
    shortSeconds: () => new Intl.NumberFormat(locale, { style: "unit", unit: "second", unitDisplay: "narrow", maximumFractionDigits: 1 }),
    number: () => new Intl.NumberFormat(locale, { maximumFractionDigits: 2 }),
  });
}

const capital = (text: string) => text.charAt(0).toLocaleUpperCase() + text.slice(1);
const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

/** The words and formats of the current language. Markup reads them through this object and so follows a change. */
class Interface {
  #language = $state<Language>(fromSystem());
  #formats = $derived(formats(this.#language));
  /** The words. */
  readonly t: Words = $derived(WORDS[this.#language]);

  get language(): Language {
    return this.#language;
  }

  set language(language: Language) {
    this.#language = language;
    document.documentElement.lang = language;
  }

  /** `14:32` */
  time(iso: string): string {
    return this.#formats.time.format(new Date(iso));
  }

  /** `14:32:07` */
  exactTime(iso: string): string {
    return this.#formats.seconds.format(new Date(iso));
  }

  /** Today, yesterday, a weekday of the last six days, or a date. */
  day(iso: string): string {
    const [date, now] = [new Date(iso), new Date(clock.now)];
    const days = Math.round((midnight(now) - midnight(date)) / DAY_MS);
    if (days >= 0 && days < 2) return capital(this.#formats.relative.format(-days, "day"));
    if (days > 0 && days < 7) return this.#formats.weekday.format(date);
    return (date.getFullYear() === now.getFullYear() ? this.#formats.date : this.#formats.dateOfYear).format(date);
  }

  /** For a list: within the last hour how long ago, else the time of day. */
  moment(iso: string): string {
    const minutes = Math.floor((clock.now - Date.parse(iso)) / 60_000);
    if (minutes < 0 || minutes >= 60) return this.time(iso);
    return minutes === 0 ? this.t.app.justNow : this.#formats.relativeShort.format(-minutes, "minute");
  }

  /** `7 minutes ago`, `yesterday`, `in 2 days`: as people round it. */
  ago(iso: string): string {
    const seconds = (Date.parse(iso) - clock.now) / 1000;
    const steps = [
      ["second", 60],
      ["minute", 60],
      ["hour", 24],
      ["day", 7],
      ["week", 4.35],
      ["month", 12],
      ["year", Infinity],
    ] as const;
    let value = Math.abs(seconds) < 45 ? 0 : seconds;
    for (const [unit, length] of steps) {
      if (Math.abs(Math.round(value)) < length) return this.#formats.relative.format(Math.round(value), unit);
      value /= length;
    }
    return this.full(iso);
  }

  /** The day before a moment at midnight, as a date: with the year where it is another one. */
  lastDay(iso: string): string {
    const date = new Date(Date.parse(iso) - 1);
    return (date.getFullYear() === new Date(clock.now).getFullYear() ? this.#formats.date : this.#formats.dateOfYear).format(date);
  }

  /** `Mon`, `Mo`: 0 is Monday. */
  weekday(day: number): string {
    return this.#formats.weekdayShort.format(new Date(Date.UTC(2024, 0, 1 + day, 12)));
  }

  /** Weekday, date and time, for whoever wants it exactly. */
  full(iso: string): string {
    return this.#formats.full.format(new Date(iso));
  }

  /** `0:42`, `12:05`, `1:02:03` */
  duration(ms: number): string {
    const total = Math.max(0, Math.floor(ms / 1000));
    const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
    const end = String(seconds).padStart(2, "0");
    return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${end}` : `${minutes}:${end}`;
  }

  /** How long it rang or was spoken, never 0:00 for something that is there. */
  length(ms: number): string {
    return this.duration(ms > 0 ? Math.max(1000, Math.round(ms / 1000) * 1000) : 0);
  }

  /** `0.2s`, `0,2 s` */
  seconds(ms: number): string {
    return this.#formats.shortSeconds.format(ms / 1000);
  }

  number(value: number): string {
    return this.#formats.number.format(value);
  }

  /** `2026-12-24` as people write it. */
  date(day: string): string {
    const date = new Date(`${day}T12:00`);
    return (date.getFullYear() === new Date(clock.now).getFullYear() ? this.#formats.date : this.#formats.dateOfYear).format(date);
  }

  /** `Friday 18:05`, with the date where the day isn't within a week. */
  weekTime(day: string, time: string): string {
    const date = new Date(`${day}T12:00`);
    const near = Math.abs(date.getTime() - clock.now) < 6.5 * DAY_MS;
    const weekday = this.#formats.weekday.format(date);
    return near ? `${weekday} ${time}` : `${weekday}, ${this.date(day)}, ${time}`;
  }

  /** One of these: `A, B or C`. */
  either(names: readonly string[]): string {
    return this.#formats.either.format(names);
  }

  /** `Germany`, `Deutschland`; of a part of it the code beside it, where it has no name here. */
  region(code: string): string {
    const [country = code, part] = code.split("-");
    const name = this.#formats.region.of(country) ?? country;
    return part === undefined ? name : `${name}: ${this.t.rules.states[code] ?? part}`;
  }

  list(names: readonly string[]): string {
    return this.#formats.list.format(names);
  }

  /** What a party is called: the name, else the number, else that it was withheld. */
  party(party: PartyView): string {
    return party.name ?? (party.number === "" ? this.t.app.unknownParty : party.number);
  }
}

export const i18n = new Interface();
export { clock, stopwatch } from "./clock.svelte";
