import type { AudioDeviceView } from "../host/generated/contract";
import { i18n } from "../i18n/index.svelte";

/** The value that follows the system. */
export const SYSTEM = "";

/** What can be chosen: the system's device, each one by name, and the chosen one though it isn't plugged in. */
export function deviceOptions(devices: readonly AudioDeviceView[], chosen: string | null, missing: string | null): { value: string; label: string }[] {
  const words = i18n.t.settings;
  const system = devices.find(({ system_default }) => system_default);
  const all = [{ value: SYSTEM, label: system ? words.systemDeviceNamed(system.name) : words.systemDevice }];
  for (const { id, name } of devices) all.push({ value: id, label: name });
  const isMissing = chosen !== null && !devices.some(({ id }) => id === chosen);
  return isMissing ? [...all, { value: chosen, label: words.missingDevice(missing ?? chosen) }] : all;
}
