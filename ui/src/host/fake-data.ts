import type {
  CallLogRow,
  DevicesView,
  DirectoryEntryView,
  Language,
  MessageRow,
  MessageState,
  Outcome,
  PartyView,
  Reason,
} from "./generated/contract";

/** Everything below is counted from here, so that a world looks as if it had been used today. */
export type Ago = { readonly minutes: number };

const HOUR = 60;
const DAY = 24 * HOUR;

export function initials(name: string | null, number: string): string {
  const letters = (name ?? "").split(/\s+/).map((word) => /[\p{L}\p{N}]/u.exec(word)?.[0] ?? "").filter(Boolean);
  if (letters[0] === undefined) return number === "" ? "?" : number.slice(0, 2);
  return (letters[0] + (letters.length > 1 ? (letters.at(-1) ?? "") : "")).toUpperCase();
}

export function party(number: string, name: string | null = null): PartyView {
  return { number, name, initials: initials(name, number) };
}

/** Peaks as of speech: words of different loudness with pauses between. The same seed sounds the same. */
export function speech(seed: number, count = 120): number[] {
  let state = seed * 7919 + 17;
  const random = () => (state = (state * 16807) % 2147483647) / 2147483647;
  const peaks: number[] = [];
  while (peaks.length < count) {
    const length = 3 + Math.floor(random() * 9);
    const loud = 0.35 + random() * 0.65;
    for (let i = 0; i < length; i += 1) {
      const rise = Math.sin((Math.PI * (i + 0.6)) / (length + 0.2));
      peaks.push(Math.round(255 * Math.min(1, rise * loud * (0.55 + random() * 0.6))));
    }
    const pause = random() < 0.3 ? 3 : 1;
    for (let i = 0; i < pause; i += 1) peaks.push(Math.round(6 + random() * 12));
  }
  return peaks.slice(0, count);
}

/** What people wrote and what things are called, for whoever looks in German. */
const GERMAN: Readonly<Record<string, string>> = {
  "Main office, billing": "Zentrale, Buchhaltung",
  Reception: "Empfang",
  Warehouse: "Lager",
  "The delivery you asked about is at dock two. Can you sign for it today?":
    "Die Lieferung, nach der Sie fragten, steht an Rampe zwei. Können Sie heute unterschreiben?",
  "Laptop of Maria": "Marias Laptop",
  "Desk phone, room 214": "Tischtelefon, Raum 214",
  "Home office": "Arbeitszimmer",
  "Built-in microphone": "Eingebautes Mikrofon",
  "Built-in speakers": "Eingebaute Lautsprecher",
};

/** A view model in a language: every text that has a German one. */
export function inLanguage<T>(value: T, language: Language): T {
  return language === "en" ? value : (JSON.parse(JSON.stringify(value), (key, text: unknown) => german(key, text)) as T);
}

function german(key: string, value: unknown): unknown {
  if (typeof value === "string") return GERMAN[value] ?? value;
  if (typeof value !== "object" || value === null || key === "") return value;
  const party = value as { name?: unknown; initials?: unknown; number?: string; extension?: string };
  // Initials follow their name.
  if (typeof party.name !== "string" || typeof party.initials !== "string") return value;
  return { ...party, initials: initials(party.name, party.number ?? party.extension ?? "") };
}

const id = (kind: number, n: number) => `00000000-0000-4000-8${String(kind).padStart(3, "0")}-${String(n).padStart(12, "0")}`;
const at = (now: number, ago: Ago) => new Date(now - ago.minutes * 60_000).toISOString();

export const PEOPLE: readonly DirectoryEntryView[] = [
  ["amelie.brandt", "1002", "Amelie Brandt"],
  ["billing", "1820", "Main office, billing"],
  ["daniel.okafor", "1007", "Daniel Okafor"],
  ["front.desk", "1000", "Reception"],
  ["joerg.weiss", "1011", "Jörg Weiß"],
  ["lena.fischer", "1004", "Lena Fischer"],
  ["maria.eckert", "1001", "Maria Eckert"],
  ["priya.raman", "1009", "Priya Raman"],
  ["sofia.lindqvist", "1012", "Sofia Lindqvist"],
  ["tom.hartwig", "1005", "Tom Hartwig"],
  ["warehouse", "1030", "Warehouse"],
].map(([user = "", extension = "", name = ""]) => ({ user, extension, name, initials: initials(name, extension) }));

