/** The steps of the set-up, in order. */
export const STEPS = ["account", "sound", "greeting", "ringing", "notifications", "test", "done"] as const;
export type Step = (typeof STEPS)[number];
