import { callLog, devices, inLanguage, messages, party, PEOPLE, speech } from "./fake-data";
import { type Around, type Began, FakeGreetings, greetings, spokenName } from "./fake-greetings";
import { FakeRules, NO_PLAN, plan } from "./fake-rules";
import { FakeSetUp, pause } from "./fake-setup";
import type {
  AccountView,
  AppView,
  AudioDevicesView,
  AudioUse,
  CallLogRow,
  CallView,
  Code,
  Command,
  DevicesView,
  DirectoryEntryView,
  Event,
  Folder,
  MessageRow,
  MessageState,
  MessageView,
  PhoneMenuView,
  PlaybackView,
  PlayerView,
  SettingsView,
  ToastAbout,
} from "./generated/contract";
import type { Host } from "./host";

type Act = Extract<Command, { type: "act" }>["action"];
type Window = Omit<Extract<Command, { type: "open_folder" }>, "type">;

/** What a world begins with, as in `?world=empty,ringing`. */
export type Scene = "own" | "broken" | "signed_out" | "revoked" | "invited" | "locked" | "empty" | "loading" | "offline" | "connecting" | "ringing" | "in_call" | "held" | "playing" | "many" | "recording" | "recorded" | "full" | "tested" | "failing";

const SPEED_MS = 100;
const HEARD_MS = 1000;
const INVITATION = "aftertone://invite?server=https://phone.example.com&token=T";
const GOOD: CallView["quality"] = {
  bars: 4,
  codec: "Opus",
  round_trip_ms: 38,
  loss_permille: 0,
  jitter_ms: 6,
  mos_tenths: 44,
  relayed: false,
  one_way: false, unheard: false,
};
const SIGNED_IN: Extract<AccountView, { type: "signed_in" }> = {
  type: "signed_in",
  provider: null,
  me: {
    user: "maria.eckert",
    extension: "1001",
    name: "Maria Eckert",
    initials: "ME",
    domain: "phone.example.com",
    server: "https://phone.example.com",
  },
};

const holds: Record<Folder, (state: MessageState) => boolean> = {
  new: (state) => state === "new",
  all: (state) => state !== "deleted",
  saved: (state) => state === "saved",
  trash: (state) => state === "deleted",
};

/** An account in memory, for development and tests. It answers as the shell does, and forgets all at a reload. */
export class FakeHost implements Host {
  readonly first: readonly Event[] = [];
  readonly asked: Command[] = [];
  /** The next command of this type fails. */
  readonly failures = new Map<Command["type"], Code>();