interface Left {
  party: PartyView;
  ago: Ago;
  seconds: number;
  state: MessageState;
  reason: Reason;
  urgent?: boolean;
  private?: boolean;
  callBack?: string;
  interrupted?: boolean;
  playable?: boolean;
  test?: boolean;
  note?: { from: PartyView; text: string; ago: Ago };
}

const LEFT: readonly Left[] = [
  { party: party("1820", "Main office, billing"), ago: { minutes: 7 }, seconds: 42, state: "new", reason: "busy", urgent: true },
  { party: party("+49 30 901820"), ago: { minutes: 52 }, seconds: 18, state: "new", reason: "no_answer" },
  {
    party: party("1030", "Warehouse"),
    ago: { minutes: 96 },
    seconds: 9,
    state: "new",
    reason: "offline",
    note: { from: party("1002", "Amelie Brandt"), text: "The delivery you asked about is at dock two. Can you sign for it today?", ago: { minutes: 81 } },
  },
  { party: party("1000", "Reception"), ago: { minutes: DAY - 100 }, seconds: 14, state: "heard", reason: "no_answer", private: true, callBack: "+49 170 5550199" },
  { party: party("+1 415 555 0134"), ago: { minutes: DAY + 40 }, seconds: 67, state: "saved", reason: "declined" },
  { party: party(""), ago: { minutes: DAY + 9 * HOUR }, seconds: 3, state: "heard", reason: "direct" },
  { party: party("1007", "Daniel Okafor"), ago: { minutes: 2 * DAY + 3 * HOUR }, seconds: 31, state: "heard", reason: "no_answer", interrupted: true },
  { party: party("+44 20 7946 0991", "Harper & Lowe"), ago: { minutes: 3 * DAY + HOUR }, seconds: 88, state: "saved", reason: "dnd", playable: false },
  { party: party("1012", "Sofia Lindqvist"), ago: { minutes: 5 * DAY }, seconds: 24, state: "heard", reason: "busy" },
  { party: party("+49 171 5550123"), ago: { minutes: 5 * DAY + 2 * HOUR }, seconds: 11, state: "deleted", reason: "no_answer" },
];

/** Enough of the past to scroll in. */
function past(n: number): Left {
  const people = PEOPLE.filter(({ extension }) => extension !== "1001");
  const person = people[(n * 7) % people.length];
  const from = n % 4 === 0 || person === undefined ? party(`+49 30 5550${100 + n}`) : party(person.extension, person.name);
  const reasons: readonly Reason[] = ["no_answer", "busy", "offline", "declined"];
  return {
    party: from,
    ago: { minutes: 8 * DAY + n * 7 * HOUR },
    seconds: 4 + ((n * 37) % 110),
    state: n % 9 === 0 ? "saved" : "heard",
    reason: reasons[n % 4] ?? "no_answer",
  };
}

export function messages(now: number, more = 140): MessageRow[] {
  const all = [...LEFT, ...Array.from({ length: more }, (_, n) => past(n))];
  return all.map((left, n) => ({
    id: id(1, n + 1),
    party: left.party,
    received_at: at(now, left.ago),
    duration_ms: left.seconds * 1000 + ((n * 137) % 900),
    peaks: speech(n + 3, Math.min(120, Math.max(24, left.seconds * 5))),
    state: left.state,
    reason: left.reason,
    urgent: left.urgent ?? false,
    private: left.private ?? false,
    call_back: left.callBack ?? null,
    forwarded: left.note ? { from: left.note.from, note: left.note.text, at: at(now, left.note.ago) } : null,
    interrupted: left.interrupted ?? false,
    playable: left.playable ?? true,
    test: left.test ?? false,
  }));
}

