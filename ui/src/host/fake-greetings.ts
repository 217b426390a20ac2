import { speech } from "./fake-data";
import type { CoachView, Code, Command, Event, FindingView, GreetingRow, Language, PlaybackView, PointView, RecorderView, RecordingUse, SpokenName, ToastAbout } from "./generated/contract";

type Asked<T extends Command["type"]> = Extract<Command, { type: T }>;
type GreetingCommand = Asked<
  | "describe_greeting"
  | "set_standard_greeting"
  | "set_temporary_greeting"
  | "remove_greeting"
  | "start_recording"
  | "stop_recording"
  | "load_recording"
  | "discard_recording"
  | "save_greeting"
  | "save_name"
  | "coach"
>;

/** What begins to play, and where. */
export type Began = Pick<PlaybackView, "message" | "greeting" | "account_greeting" | "position_ms" | "duration_ms">;

/** What the greetings need of the world around them. */
export interface Around {
  send: (event: Event) => null;
  toast: (about: ToastAbout, undo?: () => void) => null;
  slow: (ms: number) => number;
  reachable: () => boolean;
}

const DAY_MS = 86_400_000;
const SOON_MS = 7 * DAY_MS;
const RECORDED_MS = 22_400;
const ACCOUNT_MS = 7_900;
const LONGEST_MS: Record<RecordingUse, number> = { greeting: 180_000, name: 10_000 };

function expiry(at: string | null, now: number): GreetingRow["expiry"] {
  if (at === null) return null;
  const left = Date.parse(at) - now;
  return { at, soon: left > 0 && left <= SOON_MS, over: left <= 0 };
}

function midnight(now: number, days: number): string {
  const date = new Date(now);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + days).toISOString();
}

export function greetings(now: number, language: Language): GreetingRow[] {
  const german = language === "de";
  const row = (n: number, title: string, text: string, seconds: number, more: Partial<GreetingRow> = {}): GreetingRow => ({
    id: `00000000-0000-4000-8005-${String(n).padStart(12, "0")}`,
    title,
    text,
    language,
    duration_ms: seconds * 1000 + 300,
    peaks: speech(n + 40, 110),
    standard: false,
    temporary: false,
    until: null,
    rules: 0,
    expiry: null,
    state: { type: "stored" },
    ...more,
  });
  return german
    ? [
        row(1, "Urlaub im November", "Guten Tag, Sie haben Maria Eckert bei Nordlicht Werkzeuge erreicht. Ich bin bis einschließlich Sonntag im Urlaub. Vielen Dank für Ihren Anruf.", 21, { temporary: true, until: midnight(now, 3), expiry: expiry(midnight(now, 3), now) }),
        row(2, "Büro", "Guten Tag, Sie haben Maria Eckert bei Nordlicht Werkzeuge erreicht. Bitte hinterlassen Sie Ihren Namen und Ihre Nummer, ich rufe Sie noch am selben Tag zurück. Vielen Dank für Ihren Anruf.", 23, { standard: true }),
        row(3, "Nach Feierabend", "Wir haben für heute geschlossen und sind morgen ab neun Uhr wieder da.", 17, { rules: 1 }),
        row(4, "Messe im Sommer", "Wir sind auf der Messe in Halle 4.", 12, { expiry: expiry(midnight(now, -80), now) }),
      ]
    : [
        row(1, "November vacation", "Hello, you have reached Maria Eckert at Northlight Tools. I am on vacation until Sunday. Thank you for calling.", 21, { temporary: true, until: midnight(now, 3), expiry: expiry(midnight(now, 3), now) }),
        row(2, "Office", "Hello, you have reached Maria Eckert at Northlight Tools. Please leave a message with your name and number, and I will call you back the same day. Thank you for calling.", 23, { standard: true }),
        row(3, "After hours", "We have closed for today and are back tomorrow at nine.", 17, { rules: 1 }),
        row(4, "Summer fair", "You will find us at the fair in hall 4.", 12, { expiry: expiry(midnight(now, -80), now) }),
      ];
}

export function spokenName(language: Language): SpokenName {
  return { id: "00000000-0000-4000-8005-000000000090", text: "Maria Eckert", language, duration_ms: 1_700, peaks: speech(61, 60), state: { type: "stored" } };
}

/** Greetings in memory; the microphone hears somebody speak for as long as is wanted. */
export class FakeGreetings {
  #recorder: RecorderView = { type: "empty" };
  #ticking: ReturnType<typeof setInterval> | null = null;
  #ids = 100;

