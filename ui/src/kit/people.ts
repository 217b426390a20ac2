import type { DirectoryEntryView } from "../host/generated/contract";

const collator = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });
/** Without accents and capitals. */
const fold = (text: string) => text.normalize("NFD").replaceAll(/\p{M}/gu, "").toLocaleLowerCase();

/** Whether these texts hold every word that is looked for. */
export function holds(texts: readonly string[], query: string): boolean {
  const text = texts.map(fold).join("\n");
  return fold(query).split(/\s+/).filter(Boolean).every((word) => text.includes(word));
}

/** The people whose name, user name or extension holds every word, by name; those whose name begins with it come first. */
export function matching(people: readonly DirectoryEntryView[], query: string): DirectoryEntryView[] {
  const wanted = fold(query).trim();
  const found = people.filter(({ name, user, extension }) => holds([name, user, extension], query));
  const first = (person: DirectoryEntryView) => (fold(person.name).startsWith(wanted) || person.extension.startsWith(wanted) ? 0 : 1);
  const byName = (a: DirectoryEntryView, b: DirectoryEntryView) => collator.compare(a.name, b.name) || collator.compare(a.extension, b.extension);
  return found.sort((a, b) => (wanted === "" ? 0 : first(a) - first(b)) || byName(a, b));
}
