/** Light, dark, or as the system has it. Kept in this window's storage; public/theme.js reads it before the first paint. */
export type Theme = "system" | "light" | "dark";

const KEY = "theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function stored(): Theme {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

class ThemeChoice {
  #choice = $state<Theme>(stored());

  get choice(): Theme {
    return this.#choice;
  }

  set choice(choice: Theme) {
    this.#choice = choice;
    if (choice === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
    this.apply();
  }

  apply(): void {
    const dark = this.#choice === "dark" || (this.#choice === "system" && systemIsDark.matches);
    const { dataset } = document.documentElement;
    if (dataset["theme"] === (dark ? "dark" : "light")) return;
    // Everything changes at once: colours that fade one by one would flicker.
    dataset["switching"] = "";
    dataset["theme"] = dark ? "dark" : "light";
    requestAnimationFrame(() => requestAnimationFrame(() => delete dataset["switching"]));
  }
}

export const theme = new ThemeChoice();

/** Follows the system for as long as nothing else is chosen. */
export function followSystem(): void {
  theme.apply();
  systemIsDark.addEventListener("change", () => theme.apply());
}
