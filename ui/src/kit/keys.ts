/** Whether a key belongs to what has the focus: a text that is being typed, a choice, a button that space presses. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target;
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}

/** A button, link or slider that does something itself with space and Enter. */
export function isPressing(event: KeyboardEvent): boolean {
  return event.target instanceof HTMLElement && event.target.matches("button, a, summary");
}

/** Whether a dialog or a ringing call is there: then the keys of what lies below rest. */
export function isBehindDialog(): boolean {
  return document.querySelector("[role=dialog], [role=alertdialog]") !== null;
}

/** Keys rest that long after a call has brought the window to the front. */
export const REST_MS = 1000;
/** A focus that comes so soon before or after a call began to ring was not asked for. */
const NEAR_MS = 2000;

let focusedAt = -Infinity;
let rangAt = -Infinity;
let restsUntil = -Infinity;

function restIfNear(): void {
  if (Math.abs(focusedAt - rangAt) < NEAR_MS) restsUntil = performance.now() + REST_MS;
}

/** A call begins to ring: the window may get the focus in the middle of a word that is typed elsewhere. */
export function noteRinging(): void {
  rangAt = performance.now();
  restIfNear();
}

addEventListener("focus", () => {
  focusedAt = performance.now();
  restIfNear();
});
// Whoever points into the window means it.
addEventListener("pointerdown", () => (restsUntil = -Infinity), { capture: true });

/** Whether a key may have been meant for the window that had the focus before. */
export function keysRest(): boolean {
  return performance.now() < restsUntil;
}

export function hasModifier(event: KeyboardEvent): boolean {
  return event.ctrlKey || event.metaKey || event.altKey;
}
