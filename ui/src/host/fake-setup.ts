import type { Event, Language, MessageRow, TestCallView, TestMessageView, TestStep, TestStepView } from "./generated/contract";

/** What test calls and test messages need of the world around them. */
export interface SetUpWorld {
  send: (event: Event) => null;
  /** Somebody calls, who is to be left ringing; the call. */
  ring: (name: string) => string;
  isRinging: (call: string) => boolean;
  hangUp: (call: string) => void;
  /** A message of somebody without a number; its id. */
  leave: (name: string, change: Partial<MessageRow>) => string;
  slow: (ms: number) => number;
  language: () => Language;
  /** The greeting is lost, and the message does not come. */
  fails: boolean;
}

const STEPS: readonly TestStep[] = ["reachable", "rang", "answered", "greeting", "arrived", "sound", "notified"];
/** How long each step is waited for. */
const TAKES_MS: readonly number[] = [300, 2500, 700, 2600, 2800, 500, 300];
const HEARD_FROM = 4;

export class FakeSetUp {
  #message: string | null = null;

  constructor(private readonly world: SetUpWorld) {}

  /** A test call begins. */
  call(): null {
    this.#message = null;
    void this.#run();
    return this.#send("running", 0);
  }

  /** It is over, as in a picture. */
  over(): void {
    if (!this.world.fails) this.#message = this.#leave();
    this.#send(this.world.fails ? "failed" : "passed", STEPS.length);
  }

  async leaveTestMessage(): Promise<void> {
    const steps: readonly [TestMessageView["type"] & ("calling" | "greeting" | "speaking" | "waiting"), number][] = [
      ["calling", 900],
      ["greeting", 2200],
      ["speaking", 2500],
      ["waiting", 400],
    ];
    for (const [type, ms] of steps) {
      this.world.send({ type: "test_message", view: { type } });
      await pause(this.world.slow(ms));
    }
    const message = this.world.leave("Maria Eckert", { reason: "direct" });
    this.world.send({ type: "test_message", view: { type: "arrived", message, after_ms: 240 } });
  }

  async #run(): Promise<void> {
    let call: string | null = null;
    for (const [at, ms] of TAKES_MS.entries()) {
      this.#send("running", at);
      if (STEPS[at] === "rang") call = this.world.ring(this.#name());
      if (STEPS[at] === "answered" && call !== null) this.world.hangUp(call);
      await this.#wait(this.world.slow(ms), STEPS[at] === "rang" ? call : null);
      if (STEPS[at] === "arrived" && !this.world.fails) this.#message = this.#leave();
    }
    this.#send(this.world.fails ? "failed" : "passed", STEPS.length);
  }

  /** Whoever sends a ringing test call to the mailbox waits no longer. */
  async #wait(ms: number, call: string | null): Promise<void> {
    for (let waited = 0; waited < ms; waited += 50) {
      if (call !== null && !this.world.isRinging(call)) return;
      await pause(50);
    }
    await pause(0);
  }

  #name(): string {
    return this.world.language() === "de" ? "Testanruf" : "Test call";
  }

  #leave(): string {
    return this.world.leave(this.#name(), { test: true });
  }

  #send(state: TestCallView["state"], done: number): null {
    const steps = STEPS.map((step, at) => this.#step(step, at, done));
    return this.world.send({ type: "test_call", view: { state, steps, can_be_heard: done >= HEARD_FROM, message: this.#message, code: null } });
  }

  #step(step: TestStep, at: number, done: number): TestStepView {
    if (at > done) return { step, state: "waiting", note: null };
    if (at === done) return { step, state: "running", note: step === "rang" ? { type: "leave_it" } : null };
    if (this.world.fails && step === "greeting") return { step, state: "failed", note: { type: "greeting_lost" } };
    if (this.world.fails && step === "rang") return { step, state: "skipped", note: { type: "do_not_disturb" } };
    if (step === "greeting") return { step, state: "done", note: { type: "account_greeting", duration_ms: 7_400 } };
    if (step === "sound") return { step, state: "done", note: { type: "measured", spoken_ms: 5_500, arrived_ms: 5_500, louder: -3 } };
    return { step, state: "done", note: null };
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
