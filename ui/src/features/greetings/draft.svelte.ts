import type { Language } from "../../host";
import type { Template } from "./templates";

export const USES = ["keep", "standard", "temporary"] as const;
export type Use = (typeof USES)[number];

/** What was written for a new greeting; it stays while its writer looks at something else. */
class NewGreeting {
  /** Who writes it; nobody before it was begun. */
  writer = $state<string | null>(null);
  template = $state<Template>("office");
  language = $state<Language>("en");
  title = $state("");
  text = $state("");
  day = $state("");
  use = $state<Use>("standard");

  /** Begins, unless the same person has begun already. */
  begin(writer: string, language: Language, text: string): void {
    if (this.writer === writer) return;
    this.writer = writer;
    this.language = language;
    this.template = "office";
    this.text = text;
    this.title = "";
    this.day = "";
    this.use = "standard";
  }

  done(): void {
    this.writer = null;
  }
}

export const draft = new NewGreeting();
