import type { DirectoryEntryView } from "../host/generated/contract";

const fold = (text: string) => text.normalize("NFD").replaceAll(/\p{M}/gu, "").toLocaleLowerCase();

/** The people whose name, user name or extension holds every word; those whose name begins with it come first. */
export function matching(people: readonly DirectoryEntryView[], query: string): DirectoryEntryView[] {
  const wanted = fold(query).trim();
  const words = wanted.split(/\s+/).filter(Boolean);
  const found = people.filter(({ name, user, extension }) => {
    const text = `${fold(name)}\n${fold(user)}\n${extension}`;
    return words.every((word) => text.includes(word));
  });
  const first = (person: DirectoryEntryView) => (fold(person.name).startsWith(wanted) || person.extension.startsWith(wanted) ? 0 : 1);
  return wanted === "" ? found : found.sort((a, b) => first(a) - first(b));
}
