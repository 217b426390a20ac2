import type { TestNote, TestStep } from "../host/generated/contract";
import type { setup as english } from "./setup-en";

type Notes = { [Type in TestNote["type"]]: (note: Extract<TestNote, { type: Type }>) => string };

const decimal = (value: number) => value.toFixed(1).replace(".", ",");
const seconds = (ms: number) => `${decimal(ms / 1000)} s`;
const rings = (count: number) => (count === 1 ? "einmal" : `${count}-mal`);

const steps: Record<TestStep, string> = {
  reachable: "Ihre Nummer ist erreichbar",
  rang: "Diese App klingelt",
  answered: "Die Mailbox nimmt ab",
  greeting: "Anrufer hören Ihre Ansage",
  arrived: "Die Nachricht kommt auf dieses Gerät",
  sound: "Sie klingt, wie sie gesprochen wurde",
  notified: "Die Benachrichtigung erscheint",
};

const notes: Notes = {
  leave_it: () => "Bitte klingeln lassen: Die Mailbox nimmt diesen Anruf an.",
  do_not_disturb: () => "„Nicht stören“ ist an, deshalb klingelt die App nicht: wie von Ihnen eingestellt.",
  rule: () => "Eine Ihrer Regeln leitet unbekannte Anrufer gleich zur Mailbox: wie von Ihnen eingestellt.",
  no_ring_time: () => "Es soll gar nicht klingeln, bevor die Mailbox abnimmt: wie eingestellt.",
  no_device: () => "Keines Ihrer Geräte war verbunden. Sehen Sie oben nach der Verbindung, und versuchen Sie es noch einmal.",
  busy: () => "Ihre Geräte waren besetzt, oder eines hat abgelehnt. Beenden Sie andere Anrufe, und versuchen Sie es noch einmal.",
  only_elsewhere: () => "Ein anderes Ihrer Geräte hat geklingelt, diese App aber nicht. Starten Sie die App neu; hilft das nicht, melden Sie sich ab und wieder an.",
  refused: ({ status }) =>
    status === 503
      ? "Der Server nimmt im Moment keine Anrufe an. Versuchen Sie es in einigen Minuten noch einmal."
      : `Der Server hat den Anruf nicht durchgestellt${status === null ? "" : ` (SIP-Status ${status})`}. Sagen Sie es Ihrem Administrator.`,
  somebody_answered: () => "Jemand hat den Anruf angenommen. Starten Sie ihn noch einmal, und lassen Sie es klingeln.",
  own_greeting: ({ duration_ms }) => `Ihre eigene Ansage, ${seconds(duration_ms)}.`,
  account_greeting: ({ duration_ms }) => `Die Standardansage, ${seconds(duration_ms)}.`,
  greeting_lost: () => "Der Ton Ihrer eigenen Ansage fehlt auf dem Server, deshalb hören Anrufer die Standardansage. Nehmen Sie sie noch einmal auf.",
  silent: () => "Vor dem Signalton war nichts zu hören. Wählen Sie eine andere Ansage; hilft das nicht, sagen Sie es Ihrem Administrator.",
  mailbox_full: () => "Ihre Mailbox ist voll: Anrufer erfahren das und können nichts hinterlassen. Löschen Sie einige Nachrichten.",
  no_room: () => "Der Server konnte keine Nachricht aufnehmen: Vielleicht ist seine Platte voll. Sagen Sie es Ihrem Administrator.",
  cut_off: () => "Die Mailbox hat aufgelegt, während gesprochen wurde. Sehen Sie in den Regeln nach der längsten Nachricht.",
  not_stored: () => "Die Nachricht wurde gesprochen, aber der Server hat sie nicht gespeichert. Sagen Sie es Ihrem Administrator.",
  not_here: () => "Die Nachricht ist auf dem Server, aber nicht auf diesem Gerät angekommen. Sehen Sie oben nach der Verbindung.",
  no_sound: () => "Der Ton der Nachricht lässt sich nicht laden. Sehen Sie oben nach der Verbindung.",
  measured: ({ spoken_ms, arrived_ms, louder }) =>
    `${seconds(spoken_ms)} gesprochen, ${seconds(arrived_ms)} angekommen, ${louder === 0 ? "gleich laut" : `${decimal(Math.abs(louder / 10))} dB ${louder > 0 ? "lauter" : "leiser"}`}.`,
  notifications_off: () => "Benachrichtigungen über neue Nachrichten sind aus: wie von Ihnen eingestellt.",
  quiet_hours: () => "Um diese Zeit ist Ruhe: wie von Ihnen eingestellt.",
  not_shown: () => "Die Oberfläche Ihres Systems hat sie nicht gezeigt. Erlauben Sie dort die Benachrichtigungen von Aftertone.",
  too_long: () => "Das hat zu lange gedauert. Versuchen Sie es noch einmal; hilft das nicht, sagen Sie es Ihrem Administrator.",
  server_failed: () => "Hier ist der Server gescheitert; sein Protokoll sagt, woran. Sagen Sie es Ihrem Administrator.",
};