  #hear: (event: Event) => void = () => {};
  #app: AppView;
  #messages: MessageRow[];
  #under = new Map<string, MessageState>();
  #log: CallLogRow[];
  #window: Window = { folder: "new", query: "", offset: 0, limit: 100 };
  #logWindow = { offset: 0, limit: 100 };
  #open: string | null = null;
  #playback: PlaybackView | null = null;
  #player: PlayerView = { rate_percent: 100, volume_percent: 100, skip_silence: false };
  #settings: SettingsView = {
    notifications: { messages: true, calls: true, missed_calls: true, quiet: null },
    quiet_now: false,
    tray: true,
    with_the_session: false,
  };
  #accountDevices: DevicesView;
  #phoneMenu: PhoneMenuView = { has_pin: false, layout: "aftertone", menu_number: "*97", mailbox_number: "*98" };
  #people: readonly DirectoryEntryView[];
  #heardMs = 0;
  #greetings: FakeGreetings;
  readonly rules: FakeRules;
  readonly #setup: FakeSetUp;
  #ticking: ReturnType<typeof setInterval> | null = null;
  #undo = new Map<number, () => void>();
  #ids = 1;
  #devices: AudioDevicesView = {
    inputs: [
      { id: "built-in", name: "Built-in microphone", system_default: false },
      { id: "headset", name: "Jabra Evolve2 65", system_default: true },
    ],
    outputs: [
      { id: "built-in", name: "Built-in speakers", system_default: false },
      { id: "headset", name: "Jabra Evolve2 65", system_default: true },
    ],
    microphone: null,
    speaker: null,
    ringer: "built-in",
    microphone_in_use: { name: "Jabra Evolve2 65", fallback: false, missing: null },
    speaker_in_use: { name: "Jabra Evolve2 65", fallback: false, missing: null },
    ringer_in_use: { name: "Built-in speakers", fallback: false, missing: null },
    speaker_volume: 100,
    ringer_volume: 100,
    processing: { echo_cancellation: true, noise_suppression: true, gain_control: true },
    region: "germany",
  };

  constructor(
    private readonly scenes: ReadonlySet<Scene> = new Set(),
    language: "en" | "de" = "en",
    now = Date.now(),
  ) {
    this.#messages = scenes.has("empty") || scenes.has("loading") || scenes.has("broken") ? [] : inLanguage(messages(now, scenes.has("many") ? 50_000 : 140), language);
    this.#accountDevices = inLanguage(devices(now), language);
    this.#devices = inLanguage(this.#devices, language);
    this.#people = inLanguage(PEOPLE, language);
    this.#log = scenes.has("empty") ? [] : inLanguage(callLog(now), language);
    this.#app = {
      account: this.#account(),
      connection: scenes.has("offline")
        ? { type: "offline", reason: "connect", detail: "connection refused", retry_at: new Date(now + 25_000).toISOString() }
        : { type: scenes.has("connecting") ? "connecting" : "connected" },
      calls: [],
      language,
      secrets: scenes.has("locked") ? "locked" : "ok",
      new_messages: 0,
      waiting: scenes.has("offline") ? 2 : 0,
      version: "0.1.0",
    };
    const around: Around = {
      send: (event) => {
        this.#send(event);
        // The rules name greetings.
        return event.type === "greetings" ? this.rules.sendAll(event.view.greetings) : null;
      },
      toast: (about, undo) => this.#toast(about, undo),
      slow: (ms) => this.#slow(ms),
      reachable: () => this.#app.connection.type === "connected",
    };
    const rows = scenes.has("empty") || scenes.has("loading") ? [] : greetings(now, language);
    this.rules = new FakeRules(around, scenes.has("empty") ? NO_PLAN : plan(language, rows), !scenes.has("loading"));
    this.#greetings = new FakeGreetings(
      around,
      rows,
      rows.length === 0 ? null : spokenName(language),
      !scenes.has("loading"),
      scenes.has("recording") ? "recording" : scenes.has("recorded") ? "recorded" : null,
    );
    this.#setup = new FakeSetUp({
      send: (event) => this.#send(event),
      ring: (name) => this.ring("", name, 0, true),
      isRinging: (call) => this.#app.calls.some(({ id, state }) => id === call && state.type === "ringing"),
      hangUp: (call) => this.hangUp(call),
      leave: (name, change) => this.leave("", name, 6, change),
      slow: (ms) => this.#slow(ms),
      language: () => this.#app.language,
      fails: scenes.has("failing"),
    });
    if (scenes.has("in_call") || scenes.has("held")) {
      const id = this.#call(party("1004", "Lena Fischer"), "outgoing", { type: "connected", since: new Date(now - 83_000).toISOString() });
      if (scenes.has("held")) this.#change(id, { held: true });
    }
    if (scenes.has("ringing")) this.#call(inLanguage(party("1820", "Main office, billing"), language), "incoming", { type: "ringing" }, 2);
  }

  static fromAddress(search: string): FakeHost {
    const query = new URLSearchParams(search);
    const scenes = (query.get("world") ?? "").split(",").filter(Boolean) as Scene[];
    const language = query.get("lang") ?? (navigator.language.startsWith("de") ? "de" : "en");
    const host = new FakeHost(new Set(scenes), language === "de" ? "de" : "en");
    Object.assign(globalThis, { aftertone: host });
    return host;
  }

  async listen(hear: (event: Event) => void): Promise<() => void> {
    this.#hear = hear;
    return () => {
      this.#hear = () => {};
      this.#stop();
      this.#greetings.stop();
    };
  }

  async perform(command: Command): Promise<Code | null> {
    this.asked.push(command);
    await Promise.resolve();
    const failure = this.failures.get(command.type);
    this.failures.delete(command.type);
    return failure ?? (await this.#do(command));
  }

  /** Somebody calls. */
  ring(number: string, name: string | null = null, waiting = 0, test = false): string {
    const call = this.#call(party(number, name), "incoming", { type: "ringing" }, waiting);
    this.#change(call, { test });
    return call;
  }

  /** The caller gives up. */
  hangUp(call: string): void {
    this.#app = { ...this.#app, calls: this.#app.calls.filter(({ id }) => id !== call) };
    this.#sendApp();
  }

  /** The frame changes. */
  tellApp(change: Partial<AppView>): void {
    this.#app = { ...this.#app, ...change };
    this.#sendApp();
  }

  /** The sound devices. */
  get devices(): AudioDevicesView {
    return this.#devices;
  }

  /** A call to somebody, as far as it has come. */
  dial(number: string, state: "dialling" | "ringing"): void {
    this.#call(party(number), "outgoing", { type: state });
    this.#sendApp();
  }

  /** The shell tells something. */
  tell(event: Event): void {
    this.#send(event);
  }

  /** Somebody left a message. */
  leave(number: string, name: string | null = null, seconds = 6, more: Partial<MessageRow> = {}): string {
    const id = crypto.randomUUID();
    const row: MessageRow = {
      id,
      party: party(number, name),
      received_at: new Date().toISOString(),
      duration_ms: seconds * 1000,
      peaks: speech(this.#ids++, 60),
      state: "new",
      reason: "no_answer",
      urgent: false,
      private: false,
      call_back: null,
      forwarded: null,
      interrupted: false,
      playable: true,
      test: false,
      ...more,
    };
    this.#messages = [row, ...this.#messages];
    this.#sendMailbox();
    return id;
  }

  async #do(command: Command): Promise<Code | null> {
    switch (command.type) {
      case "attach":
        return this.#attach();
      case "sign_in":
        await pause(this.#slow(600));
        if (command.password === "wrong") return "wrong_credentials";
        this.#app = { ...this.#app, account: SIGNED_IN };
        return this.#attach();
      case "sign_in_with_invitation":
        await pause(this.#slow(600));
        if (!command.link.startsWith("aftertone://invite?")) return "bad_invitation";
        this.#app = { ...this.#app, account: SIGNED_IN };
        return this.#attach();
      case "use_on_your_own":
        return this.#useOnYourOwn(command);
      case "sign_out":
        this.#app = { ...this.#app, calls: [], account: signedOut({}) };
        return this.#sendApp();
      case "retry_secrets":
        return "secrets_locked";
      case "choose_file_secrets":
        this.#app = { ...this.#app, secrets: "ok" };
        return this.#sendApp();
      case "set_language":
        this.#app = { ...this.#app, language: command.language };
        return this.#sendApp();
      case "place_call":
        return this.#place(command.number);
      case "call_back":
        return this.#place(this.#find(command.message)?.party.number ?? "");
      case "answer":
        return this.#change(command.call, { state: { type: "connected", since: new Date().toISOString() } });
      case "decline":
        return this.#end(command.call, { type: "ended", reason: "declined" });
      case "hang_up":
        return this.#end(command.call, { type: "ended", reason: "local_hangup" });
      case "set_muted":
        return this.#change(command.call, { muted: command.muted });
      case "set_recording":
        if (!command.on) this.#toast({ type: "recorded", place: "/home/maria/Music/Aftertone/2026-11-20 14.32.07 Lena Fischer.ogg" });
        return this.#change(command.call, { recording: command.on });
      case "set_held":
        return this.#change(command.call, { held: command.held });
      case "send_digit":
        return this.#press(command.call, command.digit);
      case "read_invitation":
        await pause(this.#slow(300));
        if (command.picture === "") return "bad_picture";
        this.#app = { ...this.#app, account: signedOut({ invitation: INVITATION }) };
        return this.#sendApp();
      case "reconnect":
        this.#app = { ...this.#app, connection: { type: "connecting" } };
        return this.#sendApp();
      case "open_folder":
        this.#window = command;
        return this.#sendMailbox();
      case "open_message":
        this.#open = command.message;
        return this.#sendMessage();
      case "play":
        return this.#play(command.message, command.position_ms);
      case "pause":
        return this.#pause();
      case "seek":
        if (this.#playback) this.#playback = { ...this.#playback, position_ms: command.position_ms };
        return this.#send({ type: "playback", view: this.#playback });
      case "set_player":
        this.#player = { rate_percent: command.rate_percent, volume_percent: command.volume_percent, skip_silence: command.skip_silence };
        if (this.#playback) this.#playback = { ...this.#playback, rate_percent: command.rate_percent };
        this.#send({ type: "playback", view: this.#playback });
        return this.#send({ type: "player", view: this.#player });
      case "export_messages":
        return this.#toast({ type: "exported", count: command.messages.length, place: "/home/maria/Downloads" });
      case "select": {
        const found = this.#found();
        const part = found.slice(command.offset, command.offset + Math.min(1000, command.limit));
        return this.#send({ type: "selection", view: { offset: command.offset, messages: part.map(({ id }) => id), total: found.length } });
      }
      case "act":
        return this.#act(command.messages, command.action);
      case "unsave":
        return this.#unsave(command.messages);
      case "undo":
        this.#undo.get(command.toast)?.();
        this.#undo.delete(command.toast);
        return this.#sendMailbox();
      case "forward":
        if (this.#messages.some((row) => row.private && command.messages.includes(row.id))) return "private_message";
        if (this.#app.connection.type === "offline") return this.#toast({ type: "forward_waits" });
        return this.#toast({ type: "forwarded", to: command.to.map((to) => this.#people.find(({ user }) => user === to)?.name ?? to) });
      case "leave_test_message":
        void this.#setup.leaveTestMessage();
        return null;
      case "start_test_call":
        return this.#setup.call();
      case "play_test_call":
        return this.#begin({ message: null, greeting: null, account_greeting: false, position_ms: 0, duration_ms: 8_200 });
      case "open_call_log":
        this.#logWindow = command;
        return this.#sendLog();
      case "list_directory":
        return this.#send({ type: "directory", view: { entries: [...this.#people] } });
      case "list_devices":
        return this.#send({ type: "devices", view: this.#accountDevices });
      case "revoke_device":
        this.#accountDevices = { devices: this.#accountDevices.devices.filter(({ id }) => id !== command.device) };
        return this.#send({ type: "devices", view: this.#accountDevices });
      case "look_at_phone_menu":
        return this.#send({ type: "phone_menu", view: this.#phoneMenu });
      case "set_pin":
        if (!/^\d{6,12}$/.test(command.pin)) return "weak_pin";
        this.#phoneMenu = { ...this.#phoneMenu, has_pin: true };
        return this.#send({ type: "phone_menu", view: this.#phoneMenu });
      case "remove_pin":
        this.#phoneMenu = { ...this.#phoneMenu, has_pin: false };
        return this.#send({ type: "phone_menu", view: this.#phoneMenu });
      case "choose_menu_layout":
        this.#phoneMenu = { ...this.#phoneMenu, layout: command.layout };
        return this.#send({ type: "phone_menu", view: this.#phoneMenu });
      case "set_notifications":
        this.#settings = { ...this.#settings, notifications: command.notifications };
        return this.#send({ type: "settings", view: this.#settings });
      case "start_with_the_session":
        this.#settings = { ...this.#settings, with_the_session: command.on };
        return this.#send({ type: "settings", view: this.#settings });
      case "list_audio_devices":
        return this.#send({ type: "audio_devices", view: this.#devices });
      case "choose_audio_device":
        this.#choose(command.use, command.device);
        return this.#send({ type: "audio_devices", view: this.#devices });
      case "set_volume":
        if (command.use !== "microphone") this.#devices = { ...this.#devices, [`${command.use}_volume`]: command.percent };
        return this.#send({ type: "audio_devices", view: this.#devices });
      case "set_voice_processing":
        this.#devices = { ...this.#devices, processing: command.processing };
        return this.#send({ type: "audio_devices", view: this.#devices });
      case "set_tone_region":
        this.#devices = { ...this.#devices, region: command.region };
        return this.#send({ type: "audio_devices", view: this.#devices });
      case "test_microphone":
        return this.#send({ type: "audio_levels", view: { microphone: command.on ? 62 : 0, speaker: 0 } });
      case "test_speaker":
      case "test_notification":
      case "end_set_up":
        return null;
      case "play_greeting":
      case "play_account_greeting":
      case "play_recording": {
        const at = this.#greetings.playback(command);
        return at === null ? "gone" : this.#begin(at);
      }
      case "describe_greeting":
      case "set_standard_greeting":
      case "set_temporary_greeting":
      case "remove_greeting":
      case "start_recording":
      case "stop_recording":
      case "load_recording":
      case "discard_recording":
      case "save_greeting":
      case "save_name":
      case "coach":
        return this.#greetings.do(command);
      case "change_plan":
      case "remove_from_plan":
      case "set_ring_time":
      case "simulate":
        return this.rules.do(command);
    }
  }

  #choose(use: AudioUse, chosen: string | null): void {
    const all = use === "microphone" ? this.#devices.inputs : this.#devices.outputs;
    const name = all.find(({ id, system_default }) => (chosen === null ? system_default : id === chosen))?.name ?? null;
    this.#devices = { ...this.#devices, [use]: chosen, [`${use}_in_use`]: { name, fallback: false, missing: null } };
    if (use === "speaker" && this.#playback) this.#playback = { ...this.#playback, device: name };
    this.#send({ type: "playback", view: this.#playback });
  }

  #account(): AccountView {
    if (this.scenes.has("revoked")) return signedOut({ why: "not_signed_in", server: "phone.example.com", user: "maria.eckert" });
    if (this.scenes.has("invited")) return signedOut({ invitation: INVITATION });
    if (this.scenes.has("own")) return { ...SIGNED_IN, provider: { server: "sip.provider.example", user: "4930901820" } };
    return this.scenes.has("signed_out") || this.scenes.has("locked") ? signedOut({}) : SIGNED_IN;
  }

  async #useOnYourOwn({ server, user, password }: Extract<Command, { type: "use_on_your_own" }>): Promise<Code | null> {
    const provider = { server, user };
    if (this.#app.account.type === "signed_in") {
      this.#app = { ...this.#app, account: { ...this.#app.account, provider } };
      return this.#sendApp();
    }
    for (const step of ["starting", "locating", "connecting", "registering", "signing_in"] as const) {
      if (step === "signing_in" && password === "wrong") {
        this.#app = { ...this.#app, account: signedOut({}) };
        this.#sendApp();
        return "provider_credentials";
      }
      this.#app = { ...this.#app, account: signedOut({ provider: step }) };
      this.#sendApp();
      await pause(this.#slow(700));
    }
    this.#app = { ...this.#app, account: { ...SIGNED_IN, provider } };
    return this.#attach();
  }

  #attach(): null {
    this.#sendMailbox();
    if (this.scenes.has("playing")) {
      const first = this.#messages[0];
      if (first) {
        void this.#play(first.id, 16_000);
        this.#heardMs = HEARD_MS;
        this.#hearing();
      }
    }
    this.#sendLog();
    this.#greetings.sendAll();
    this.#send({ type: "player", view: this.#player });
    this.#send({ type: "settings", view: this.#settings });
    if (this.scenes.has("tested") || this.scenes.has("failing")) this.#setup.over();
    return this.#send({ type: "audio_devices", view: this.#devices });
  }

  #send(event: Event): null {
    this.#hear(event);
    return null;
  }

  #sendApp(): null {
    const new_messages = this.#messages.filter(({ state }) => state === "new").length;
    this.#app = { ...this.#app, new_messages };
    return this.#send({ type: "app", view: this.#app });
  }

  #sendMailbox(): null {
    const { folder, query, offset, limit } = this.#window;
    const found = this.#found();
    const count = (folder: Folder) => this.#messages.filter(({ state }) => holds[folder](state)).length;
    this.#send({
      type: "mailbox",
      view: {
        folder,
        query,
        counts: { new: count("new"), all: count("all"), saved: count("saved"), trash: count("trash") },
        total: found.length,
        offset,
        rows: found.slice(offset, offset + limit).map((row) => ({ ...row, playable: true })),
        fullness: this.scenes.has("full") ? "full" : "roomy",
        synced: !this.scenes.has("loading") && !this.scenes.has("broken"),
        failed: this.scenes.has("broken"),
      },
    });
    this.#sendMessage();
    return this.#sendApp();
  }

  /** What the open folder has for the query. */
  #found(): MessageRow[] {
    const words = this.#window.query.toLowerCase().split(/\s+/);
    const text = (row: MessageRow) =>
      `${row.party.name ?? ""}\n${row.party.number}\n${row.forwarded?.note ?? ""}\n${row.forwarded?.from.name ?? ""}`.toLowerCase();
    return this.#messages.filter((row) => holds[this.#window.folder](row.state) && words.every((word) => text(row).includes(word)));
  }

  #sendMessage(): null {
    const row = this.#open === null ? undefined : this.#find(this.#open);
    if (!row) return this.#send({ type: "message", view: null });
    const story: MessageView["story"] = [{ at: row.received_at, what: { type: "came_in", reason: row.reason } }];
    const over = new Date(Date.parse(row.received_at) + 24_000 + row.duration_ms).toISOString();
    const { duration_ms, urgent } = row;
    story.push({ at: over, what: row.interrupted ? { type: "interrupted", duration_ms } : { type: "recorded", duration_ms, urgent } });
    if (row.forwarded) story.push({ at: row.forwarded.at, what: { type: "forwarded", from: row.forwarded.from } });
    return this.#send({ type: "message", view: { row: { ...row, playable: this.#playable(row) }, story } });
  }

  /** What isn't on this device can be fetched from the server. */
  #playable(row: MessageRow): boolean {
    return row.playable || this.#app.connection.type === "connected";
  }

  #sendLog(): null {
    const { offset, limit } = this.#logWindow;
    return this.#send({ type: "call_log", view: { total: this.#log.length, offset, rows: this.#log.slice(offset, offset + limit) } });
  }

  #toast(about: ToastAbout, undo?: () => void): null {
    const id = this.#ids++;
    if (undo) this.#undo.set(id, undo);
    return this.#send({ type: "toast", view: { id, about, undo: undo !== undefined } });
  }

  #find(id: string): MessageRow | undefined {
    return this.#messages.find((row) => row.id === id);
  }

  #set(id: string, state: MessageState): void {
    this.#messages = this.#messages.map((row) => (row.id === id ? { ...row, state } : row));
  }

  #act(ids: readonly string[], action: Act): Code | null {
    const before = this.#messages.filter(({ id }) => ids.includes(id));
    if (before.length === 0) return "gone";
    for (const { id, state } of before) {
      if (action === "expunge") this.#messages = this.#messages.filter((row) => row.id !== id);
      else if (action === "delete") {
        this.#under.set(id, state);
        this.#set(id, "deleted");
      } else if (action === "restore") this.#set(id, this.#under.get(id) ?? "heard");
      else if (action === "heard") this.#set(id, state === "saved" ? "saved" : "heard");
      else this.#set(id, action === "save" ? "saved" : "new");
    }
    this.#sendMailbox();
    const count = before.length;
    const about = { new: "marked_new", heard: "marked_heard", save: "saved", delete: "deleted", restore: "restored", expunge: "expunged" } as const;
    const undo = () => before.forEach(({ id, state }) => this.#set(id, state));
    return this.#toast({ type: about[action], count }, action === "expunge" ? undefined : undo);
  }

  #unsave(ids: readonly string[]): null {
    ids.forEach((id) => this.#set(id, "heard"));
    this.#sendMailbox();
    return this.#toast({ type: "marked_heard", count: ids.length }, () => ids.forEach((id) => this.#set(id, "saved")));
  }

  #play(id: string, from: number | null): Code | null {
    const row = this.#find(id);
    if (!row) return "gone";
    if (!this.#playable(row)) return "sound_missing";
    const resumed = this.#playback?.message === id && this.#playback.position_ms < row.duration_ms ? this.#playback.position_ms : 0;
    return this.#begin({ message: id, greeting: null, account_greeting: false, position_ms: from ?? resumed, duration_ms: row.duration_ms });
  }

  #begin(at: Began): null {
    this.#stop();
    this.#playback = {
      ...at,
      playing: true,
      loading: false,
      rate_percent: this.#player.rate_percent,
      device: this.#devices.speaker_in_use.name,
    };
    this.#heardMs = 0;
    this.#send({ type: "playback", view: this.#playback });
    this.#ticking = setInterval(() => this.#tick(), SPEED_MS);
    return null;
  }

  #tick(): void {
    if (!this.#playback) return;
    const position_ms = Math.min(this.#playback.duration_ms, this.#playback.position_ms + (SPEED_MS * this.#playback.rate_percent) / 100);
    const playing = position_ms < this.#playback.duration_ms;
    this.#playback = { ...this.#playback, position_ms, playing };
    this.#hearing();
    if (!playing) this.#stop();
    this.#send({ type: "playback", view: this.#playback });
  }

  /** A message counts as heard once a second of it was heard, and not while nobody can hear it. */
  #hearing(): void {
    const row = this.#playback?.message ? this.#find(this.#playback.message) : undefined;
    if (this.#player.volume_percent === 0 || row?.state !== "new") return;
    this.#heardMs += SPEED_MS;
    if (this.#heardMs < HEARD_MS) return;
    this.#set(row.id, "heard");
    this.#sendMailbox();
  }

  #stop(): void {
    if (this.#ticking !== null) clearInterval(this.#ticking);
    this.#ticking = null;
  }

  #pause(): null {
    this.#stop();
    if (this.#playback) this.#playback = { ...this.#playback, playing: false };
    return this.#send({ type: "playback", view: this.#playback });
  }

  #call(who: CallView["party"], direction: CallView["direction"], state: CallView["state"], waiting_messages = 0): string {
    const id = crypto.randomUUID();
    const call: CallView = {
      id,
      direction,
      party: who,
      state,
      muted: false,
      recording: false,
      recordable: true,
      held: false,
      held_by_other: false,
      quality: state.type === "connected" ? GOOD : null,
      digits: "",
      waiting_messages,
      test: false,
    };
    this.#app = { ...this.#app, calls: [...this.#app.calls, call] };
    return id;
  }

  #press(id: string, digit: string): Code | null {
    const call = this.#app.calls.find((call) => call.id === id);
    return this.#change(id, { digits: (call?.digits ?? "") + digit });
  }

  #place(number: string): Code | null {
    const wanted = number.replaceAll(" ", "");
    const person = this.#people.find(({ user, extension }) => user === wanted || extension === wanted);
    if (!person && !/^\+?[0-9*#]{2,}$/.test(wanted)) return "bad_number";
    const id = this.#call(party(person?.extension ?? number, person?.name ?? null), "outgoing", { type: "dialling" });
    this.#sendApp();
    setTimeout(() => this.#change(id, { state: { type: "ringing" } }, "dialling"), this.#slow(700));
    setTimeout(() => this.#change(id, { state: { type: "connected", since: new Date().toISOString() }, quality: GOOD }, "ringing"), this.#slow(3000));
    return null;
  }

  #change(id: string, change: Partial<CallView>, only?: CallView["state"]["type"]): Code | null {
    const call = this.#app.calls.find((call) => call.id === id);
    if (!call || (only !== undefined && call.state.type !== only)) return "no_such_call";
    this.#app = { ...this.#app, calls: this.#app.calls.map((call) => (call.id === id ? { ...call, ...change } : call)) };
    return this.#sendApp();
  }

  #end(id: string, state: CallView["state"]): Code | null {
    const code = this.#change(id, { state });
    setTimeout(() => {
      this.#app = { ...this.#app, calls: this.#app.calls.filter((call) => call.id !== id) };
      this.#sendApp();
    }, this.#slow(2500));
    return code;
  }

  /** In tests nothing takes long. */
  #slow(ms: number): number {
    return import.meta.env.MODE === "test" ? 0 : ms;
  }
}

function signedOut(view: Partial<Extract<AccountView, { type: "signed_out" }>>): AccountView {
  return { type: "signed_out", server: "", user: "", why: null, invitation: null, provider: null, ...view };
}
