import { isTauri } from "@tauri-apps/api/core";

import type { Host } from "./host";
import { tauriHost } from "./tauri";

export type * from "./generated/contract";
export type { Host } from "./host";
export { getPhone, Phone, setPhone, type Toast } from "./phone.svelte";

/** The shell when there is one, else a world in memory for development. */
export async function chooseHost(): Promise<Host> {
  if (isTauri()) return tauriHost;
  const { FakeHost } = await import("./fake");
  return FakeHost.fromAddress(location.search);
}