export const setup: typeof english = {
  title: "Einrichtung",
  progress: (step, of) => `Schritt ${step} von ${of}`,
  steps: { account: "Konto", sound: "Ton", greeting: "Ansage", ringing: "Klingeln", notifications: "Hinweise", test: "Testanruf", done: "Fertig" },
  back: "Zurück",
  next: "Weiter",
  skip: "Nicht jetzt",
  finish: "Zur Mailbox",
  account: {
    title: (name) => (name === "" ? "Willkommen" : `Willkommen, ${name}`),
    intro: "Ein paar kurze Schritte, und Anrufer hören die richtige Ansage, und Sie sehen ihre Nachrichten. Jeden Schritt können Sie auslassen und alles später in den Einstellungen ändern.",
    number: "Ihre Nummer",
    address: "Konto",
    state: "Verbindung",
  },
  sound: { title: "Sprechen und hören", intro: "Sprechen Sie, und sehen Sie auf den Pegel; dann lassen Sie einen Ton abspielen. Bewegt sich nichts oder ist nichts zu hören, wählen Sie ein anderes Gerät." },
  greeting: {
    title: "Was Anrufer hören",
    intro: "Wenn Sie nicht abnehmen, hören Anrufer das vor dem Signalton.",
    default: "Die Standardansage",
    defaultHint: "Sie sagt, dass Sie den Anruf nicht annehmen können, und bittet um eine Nachricht.",
    own: "Eine eigene Ansage",
    ownHint: "Nehmen Sie sie jetzt auf, oder wählen Sie eine Tondatei.",
    name: "Meine Ansage",
    use: "Diese Ansage verwenden",
    saving: "Wird gespeichert…",
    inUse: (title) => `„${title}“ ist in Gebrauch.`,
    another: "Noch eine aufnehmen",
  },
  ringing: {
    title: "Wie lange es klingelt",
    intro: "Danach nimmt die Mailbox für Sie ab.",
    label: "Klingeln vor der Mailbox",
    none: "Es klingelt nicht: Die Mailbox nimmt jeden Anruf sofort an.",
    explained: (seconds, count) => `Es klingelt ${rings(count)}, ${seconds} Sekunden lang. Wer dann noch wartet, hört Ihre Ansage.`,
    rules: "Ihre Regeln können für manche Anrufer etwas anderes sagen.",
  },
  notifications: {
    title: "Bescheid bekommen",
    intro: "Eine Benachrichtigung meldet Ihnen Anrufe und neue Nachrichten, auch wenn das Fenster geschlossen ist.",
    test: "Testbenachrichtigung zeigen",
    shown: "Sie wird gezeigt.",
  },
  test: {
    title: "Testanruf",
    intro: "Der Server ruft Ihre Nummer an wie jemand von außen, lässt es klingeln, hört Ihre Ansage und hinterlässt eine Nachricht. Bitte nehmen Sie nicht ab.",
    start: "Testanruf starten",
    again: "Noch einmal",
    list: "Was geschehen ist",
    state: { waiting: "noch nicht", running: "läuft", done: "erledigt", skipped: "entfällt, wie eingestellt", failed: "fehlgeschlagen" },
    running: "Der Testanruf läuft.",
    passed: "Alles funktioniert.",
    failed: "Nicht alles funktioniert: Unten steht, was zu tun ist.",
    listen: "Hören, was Anrufer hören",
    pause: "Pause",
    remove: "Testnachricht entfernen",
    removed: "Die Testnachricht ist entfernt.",
    ringing: "Testanruf: Bitte nicht abnehmen. Die Mailbox nimmt ihn an.",
    toMailbox: "Gleich zur Mailbox",
    message: "Test",
    labels: steps,
    notes,
  },
  done: {
    title: "Sie sind bereit",
    intro: "So ist es jetzt. Alles lässt sich in den Einstellungen ändern.",
    microphone: "Mikrofon",
    speaker: "Lautsprecher",
    greeting: "Ansage",
    ringing: "Klingelt",
    seconds: (count) => (count === 0 ? "gar nicht" : `${count} Sekunden`),
    test: "Testanruf",
    tests: { idle: "nicht gemacht", running: "läuft", passed: "alles funktioniert", failed: "etwas ist fehlgeschlagen" },
  },
  settings: { title: "Einrichtung und Testanruf", intro: "Prüfen Sie, ob Anrufer Sie erreichen und was sie hören.", test: "Testanruf…", again: "Noch einmal durch die Einrichtung" },
};
