import { screen, waitFor } from "@testing-library/svelte";
import { describe, expect, test } from "vitest";

import { expectAccessible, World } from "./world";

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

  test("a call is recorded, which is said, and where it went", async () => {
    const world = await World.open(["in_call"]);
    const button = await world.find("call-record");
    expect([button.getAttribute("aria-label"), button.getAttribute("aria-pressed")]).toEqual(["Record", "false"]);
    expect(world.get("call-recording").textContent).toBe("");
    await world.click("call-record");
    expect((await world.asked("set_recording")).on).toBe(true);
    await waitFor(() => expect(world.get("call-recording").textContent).toBe("Being recorded"));
    expect(world.get("call-recording").getAttribute("role")).toBe("status");
    await expectAccessible();
    await world.user.keyboard("{Alt>}r{/Alt}");
    await waitFor(async () => expect((await world.asked("set_recording")).on).toBe(false));
    await screen.findByText(/recorded in .*Lena Fischer\.ogg/);
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

  test("the log tells how a call sounded, and where that was measured", async () => {
    const world = await World.open();
    await world.go("calls");
    const buttons = await screen.findAllByTestId("call-row-figures");
    const [missed, called, direct] = buttons;
    expect(called?.getAttribute("aria-label")).toBe("How the call with Lena Fischer sounded");
    expect(called?.getAttribute("aria-expanded")).toBe("false");
    await world.user.click(called ?? document.body);
    expect(called?.getAttribute("aria-expanded")).toBe("true");
    const shown = await world.find("call-figures");
    expect(shown.id).toBe(called?.getAttribute("aria-controls"));
    for (const text of ["opus, by way of the server, encrypted", "0.1 % lost, 3 ms jitter, MOS 4.38", "Heard hereFair connection, 3.4 % lost", "23 ms"]) {
      expect(shown.textContent).toContain(text);
    }
    await expectAccessible();
    await world.user.click(called ?? document.body);
    await waitFor(() => expect(world.all("call-figures")).toHaveLength(0));
    await world.user.click(missed ?? document.body);
    expect((await world.find("call-figures")).textContent).toMatch(/Spoken by the caller.*Heard by the caller\s*not reported by the phone/s);
    await world.user.click(missed ?? document.body);
    await world.user.click(direct ?? document.body);
    expect((await world.find("call-figures")).textContent).toContain("did not pass the server");
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
