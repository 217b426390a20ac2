import { screen, waitFor } from "@testing-library/svelte";
import { describe, expect, test } from "vitest";

import { World } from "./world";

describe("calls", () => {
  test("a call rings, says who it is, and is answered and ended", async () => {
    const world = await World.open();
    world.host.ring("1820", "Main office, billing", 2);
    const card = await world.find("ringing");
    expect(card.getAttribute("role")).toBe("alertdialog");
    expect(card.textContent).toContain("2 messages waiting from them");
    expect(document.querySelector("[aria-live=assertive]")?.textContent).toContain("Incoming call from Main office, billing");
    await world.click("answer");
    await waitFor(() => expect(world.get("call").dataset["state"]).toBe("connected"));
    expect(world.all("ringing")).toHaveLength(0);
    expect(world.get("call-timer").textContent).toMatch(/^0:0\d$/);
    await world.click("hang-up");
    await world.asked("hang_up");
    await waitFor(() => expect(world.all("call")).toHaveLength(0));
  });

  test("ringing doesn’t take the focus to a button, and not at all out of a text", async () => {
    const world = await World.open();
    await screen.findAllByTestId("message-row");
    const first = world.host.ring("1002");
    const card = await world.find("ringing");
    await waitFor(() => expect(document.activeElement === card).toBe(true));
    await world.click("decline");
    expect((await world.asked("decline")).call).toBe(first);
    world.get("search").focus();
    await waitFor(() => expect(world.all("ringing")).toHaveLength(0));
    world.host.ring("1003");
    await world.find("ringing");
    expect(document.activeElement).toBe(world.get("search"));
  });

  test("a call can be answered over an open dialog, which stays", async () => {
    const world = await World.open();
    await screen.findAllByTestId("message-row");
    await world.click("forward");
    await world.user.type(await world.find("forward-note"), "half a sen");
    world.host.ring("1002");
    await world.click("answer");
    await world.asked("answer");
    expect(world.get("forward-note")).toHaveProperty("value", "half a sen");
  });

  test("muting and the keypad", async () => {
    const world = await World.open(["in_call"]);
    await world.click("mute");
    expect((await world.asked("set_muted")).muted).toBe(true);
    await waitFor(() => expect(world.get("mute").getAttribute("aria-pressed")).toBe("true"));
    await world.click("keypad");
    await world.click("digit-#");
    expect((await world.asked("send_digit")).digit).toBe("#");
    await waitFor(() => expect(world.get("digits").textContent).toBe("#"));
    await world.click("hold");
    expect((await world.asked("set_held")).held).toBe(true);
    await waitFor(() => expect(world.get("call").dataset["held"]).toBe("true"));
    expect(world.get("quality").getAttribute("aria-label")).toContain("Good connection");
    await world.user.keyboard("{Alt>}m{/Alt}");
    await waitFor(async () => expect((await world.asked("set_muted")).muted).toBe(false));
  });

  test("the 1, held down, calls the mailbox, and is no digit", async () => {
    const world = await World.open();
    await world.go("calls");
    await world.asked("look_at_phone_menu");
    const one = await world.find("digit-1");
    await waitFor(() => expect(one.title).toBe("Hold down for the mailbox"));
    await world.user.pointer({ keys: "[MouseLeft>]", target: one });
    expect((await world.asked("place_call")).number).toBe("*97");
    await world.user.pointer({ keys: "[/MouseLeft]" });
    expect(world.host.asked.filter(({ type }) => type === "place_call")).toHaveLength(1);
  });

  test("dialling a typed number, a key at a time, and a name", async () => {
    const world = await World.open();
    await world.go("calls");
    for (const digit of "1004") await world.click(`digit-${digit}`);
    await world.click("dial");
    expect((await world.asked("place_call")).number).toBe("1004");
    await world.click("another-call");
    expect(world.get("dial-number")).toHaveProperty("value", "");
    await world.user.type(world.get("dial-number"), "sofia{Enter}");
    await waitFor(async () => expect((await world.asked("place_call")).number).toBe("1012"));
  });

  test("the log tells what became of each call, calls again, and leads to the message", async () => {
    const world = await World.open();
    await world.go("calls");
    const rows = await screen.findAllByTestId("call-row");
    expect(rows[0]?.dataset["outcome"]).toBe("missed");
    expect(rows[0]?.textContent).toContain("Missed, busy");
    expect(rows[1]?.textContent).toContain("Outgoing, 6:52");
    await world.user.click(screen.getAllByTestId("call-row-call")[1] ?? document.body);
    expect((await world.asked("place_call")).number).toBe("1004");
    await world.user.click(screen.getAllByTestId("call-row-message")[0] ?? document.body);
    expect((await world.find("message")).textContent).toContain("Main office, billing");
  });

  test("people are found without their accents, and called", async () => {
    const world = await World.open();
    await world.go("people");
    await world.user.type(await world.find("people-search"), "weiss");
    await waitFor(() => expect(world.all("person").map((person) => person.dataset["user"])).toEqual(["joerg.weiss"]));
    await world.click("person-call");
    expect((await world.asked("place_call")).number).toBe("1011");
  });
});
