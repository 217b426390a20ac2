import type { DirectoryEntryView, GreetingKey, GreetingRow, KeyTarget, Plan } from "../../../host";
import { i18n } from "../../../i18n/index.svelte";

/** In the order of a telephone. */
export const KEYS: readonly string[] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"];
export const TARGETS: readonly KeyTarget["kind"][] = ["person", "mailbox", "number", "announcement"];

/** What a key leads to, in words. */
export function leadsTo(target: KeyTarget, people: readonly DirectoryEntryView[], greetings: readonly GreetingRow[]): string {
  const words = i18n.t.rules.keys;
  switch (target.kind) {
    case "person":
      return nameOf(target.extension, people);
    case "mailbox":
      return words.mailboxOf(nameOf(target.extension, people));
    case "number":
      return target.number;
    case "announcement":
      return words.plays(greetings.find(({ id }) => id === target.greeting)?.title ?? i18n.t.rules.gone);
  }
}

function nameOf(extension: string, people: readonly DirectoryEntryView[]): string {
  return people.find((person) => person.extension === extension || person.user === extension)?.name ?? extension;
}

/** What is chosen and typed in the dialog of a key. */
export interface KeyDraft {
  kind: KeyTarget["kind"];
  title: string;
  extension: string;
  number: string;
  greeting: string;
}

export function draftOfKey(key: GreetingKey | undefined): KeyDraft {
  const target = key?.target;
  return {
    kind: target?.kind ?? "person",
    title: key?.title ?? "",
    extension: target?.kind === "person" || target?.kind === "mailbox" ? target.extension : "",
    number: target?.kind === "number" ? target.number : "",
    greeting: target?.kind === "announcement" ? target.greeting : "",
  };
}

/** Where a draft leads, or nothing while it doesn't say. */
export function targetOf({ kind, extension, number, greeting }: KeyDraft): KeyTarget | null {
  switch (kind) {
    case "person":
    case "mailbox":
      return extension === "" ? null : { kind, extension };
    case "number":
      return number.trim() === "" ? null : { kind, number: number.trim() };
    case "announcement":
      return greeting === "" ? null : { kind, greeting };
  }
}

/** A plan in which a key leads there. */
export function withKey(plan: Plan, key: string, title: string, target: KeyTarget): Plan {
  const rest = plan.keys.filter((other) => other.key !== key);
  const keys = [...rest, { key, title: title.trim(), target }];
  return { ...plan, keys: keys.sort((a, b) => KEYS.indexOf(a.key) - KEYS.indexOf(b.key)) };
}
