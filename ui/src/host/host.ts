import type { Code, Command, Event } from "./generated/contract";

/** What stands behind the interface: the desktop's shell, or a world in memory. */
export interface Host {
  /** What was known when the window was made, so that its first picture shows it. */
  readonly first: readonly Event[];
  /** Asks for something. `null` when it was done; what it changed comes as events. */
  perform(command: Command): Promise<Code | null>;
  /** Hears every event from now on. */
  listen(hear: (event: Event) => void): Promise<() => void>;
}
