import { render, screen, waitFor } from "@testing-library/svelte";
import userEvent, { type UserEvent } from "@testing-library/user-event";
import axe from "axe-core";
import { expect } from "vitest";

import App from "../App.svelte";
import { route } from "../app/route.svelte";
import type { Command } from "../host";
import { FakeHost, type Scene } from "../host/fake";

/** The whole interface over a host in memory, and somebody who uses it. */
export class World {
  readonly user: UserEvent = userEvent.setup();

  private constructor(readonly host: FakeHost) {}

  static async open(scenes: Scene[] = [], language: "en" | "de" = "en"): Promise<World> {
    const world = new World(new FakeHost(new Set(scenes), language));
    route.go("mailbox");
    route.message = null;
    render(App, { host: world.host });
    await screen.findByTestId(scenes.some((scene) => ["signed_out", "revoked", "invited", "locked"].includes(scene)) ? "sign-in" : "signed-in");
    return world;
  }

  get(id: string): HTMLElement {
    return screen.getByTestId(id);
  }

  find(id: string): Promise<HTMLElement> {
    return screen.findByTestId(id);
  }

  all(id: string): HTMLElement[] {
    return screen.queryAllByTestId(id);
  }

  async click(id: string): Promise<void> {
    await this.user.click(await this.find(id));
  }

  async go(section: "calls" | "mailbox" | "people" | "greetings" | "settings"): Promise<void> {
    await this.click(`nav-${section}`);
  }

  /** Waits until something was asked of the host, and hands it over. */
  async asked<T extends Command["type"]>(type: T): Promise<Extract<Command, { type: T }>> {
    return waitFor(() => {
      const found = this.host.asked.findLast((command) => command.type === type);
      if (!found) throw new Error(`nobody asked for ${type}`);
      return found as Extract<Command, { type: T }>;
    });
  }

  names(): string[] {
    return this.all("message-row").map((row) => row.querySelector(".who")?.textContent.trim() ?? "");
  }
}

/** What axe finds wrong; nothing should be. Contrast needs a real browser. */
export async function expectAccessible(root: Element = document.body): Promise<void> {
  const { violations } = await axe.run(root, {
    resultTypes: ["violations"],
    rules: { "color-contrast": { enabled: false }, region: { enabled: false } },
  });
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
  expect(found).toEqual([]);
}
