import { createSubscriber } from "svelte/reactivity";

/** The time, for markup that shows it: it ticks only while something that is shown reads it. */
class Ticking {
  readonly #read: () => void;

  constructor(everyMs: number) {
    this.#read = createSubscriber((update) => {
      const tick = setInterval(update, everyMs);
      return () => clearInterval(tick);
    });
  }

  get now(): number {
    this.#read();
    return Date.now();
  }
}

/** How long ago something was, in minutes: an idle window need not wake more often. */
export const clock = new Ticking(10_000);
/** Timers that show seconds. */
export const stopwatch = new Ticking(1000);
