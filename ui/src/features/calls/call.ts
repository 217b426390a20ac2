import type { CallView } from "../../host";
import { i18n } from "../../i18n/index.svelte";
import { hasModifier, isTyping } from "../../kit/keys";

/** Where a call stands, in words. */
export function statusOf(call: CallView): string {
  const words = i18n.t.calls;
  switch (call.state.type) {
    case "dialling":
      return words.dialling;
    case "ringing":
      return words.ringingThere;
    case "connected":
      if (call.held) return words.held;
      if (call.held_by_other) return words.heldByOther;
      return call.muted ? words.muted : words.connected;
    case "ended":
      return words.ended[call.state.reason];
  }
}

/** All calls but those that ring here. */
export function goingOn(calls: readonly CallView[]): CallView[] {
  return calls.filter(({ direction, state }) => direction === "outgoing" || state.type !== "ringing");
}

/** The call that keys mean: the one that is spoken in, else the latest. */
export function current(calls: readonly CallView[]): CallView | undefined {
  const going = goingOn(calls).filter(({ state }) => state.type !== "ended");
  return going.find(({ state, held }) => state.type === "connected" && !held) ?? going.at(-1);
}

/** Digits that are typed in this part of the page are keys of the telephone while `listens`. */
export function keysOf(node: HTMLElement, listens: () => boolean, press: (digit: string) => void): () => void {
  const hear = (event: KeyboardEvent) => {
    if (!listens() || hasModifier(event) || isTyping(event) || !/^[0-9*#]$/.test(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    press(event.key);
  };
  node.addEventListener("keydown", hear);
  return () => node.removeEventListener("keydown", hear);
}
