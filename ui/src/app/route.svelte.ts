import type { Place } from "../host";

export const TABS = ["calls", "mailbox", "people", "greetings", "settings"] as const;
export type Tab = (typeof TABS)[number];

const isTab = (text: string): text is Tab => (TABS as readonly string[]).includes(text);

/** Which section is open. It stands in the address, so that a reload comes back to it. */
class Route {
  tab = $state<Tab>("mailbox");
  /** A message to open, until the mailbox has opened it. */
  message = $state<string | null>(null);
  /** A number to fill in. */
  number = $state<string | null>(null);

  /** Follows the address. */
  run(): () => void {
    const read = () => {
      const name = location.hash.slice(2);
      if (isTab(name)) this.tab = name;
    };
    read();
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }

  go(tab: Tab): void {
    this.tab = tab;
    this.number = null;
    history.replaceState(null, "", `#/${tab}`);
  }

  show(place: Place): void {
    switch (place.type) {
      case "mailbox":
        return this.go("mailbox");
      case "settings":
        return this.go("settings");
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
