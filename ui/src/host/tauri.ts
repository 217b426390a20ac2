import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";

import type { Code, Command, Event } from "./generated/contract";
import type { Host } from "./host";

/** Every code there is: the compiler misses those that are missing. */
const CODES: Record<Code, true> = {
  not_signed_in: true,
  already_signed_in: true,
  wrong_credentials: true,
  bad_invitation: true,
  bad_picture: true,
  bad_server: true,
  not_encrypted: true,
  rate_limited: true,
  dns: true,
  connect: true,
  tls: true,
  server: true,
  storage_full: true,
  provider_dns: true,
  provider_connect: true,
  provider_tls: true,
  provider_credentials: true,
  provider_refused: true,
  own_failed: true,
  token_missing: true,
  storage_broken: true,
  storage_too_new: true,
  secrets_locked: true,
  secrets_missing: true,
  not_allowed: true,
  bad_number: true,
  number_not_allowed: true,
  number_barred: true,
  number_costs_extra: true,
  no_such_call: true,
  gone: true,
  unknown_recipient: true,
  private_message: true,
  sound_missing: true,
  unsupported_sound: true,
  sound_too_long: true,
  weak_pin: true,
  conflict: true,
  file_failed: true,
  audio_device: true,
  notification_not_shown: true,
  test_call_running: true,
  internal: true,
};

function isCode(value: unknown): value is Code {
  return typeof value === "string" && Object.hasOwn(CODES, value);
}

declare global {
  interface Window {
    /** Put there by the shell as it makes the window. */
    aftertone?: readonly Event[];
  }
}

/** The desktop's shell: one command `perform`, one event `view`. */
export const tauriHost: Host = {
  first: window.aftertone ?? [],
  async perform(command: Command): Promise<Code | null> {
    try {
      await invoke("perform", { command });
      return null;
    } catch (error) {
      return isCode(error) ? error : "internal";
    }
  },
  listen(hear: (event: Event) => void): Promise<() => void> {
    return listen<Event>("view", ({ payload }) => hear(payload));
  },
};