  constructor(
    private readonly around: Around,
    private rows: GreetingRow[],
    private name: SpokenName | null,
    private readonly loaded: boolean,
    recording: "recording" | "recorded" | null = null,
  ) {
    if (recording === "recording") this.#recorder = { type: "recording", elapsed_ms: 12_400 };
    if (recording === "recorded") this.#recorder = { type: "recorded", duration_ms: RECORDED_MS, peaks: speech(7, 120), file: null, silent: false };
  }

  sendAll(): null {
    const greetings = [...this.rows].sort((a, b) => Number(b.temporary) - Number(a.temporary) || Number(b.standard) - Number(a.standard));
    this.around.send({ type: "greetings", view: { greetings, name: this.name, loaded: this.loaded, reachable: this.around.reachable() } });
    this.around.send({ type: "recorder", view: this.#recorder });
    if (this.#recorder.type === "recording") this.around.send({ type: "audio_levels", view: { microphone: 58, speaker: 0 } });
    return null;
  }

  stop(): void {
    if (this.#ticking !== null) clearInterval(this.#ticking);
    this.#ticking = null;
  }

  /** What plays when this is asked for; none when there is no such sound. */
  playback(command: Asked<"play_greeting" | "play_account_greeting" | "play_recording">): Began | null {
    if (command.type === "play_account_greeting") {
      return { message: null, greeting: null, account_greeting: true, position_ms: 0, duration_ms: ACCOUNT_MS + (this.name?.duration_ms ?? 0) };
    }
    if (command.type === "play_recording") {
      if (this.#recorder.type !== "recorded") return null;
      return { message: null, greeting: null, account_greeting: false, position_ms: command.from_ms, duration_ms: command.to_ms };
    }
    const row = [...this.rows, ...(this.name ? [this.name] : [])].find(({ id }) => id === command.greeting);
    return row ? { message: null, greeting: row.id, account_greeting: false, position_ms: command.position_ms ?? 0, duration_ms: row.duration_ms ?? 0 } : null;
  }

  async do(command: GreetingCommand): Promise<Code | null> {
    switch (command.type) {
      case "describe_greeting": {
        const { title, text, language, expires_at } = command;
        return this.#set(command.greeting, { title, text, language, expiry: expiry(expires_at, Date.now()) });
      }
      case "set_standard_greeting":
        if (!this.around.reachable()) return "connect";
        this.rows = this.rows.map((row) => ({ ...row, standard: row.id === command.greeting }));
        return this.sendAll();
      case "set_temporary_greeting":
        if (!this.around.reachable()) return "connect";
        this.rows = this.rows.map((row) => ({ ...row, temporary: row.id === command.greeting, until: row.id === command.greeting ? command.until : null }));
        return this.sendAll();
      case "remove_greeting":
        return this.#remove(command.greeting);
      case "start_recording":
        return this.#start(command.use);
      case "stop_recording": {
        this.stop();
        const duration_ms = this.#recorder.type === "recording" ? this.#recorder.elapsed_ms : 0;
        return this.#show(duration_ms === 0 ? { type: "empty" } : { type: "recorded", duration_ms, peaks: speech(7, 120), file: null, silent: false });
      }
      case "load_recording":
        await new Promise((done) => setTimeout(done, this.around.slow(400)));
        if (!/\.(wav|mp3|m4a|flac|ogg|opus)$/i.test(command.name)) return "unsupported_sound";
        return this.#show({ type: "recorded", duration_ms: RECORDED_MS, peaks: speech(9, 120), file: command.name, silent: false });
      case "discard_recording":
        this.stop();
        return this.#show({ type: "empty" });
      case "save_greeting":
        return this.#save(command);
      case "save_name":
        return this.#saveName(command);
      case "coach":
        return this.around.send({ type: "coach", view: coach(command) });
    }
  }

  #set(id: string, change: Partial<GreetingRow>): Code | null {
    if (!this.rows.some((row) => row.id === id)) return "gone";
    this.rows = this.rows.map((row) => (row.id === id ? { ...row, ...change } : row));
    return this.sendAll();
  }

  #remove(id: string): Code | null {
    const { name } = this;
    if (name?.id === id) return this.#removeName(name);
    const row = this.rows.find((row) => row.id === id);
    if (!row) return "gone";
    this.rows = this.rows.filter((other) => other !== row);
    this.sendAll();
    return this.around.toast({ type: "greeting_removed", title: row.title }, () => {
      this.rows = [...this.rows, row];
      this.sendAll();
    });
  }

  #removeName(name: SpokenName): null {
    this.name = null;
    this.sendAll();
    return this.around.toast({ type: "name_removed" }, () => {
      this.name = name;
      this.sendAll();
    });
  }

  #show(view: RecorderView): null {
    this.#recorder = view;
    return this.around.send({ type: "recorder", view });
  }

  #start(use: RecordingUse): null {
    this.stop();
    this.#show({ type: "countdown", seconds: 3 });
    const begun = Date.now();
    const step = this.around.slow(200) === 0 ? 1 : 200;
    let ticks = 0;
    this.#ticking = setInterval(() => {
      ticks += 1;
      const passed = step === 1 ? ticks * 1000 : Date.now() - begun;
      if (passed < 3000) return this.#show({ type: "countdown", seconds: Math.ceil((3000 - passed) / 1000) });
      if (passed - 3000 >= LONGEST_MS[use]) {
        this.stop();
        return this.#show({ type: "recorded", duration_ms: LONGEST_MS[use], peaks: speech(7, 120), file: null, silent: false });
      }
      this.around.send({ type: "audio_levels", view: { microphone: 45 + ((ticks * 17) % 40), speaker: 0 } });
      return this.#show({ type: "recording", elapsed_ms: passed - 3000 + 100 });
    }, step);
    return null;
  }

  #save({ title, text, language, expires_at, from_ms, to_ms, use }: Asked<"save_greeting">): Code | null {
    if (this.#recorder.type !== "recorded") return "gone";
    const waits = !this.around.reachable();
    const { peaks } = this.#recorder;
    const id = `00000000-0000-4000-8005-${String(this.#ids++).padStart(12, "0")}`;
    const others = this.rows.map((row) => ({
      ...row,
      standard: use.type === "standard" ? false : row.standard,
      temporary: use.type === "temporary" ? false : row.temporary,
    }));
    const row: GreetingRow = {
      id,
      title,
      text,
      language,
      duration_ms: to_ms - from_ms,
      peaks,
      standard: use.type === "standard",
      temporary: use.type === "temporary",
      until: use.type === "temporary" ? use.until : null,
      rules: 0,
      expiry: expiry(expires_at, Date.now()),
      state: { type: waits ? "waiting" : "stored" },
    };
    this.rows = [row, ...others];
    this.#show({ type: "empty" });
    this.sendAll();
    return this.around.toast({ type: "greeting_kept", title, waits });
  }

  #saveName({ text, language, from_ms, to_ms }: Asked<"save_name">): Code | null {
    if (this.#recorder.type !== "recorded") return "gone";
    const waits = !this.around.reachable();
    this.name = { ...spokenName(language), text, duration_ms: to_ms - from_ms, peaks: this.#recorder.peaks, state: { type: waits ? "waiting" : "stored" } };
    this.#show({ type: "empty" });
    this.sendAll();
    return this.around.toast({ type: "name_kept", waits });
  }
}

