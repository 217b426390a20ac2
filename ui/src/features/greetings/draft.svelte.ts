import type { Language } from "../../host";
import type { Template } from "./templates";

export const USES = ["keep", "standard", "temporary"] as const;
export type Use = (typeof USES)[number];

/** What was written for a new greeting; it stays while its writer looks at something else. */
class NewGreeting {
  begun = $state(false);
  template = $state<Template>("office");
  language = $state<Language>("en");
  title = $state("");
  text = $state("");
  day = $state("");
  use = $state<Use>("standard");

  /** Begins, unless something was begun already. */
  begin(language: Language, text: string): void {
    if (this.begun) return;
    this.begun = true;
    this.language = language;
    this.template = "office";
    this.text = text;
    this.title = "";
    this.day = "";
    this.use = "standard";
  }

  done(): void {
    this.begun = false;
  }
}

export const draft = new NewGreeting();
