import { configure } from "@testing-library/svelte";
import { beforeEach } from "vitest";

// What jsdom lacks: a layout. Lists show as many rows as fit into a window of 800 pixels.
class NoResize implements ResizeObserver {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

Object.defineProperties(HTMLElement.prototype, {
  offsetHeight: { configurable: true, get: () => 800 },
  offsetWidth: { configurable: true, get: () => 400 },
  clientWidth: { configurable: true, get: () => 400 },
  scrollTo: { configurable: true, value: () => {} },
  setPointerCapture: { configurable: true, value: () => {} },
  getBoundingClientRect: { configurable: true, value: () => ({ x: 0, y: 0, left: 0, top: 0, right: 400, bottom: 88, width: 400, height: 88 }) },
});

// axe looks whether letters are icons by drawing them; here nothing is drawn.
HTMLCanvasElement.prototype.getContext = () => null;
Object.assign(globalThis, {
  ResizeObserver: NoResize,
  matchMedia: () => ({ matches: false, addEventListener: () => {}, removeEventListener: () => {} }),
});

configure({ asyncUtilTimeout: 30_000 });

beforeEach(() => {
  localStorage.clear();
  history.replaceState(null, "", "#/mailbox");
});
