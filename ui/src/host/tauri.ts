import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";

import type { Code, Command, Event } from "./generated/contract";
import type { Host } from "./host";

const CODES: ReadonlySet<string> = new Set<Code>([
  "not_signed_in",
  "wrong_credentials",
  "bad_invitation",
  "bad_picture",
  "bad_server",
  "not_encrypted",
  "rate_limited",
  "dns",
  "connect",
  "tls",
  "server",
  "storage_full",
  "unsupported_sound",
  "sound_too_long",
  "conflict",
  "secrets_locked",
  "secrets_missing",
  "bad_number",
  "no_such_call",
  "gone",
  "unknown_recipient",
  "sound_missing",
  "file_failed",
  "audio_device",
  "internal",
]);

function isCode(value: unknown): value is Code {
  return typeof value === "string" && CODES.has(value);
}

/** The desktop's shell: one command `perform`, one event `view`. */
export const tauriHost: Host = {
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