/** The message of a missed call, as the log shows it. */
function logMessage(n: number): CallLogRow["message"] {
  const left = LEFT[n - 1];
  return left === undefined ? null : { id: id(1, n), duration_ms: left.seconds * 1000, state: left.state };
}

export function devices(now: number): DevicesView {
  const device = (n: number, name: string, since: Ago, seen: Ago, more: Partial<DevicesView["devices"][number]> = {}) => ({
    id: id(3, n),
    name,
    phone: false,
    this_one: false,
    since: at(now, since),
    last_seen: at(now, seen),
    ...more,
  });
  return {
    devices: [
      device(1, "Laptop of Maria", { minutes: 40 * DAY }, { minutes: 0 }, { this_one: true }),
      device(2, "Desk phone, room 214", { minutes: 300 * DAY }, { minutes: 2 }, { phone: true }),
      device(3, "Home office", { minutes: 12 * DAY }, { minutes: 3 * DAY }),
    ],
  };
}

type Figures = NonNullable<CallLogRow["figures"]>;

/** How the sound of those calls travelled that had any: by their place in the log. */
const FIGURES: Readonly<Record<number, Figures>> = {
  0: { codec: "PCMA", path: "mailbox", encrypted: false, round_trip_ms: 41, inbound: { bars: 2, loss_permille: 62, jitter_ms: 18, mos_centi: 284 }, outbound: null },
  1: {
    codec: "opus",
    path: "relay",
    encrypted: true,
    round_trip_ms: 23,
    inbound: { bars: 4, loss_permille: 1, jitter_ms: 3, mos_centi: 438 },
    outbound: { bars: 3, loss_permille: 34, jitter_ms: 9, mos_centi: 391 },
  },
  3: { codec: "opus", path: "direct", encrypted: true, round_trip_ms: null, inbound: null, outbound: null },
};

export function callLog(now: number): CallLogRow[] {
  const rows: readonly [PartyView, Ago, "incoming" | "outgoing", Outcome, number | null][] = [
    [party("1820", "Main office, billing"), { minutes: 7 }, "incoming", { type: "missed", diverted: "busy", no_room: false, mailbox_full: false }, 1],
    [party("1004", "Lena Fischer"), { minutes: 12 }, "outgoing", { type: "answered", duration_ms: 412_000 }, null],
    [party("+49 30 901820"), { minutes: 52 }, "incoming", { type: "missed", diverted: "no_answer", no_room: false, mailbox_full: false }, 2],
    [party("1009", "Priya Raman"), { minutes: 75 }, "incoming", { type: "answered", duration_ms: 63_000 }, null],
    [party("+49 89 5550188"), { minutes: 130 }, "outgoing", { type: "not_reached", reason: "busy" }, null],
    [party("1000", "Reception"), { minutes: DAY - 100 }, "incoming", { type: "missed", diverted: "no_answer", no_room: false, mailbox_full: false }, 4],
    [party("1005", "Tom Hartwig"), { minutes: DAY + 20 }, "incoming", { type: "answered_elsewhere" }, null],
    [party("+1 415 555 0134"), { minutes: DAY + 40 }, "incoming", { type: "declined" }, 5],
    [party("1012", "Sofia Lindqvist"), { minutes: 2 * DAY }, "outgoing", { type: "not_reached", reason: "no_answer" }, null],
    [party(""), { minutes: 3 * DAY }, "incoming", { type: "missed", diverted: null, no_room: false, mailbox_full: false }, null],
    [party("1007", "Daniel Okafor"), { minutes: 4 * DAY }, "incoming", { type: "answered", duration_ms: 1_264_000 }, null],
  ];
  return rows.map(([who, ago, direction, outcome, message], n) => ({
    call: id(2, n + 1),
    direction,
    party: who,
    started_at: at(now, ago),
    outcome,
    message: message === null ? null : logMessage(message),
    figures: FIGURES[n] ?? null,
  }));
}
