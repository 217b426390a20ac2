/** Whether a key belongs to what has the focus: a text that is being typed, a choice, a button that space presses. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target;
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}

/** A button, link or slider that does something itself with space and Enter. */
export function isPressing(event: KeyboardEvent): boolean {
  return event.target instanceof HTMLElement && event.target.matches("button, a, summary");
}

/** Whether a dialog is open: then the keys of what lies below rest. */
export function isBehindDialog(): boolean {
  return document.querySelector("[role=dialog]") !== null;
}

export function hasModifier(event: KeyboardEvent): boolean {
  return event.ctrlKey || event.metaKey || event.altKey;
}
