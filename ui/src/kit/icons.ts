import type { Component } from "svelte";

/** How the kit takes an icon: a component that draws an `svg`. */
export type Icon = Component<{ size?: number | string; strokeWidth?: number | string; class?: string }>;

export { default as ArrowLeft } from "@lucide/svelte/icons/arrow-left";
export { default as Bookmark } from "@lucide/svelte/icons/bookmark";
export { default as Check } from "@lucide/svelte/icons/check";
export { default as CircleAlert } from "@lucide/svelte/icons/circle-alert";
export { default as Erase } from "@lucide/svelte/icons/delete";
export { default as Eye } from "@lucide/svelte/icons/eye";
export { default as EyeOff } from "@lucide/svelte/icons/eye-off";
export { default as Forward } from "@lucide/svelte/icons/forward";
export { default as Keypad } from "@lucide/svelte/icons/grip";
export { default as LogOut } from "@lucide/svelte/icons/log-out";
export { default as MarkNew } from "@lucide/svelte/icons/circle-dot";
export { default as Mic } from "@lucide/svelte/icons/mic";
export { default as MicOff } from "@lucide/svelte/icons/mic-off";
export { default as Phone } from "@lucide/svelte/icons/phone";
export { default as PhoneIncoming } from "@lucide/svelte/icons/phone-incoming";
export { default as PhoneMissed } from "@lucide/svelte/icons/phone-missed";
export { default as PhoneOff } from "@lucide/svelte/icons/phone-off";
export { default as PhoneOutgoing } from "@lucide/svelte/icons/phone-outgoing";
export { default as Play } from "@lucide/svelte/icons/play";
export { default as Restore } from "@lucide/svelte/icons/rotate-ccw";
export { default as Search } from "@lucide/svelte/icons/search";
export { default as Settings } from "@lucide/svelte/icons/settings";
export { default as Trash } from "@lucide/svelte/icons/trash-2";
export { default as Users } from "@lucide/svelte/icons/users";
export { default as Voicemail } from "@lucide/svelte/icons/voicemail";
export { default as Volume } from "@lucide/svelte/icons/volume-2";
export { default as Offline } from "@lucide/svelte/icons/wifi-off";
export { default as X } from "@lucide/svelte/icons/x";
