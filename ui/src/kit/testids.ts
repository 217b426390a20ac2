/**
 * What an end-to-end test finds things by, as `data-testid`. They are stable: words and layout may change, these don't.
 *
 * The frame: `signed-in` (the frame itself, with `data-extension`), `connection` (with `data-state`: connected, connecting, offline), `nav-calls`,
 *   `nav-mailbox`, `nav-people`, `nav-settings`, `new-count`, `toast` (with `data-about`), `undo`, `dismiss`.
 * Sign-in: `sign-in` (the form), `server`, `user`, `password`, `submit`, `with-password`, `with-invitation`,
 *   `invitation-link`, `sign-in-error` (with `data-code`), `retry-secrets`, `use-file-secrets`.
 * Calls: `ringing` (the card of an incoming call, with `data-call-id`), `answer`, `decline`, `call` (the card of any other
 *   call, with `data-call-id` and `data-state`: dialling, ringing, connected, ended), `call-timer`, `mute`, `keypad`,
 *   `digit-0` … `digit-9`, `digit-*`, `digit-#`, `hang-up`, `dial-number`, `dial`, `call-log`, `call-row` (with
 *   `data-call-id`, `data-outcome`), `call-row-call`, `call-row-message`.
 * Mailbox: `mailbox`, `search`, `folder-new`, `folder-all`, `folder-saved`, `folder-trash`, `message-row` (with
 *   `data-message-id`, `data-state`), `empty`, `message` (the open one, with `data-message-id`, `data-state`), `play`,
 *   `pause`, `seek` (a slider; its `aria-valuenow` is in milliseconds), `note`, `story`, `call-back`, `forward`, `save`,
 *   `mark-new`, `delete`, `restore`, `expunge`, `back`, `leave-test-message`, `test-message-state` (with `data-state`),
 *   `open-test-message`.
 * Forwarding: `forward-dialog`, `forward-to` (a text field: type, then Enter), `forward-option` (with `data-user`),
 *   `forward-chosen` (with `data-user`), `forward-note`, `forward-send`.
 * People: `people`, `people-search`, `person` (with `data-user`), `person-call`.
 * Settings: `settings`, `language`, `theme-system`, `theme-light`, `theme-dark`, `microphone`, `speaker`, `ringer`,
 *   `sign-out`, `sign-out-confirm`.
 */
export const ids = {
  signedIn: "signed-in",
  connection: "connection",
  newCount: "new-count",
  toast: "toast",
  undo: "undo",
  dismiss: "dismiss",
  signIn: "sign-in",
  server: "server",
  user: "user",
  password: "password",
  submit: "submit",
  invitationLink: "invitation-link",
  signInError: "sign-in-error",
  retrySecrets: "retry-secrets",
  useFileSecrets: "use-file-secrets",
  ringing: "ringing",
  answer: "answer",
  decline: "decline",
  call: "call",
  callTimer: "call-timer",
  mute: "mute",
  keypad: "keypad",
  hangUp: "hang-up",
  dialNumber: "dial-number",
  dial: "dial",
  callLog: "call-log",
  callRow: "call-row",
  callRowCall: "call-row-call",
  callRowMessage: "call-row-message",
  mailbox: "mailbox",
  search: "search",
  messageRow: "message-row",
  empty: "empty",
  message: "message",
  play: "play",
  pause: "pause",
  seek: "seek",
  note: "note",
  story: "story",
  callBack: "call-back",
  forward: "forward",
  save: "save",
  markNew: "mark-new",
  delete: "delete",
  restore: "restore",
  expunge: "expunge",
  back: "back",
  leaveTestMessage: "leave-test-message",
  testMessageState: "test-message-state",
  openTestMessage: "open-test-message",
  forwardDialog: "forward-dialog",
  forwardTo: "forward-to",
  forwardOption: "forward-option",
  forwardChosen: "forward-chosen",
  forwardNote: "forward-note",
  forwardSend: "forward-send",
  people: "people",
  peopleSearch: "people-search",
  person: "person",
  personCall: "person-call",
  settings: "settings",
  language: "language",
  microphone: "microphone",
  speaker: "speaker",
  ringer: "ringer",
  signOut: "sign-out",
  signOutConfirm: "sign-out-confirm",
} as const;

/** `nav-calls`, `folder-new`, `theme-dark`, `digit-5`, `with-invitation`: one of a family. */
export function idOf(family: "nav" | "folder" | "theme" | "digit" | "with", member: string): string {
  return `${family}-${member}`;
}
