import type { Place } from "../host";

export const TABS = ["calls", "mailbox", "people", "greetings", "settings"] as const;
export type Tab = (typeof TABS)[number];
/** Beside the sections there is the set-up, which no tab leads to. */
export type Section = Tab | "setup";

const isSection = (text: string): text is Section => text === "setup" || (TABS as readonly string[]).includes(text);

/** Which section is open. It stands in the address, so that a reload comes back to it. */
class Route {
  tab = $state<Section>("mailbox");
  /** A message to open, until the mailbox has opened it. */
  message = $state<string | null>(null);
  /** A number to fill in. */
  number = $state<string | null>(null);
  /** The set-up begins with the test call. */
  test = $state(false);

  /** Follows the address. */
  run(): () => void {
    const read = () => {
      const name = location.hash.slice(2);
      if (isSection(name)) this.tab = name;
    };
    read();
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }

  go(tab: Section): void {
    this.tab = tab;
    this.test = false;
    this.number = null;
    history.replaceState(null, "", `#/${tab}`);
  }

  goToTest(): void {
    this.go("setup");
    this.test = true;
  }

  show(place: Place): void {
    switch (place.type) {
      case "mailbox":
        return this.go("mailbox");
      case "settings":
      case "greetings":
        return this.go(place.type);
      case "set_up":
        return this.go("setup");
      case "message":
        this.go("mailbox");
        this.message = place.message;
        return;
      case "calls":
        this.go("calls");
        this.number = place.number;
    }
  }
}

export const route = new Route();
