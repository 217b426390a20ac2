import { createContext } from "svelte";

import type {
  AppView,
  AudioDevicesView,
  AudioLevels,
  AudioNotice,
  CallLogView,
  CoachView,
  Code,
  Command,
  DevicesView,
  DirectoryView,
  Event,
  GreetingsView,
  MailboxView,
  MessageView,
  Place,
  PhoneMenuView,
  PlaybackView,
  PlayerView,
  RecorderView,
  RulesView,
  SelectionView,
  SettingsView,
  SimulationView,
  TestCallView,
  TestMessageView,
  ToastAbout,
  ToastView,
} from "./generated/contract";
import type { Host } from "./host";

/** Toasts of the interface itself have ids below zero; the shell's begin at zero. */
let ownToast = 0;

/** What a toast tells: the shell's words, or what happened to a sound device. */
export type Told = ToastAbout | { type: "audio"; notice: AudioNotice };
export type Toast = Omit<ToastView, "about"> & { about: Told };

/** The last view model of every kind, and the way to ask for things. */
export class Phone {
  app = $state.raw<AppView | null>(null);
  mailbox = $state.raw<MailboxView | null>(null);
  message = $state.raw<MessageView | null>(null);
  playback = $state.raw<PlaybackView | null>(null);
  player = $state.raw<PlayerView>({ rate_percent: 100, volume_percent: 100, skip_silence: false });
  selection = $state.raw<SelectionView | null>(null);
  callLog = $state.raw<CallLogView | null>(null);
  directory = $state.raw<DirectoryView | null>(null);
  audioDevices = $state.raw<AudioDevicesView | null>(null);
  levels = $state.raw<AudioLevels>({ microphone: 0, speaker: 0 });
  devices = $state.raw<DevicesView | null>(null);
  phoneMenu = $state.raw<PhoneMenuView | null>(null);
  greetings = $state.raw<GreetingsView>({ greetings: [], name: null, loaded: false, reachable: false });
  rules = $state.raw<RulesView>({ plan: null, version: 0, ring_s: 20, regions: [], reachable: false });
  simulation = $state.raw<SimulationView | null>(null);
  recorder = $state.raw<RecorderView>({ type: "empty" });
  coach = $state.raw<CoachView | null>(null);
  settings = $state.raw<SettingsView | null>(null);
  testMessage = $state.raw<TestMessageView>({ type: "idle" });
  testCall = $state.raw<TestCallView>({ state: "idle", steps: [], can_be_heard: false, message: null, code: null });
  toasts = $state.raw<readonly Toast[]>([]);
  /** The frame goes there. */
  onshow: (place: Place) => void = () => {};

  readonly #host: Host;
  #unlisten: (() => void) | null = null;
  /** Changes of how messages sound that the shell has not done yet: until then its word is older than what was chosen. */
  #tuning = 0;
  #tuned: PlayerView | null = null;

  constructor(host: Host) {
    this.#host = host;
    for (const event of host.first) this.#hear(event);
  }

  async attach(): Promise<void> {
    this.#unlisten = await this.#host.listen((event) => this.#hear(event));
    await this.do({ type: "attach" });
  }

  detach(): void {
    this.#unlisten?.();
  }

  /** Asks, and hands the code to whoever shows it next to what was asked. */
  ask(command: Command): Promise<Code | null> {
    return this.#host.perform(command);
  }

  /** Asks, and tells of a failure in a toast. */
  async do(command: Command): Promise<boolean> {
    const code = await this.ask(command);
    if (code !== null) this.tell({ type: "failed", code });
    return code === null;
  }

  /** How messages sound from now on. What is chosen next adds to this, also before the shell has said a word. */
  async tune(change: Partial<PlayerView>): Promise<void> {
    this.player = { ...this.player, ...change };
    this.#tuning += 1;
    await this.do({ type: "set_player", ...this.player });
    this.#tuning -= 1;
    if (this.#tuning === 0 && this.#tuned) this.player = this.#tuned;
  }

  tell(about: Told): void {
    ownToast -= 1;
    this.toasts = [...this.toasts, { id: ownToast, about, undo: false }].slice(-3);
  }

  dismiss(toast: number): void {
    this.toasts = this.toasts.filter(({ id }) => id !== toast);
  }

  #hear(event: Event): void {
    switch (event.type) {
      case "app":
        this.app = event.view;
        break;
      case "mailbox":
        this.mailbox = event.view;
        break;
      case "message":
        this.message = event.view;
        break;
      case "playback":
        this.playback = event.view;
        break;
      case "player":
        this.#tuned = event.view;
        if (this.#tuning === 0) this.player = event.view;
        break;
      case "selection":
        this.selection = event.view;
        break;
      case "devices":
        this.devices = event.view;
        break;
      case "phone_menu":
        this.phoneMenu = event.view;
        break;
      case "greetings":
        this.greetings = event.view;
        break;
      case "recorder":
        this.recorder = event.view;
        break;
      case "coach":
        this.coach = event.view;
        break;
      case "rules":
        this.rules = event.view;
        break;
      case "simulation":
        this.simulation = event.view;
        break;
      case "settings":
        this.settings = event.view;
        break;
      case "call_log":
        this.callLog = event.view;
        break;
      case "directory":
        this.directory = event.view;
        break;
      case "audio_devices":
        this.audioDevices = event.view;
        break;
      case "audio_levels":
        this.levels = event.view;
        break;
      case "audio_notice":
        this.tell({ type: "audio", notice: event.view });
        break;
      case "test_message":
        this.testMessage = event.view;
        break;
      case "test_call":
        this.testCall = event.view;
        break;
      case "toast":
        this.toasts = [...this.toasts.filter(({ id }) => id !== event.view.id), event.view].slice(-3);
        break;
      case "show":
        this.onshow(event.view);
        break;
    }
  }
}

export const [getPhone, setPhone] = createContext<Phone>();
