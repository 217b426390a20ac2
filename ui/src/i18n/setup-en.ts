import type { TestNote, TestStep } from "../host/generated/contract";

type Notes = { [Type in TestNote["type"]]: (note: Extract<TestNote, { type: Type }>) => string };

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
const rings = (count: number) => (count === 1 ? "once" : `${count} times`);

const steps: Record<TestStep, string> = {
  reachable: "Your number can be reached",
  rang: "This app rings",
  answered: "The mailbox answers",
  greeting: "Callers hear your greeting",
  arrived: "The message comes to this device",
  sound: "It sounds as it was spoken",
  notified: "The notification is shown",
};

const notes: Notes = {
  leave_it: () => "Please let it ring: the mailbox takes this call.",
  do_not_disturb: () => "Do not disturb is on, so the app doesn’t ring: as you set it.",
  rule: () => "One of your rules sends unknown callers straight to the mailbox: as you set it.",
  no_ring_time: () => "It is set not to ring at all before the mailbox answers.",
  no_device: () => "No device of yours was connected. Look at the connection above, and try again.",
  busy: () => "Your devices were busy, or one of them declined. End your other calls, and try again.",
  only_elsewhere: () => "Another device of yours rang, and this app did not. Restart the app; if it stays so, sign out and in again.",
  refused: ({ status }) =>
    status === 503
      ? "The server takes no calls at this moment. Try again in a few minutes."
      : `The server didn’t put the call through${status === null ? "" : ` (SIP status ${status})`}. Tell your administrator.`,
  somebody_answered: () => "Somebody answered the call. Start it again, and let it ring.",
  own_greeting: ({ duration_ms }) => `Your own greeting, ${seconds(duration_ms)}.`,
  account_greeting: ({ duration_ms }) => `The default greeting, ${seconds(duration_ms)}.`,
  greeting_lost: () => "The sound of your own greeting is missing on the server, so that callers hear the default one. Record it again.",
  silent: () => "The caller heard nothing before the beep. Choose another greeting; if it stays so, tell your administrator.",
  mailbox_full: () => "Your mailbox is full: callers are told so, and can leave nothing. Delete some messages.",
  no_room: () => "The server could take no message: its disk may be full. Tell your administrator.",
  cut_off: () => "The mailbox hung up while the caller spoke. Look at the longest message in your rules.",
  not_stored: () => "The message was spoken, but the server did not store it. Tell your administrator.",
  not_here: () => "The message is on the server, but did not come to this device. Look at the connection above.",
  no_sound: () => "The sound of the message can’t be fetched. Look at the connection above.",
  measured: ({ spoken_ms, arrived_ms, louder }) =>
    `${seconds(spoken_ms)} were spoken and ${seconds(arrived_ms)} arrived, ${louder === 0 ? "as loud" : `${Math.abs(louder / 10).toFixed(1)} dB ${louder > 0 ? "louder" : "quieter"}`}.`,
  notifications_off: () => "Notifications of new messages are off, as you set it.",
  quiet_hours: () => "It is quiet at this hour, as you set it.",
  not_shown: () => "The desktop did not show it. Allow notifications of Aftertone in the settings of your system.",
  too_long: () => "This took too long. Try again; if it stays so, tell your administrator.",
  server_failed: () => "The server failed here; its log says why. Tell your administrator.",
};

export const setup = {
  title: "Set-up",
  progress: (step: number, of: number) => `Step ${step} of ${of}`,
  steps: { account: "Account", sound: "Sound", greeting: "Greeting", ringing: "Ringing", notifications: "Notifications", test: "Test call", done: "Ready" },
  back: "Back",
  next: "Next",
  skip: "Not now",
  finish: "Go to the mailbox",
  account: {
    title: (name: string) => (name === "" ? "Welcome" : `Welcome, ${name}`),
    intro: "A few short steps, and callers hear the right greeting and you see their messages. You can skip each of them, and change all of it later in the settings.",
    number: "Your number",
    address: "Account",
    state: "Connection",
  },
  sound: { title: "Speaking and hearing", intro: "Speak, and watch the level; then let a sound be played. If nothing moves or nothing is heard, choose another device." },
  greeting: {
    title: "What callers hear",
    intro: "When you don’t answer, callers hear this before the beep.",
    default: "The default greeting",
    defaultHint: "It says that you can’t take the call, and asks for a message.",
    own: "Your own greeting",
    ownHint: "Record it now, or take a sound file.",
    name: "My greeting",
    use: "Use this greeting",
    saving: "Saving…",
    inUse: (title: string) => `“${title}” is in use.`,
    another: "Record another one",
  },
  ringing: {
    title: "How long it rings",
    intro: "Then the mailbox answers for you.",
    label: "Ring before the mailbox",
    none: "It doesn’t ring: the mailbox takes every call at once.",
    explained: (seconds: number, count: number) => `It rings ${rings(count)}, for ${seconds} seconds. Who is still waiting then hears your greeting.`,
    rules: "Your rules may say otherwise for some callers.",
  },
  notifications: {
    title: "Being told",
    intro: "A notification tells you of a call and of a new message, also while the window is closed.",
    test: "Show a test notification",
    shown: "The desktop shows it.",
  },
  test: {
    title: "Test call",
    intro: "The server calls your number like somebody from outside, lets it ring, hears your greeting and leaves a message. Please don’t answer.",
    start: "Start the test call",
    again: "Once more",
    list: "What happened",
    state: { waiting: "not yet", running: "under way", done: "done", skipped: "left out, as set", failed: "failed" },
    running: "The test call is under way.",
    passed: "Everything works.",
    failed: "Not everything works: see below what to do.",
    listen: "Listen to what a caller hears",
    pause: "Pause",
    remove: "Remove the test message",
    removed: "The test message is removed.",
    ringing: "Test call: please don’t answer. The mailbox takes it.",
    toMailbox: "To the mailbox at once",
    message: "Test",
    labels: steps,
    notes,
  },
  done: {
    title: "You are ready",
    intro: "Here is how it is now. All of it can be changed in the settings.",
    microphone: "Microphone",
    speaker: "Speaker",
    greeting: "Greeting",
    ringing: "Rings for",
    seconds: (count: number) => (count === 0 ? "not at all" : `${count} seconds`),
    test: "Test call",
    tests: { idle: "not made", running: "under way", passed: "everything works", failed: "something failed" },
  },
  settings: { title: "Set-up and test call", intro: "Try whether callers reach you, and what they hear.", test: "Test call…", again: "Go through the set-up again" },
};