/** A little of what the coach knows. */
function coach({ text, language, expires_at, duration_ms }: Asked<"coach">): CoachView {
  const look = (words: RegExp): FindingView => {
    const found = words.exec(text)?.[0];
    return found === undefined ? { type: "missing" } : { type: "found", words: found };
  };
  const german = language === "de";
  const estimated_ms = Math.floor((text.split(/\s+/).filter(Boolean).length * 10_000) / 21);
  const seconds = Math.round((duration_ms ?? estimated_ms) / 1000);
  const length: FindingView = seconds < 20 ? { type: "too_short", seconds } : seconds > 25 ? { type: "too_long", seconds } : { type: "good_length", seconds };
  const passing = (german ? /urlaub|bis zum/i : /vacation|until/i).exec(text)?.[0];
  const current: FindingView = expires_at !== null ? { type: "ends", at: expires_at } : passing !== undefined ? { type: "needs_expiry", words: passing } : { type: "timeless" };
  const findings: Record<PointView, FindingView> = {
    who_first: look(german ? /Sie haben|hier ist/i : /you have reached|this is/i),
    hours: look(german ? /neun bis siebzehn Uhr/i : /nine to five/i),
    next_step: look(german ? /hinterlassen Sie/i : /leave a message|leave your/i),
    other_way: look(/e-mail/i),
    length,
    current,
    thanks: look(german ? /Dank/i : /thank/i),
  };
  const good = new Set(["found", "good_length", "timeless", "ends"]);
  return { advice: (Object.keys(findings) as PointView[]).map((point) => ({ point, finding: findings[point], good: good.has(findings[point].type) })), estimated_ms };
}
