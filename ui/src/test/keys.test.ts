import { fireEvent, screen, waitFor } from "@testing-library/svelte";
import { afterEach, describe, expect, test, vi } from "vitest";

import { REST_MS } from "../kit/keys";
import { World } from "./world";

/** What single keys would have done. */
function done(world: World): string[] {
  return world.host.asked.map(({ type }) => type).filter((type) => ["play", "pause", "call_back", "act"].includes(type));
}

async function opened(): Promise<World> {
  const world = await World.open();
  await screen.findAllByTestId("message-row");
  await world.find("message");
  world.host.asked.length = 0;
  return world;
}

describe("somebody types elsewhere while a call comes in", () => {
  afterEach(() => vi.restoreAllMocks());

  test("while it rings, keys do nothing to the messages below", async () => {
    const world = await opened();
    world.host.ring("1820");
    await world.find("ringing");
    await world.user.keyboard(" c{Delete}j");
    expect(done(world)).toEqual([]);
  });

  test("for a second after the window was brought to the front they do nothing either, then they do", async () => {
    const world = await opened();
    const now = vi.spyOn(performance, "now");
    const start = performance.now() + 60_000;
    now.mockImplementation(() => start);
    const call = world.host.ring("1820");
    await world.find("ringing");
    await fireEvent.focus(window);
    world.host.hangUp(call);
    await waitFor(() => expect(world.all("ringing")).toHaveLength(0));
    await world.user.keyboard(" c");
    expect(done(world)).toEqual([]);
    now.mockImplementation(() => start + REST_MS + 1);
    await world.user.keyboard("c");
    await waitFor(() => expect(done(world)).toEqual(["call_back"]));
  });

  test("whoever goes to the window without a call may press a key at once", async () => {
    const world = await opened();
    const now = vi.spyOn(performance, "now");
    const start = performance.now() + 120_000;
    now.mockImplementation(() => start);
    await fireEvent.focus(window);
    await world.user.keyboard("c");
    await waitFor(() => expect(done(world)).toEqual(["call_back"]));
  });
});
