import { fireEvent, screen, waitFor } from "@testing-library/svelte";
import { describe, expect, test } from "vitest";

import { World } from "./world";

describe("the mailbox", () => {
  test("shows new messages with who, when, why and how long", async () => {
    const world = await World.open();
    const [first] = await screen.findAllByTestId("message-row");
    expect(world.all("message-row").map((row) => row.dataset["state"])).toEqual(["new", "new", "new"]);
    expect(first).toHaveProperty("tabIndex", 0);
    for (const text of ["New,", "Main office, billing", "You were in a call", "0:42", "Urgent"]) expect(first?.textContent).toContain(text);
    expect(world.all("new-count")[0]?.textContent).toContain("3");
  });

  test("a private message says so, can't be forwarded, and is called back at the number that was left", async () => {
    const world = await World.open();
    await world.click("folder-all");
    const row = (await screen.findAllByTestId("message-row")).find(({ textContent }) => textContent.includes("Reception"));
    if (row === undefined) throw new Error("no row");
    expect(row.textContent).toContain("Private");
    expect(row.textContent).toContain("Call back at +49 170 5550199");
    await world.user.click(row);
    await waitFor(() => expect(world.get("message").dataset["messageId"]).toBe(row.dataset["messageId"]));
    expect(world.get("message-marks").textContent).toContain("can't be forwarded");
    expect(world.get("forward")).toHaveProperty("disabled", true);
  });

  test("playing marks as heard, and the message stays under the listener’s hands", async () => {
    const world = await World.open();
    await world.click("play");
    await world.find("pause");
    await waitFor(() => expect(world.get("message").dataset["state"]).toBe("heard"));
    expect(world.all("message-row").map((row) => row.dataset["state"])).toEqual(["heard", "new", "new"]);
    await world.user.keyboard("j");
    await waitFor(() => expect(world.all("message-row")).toHaveLength(2));
    expect(world.names()[0]).toContain("+49 30 901820");
  });

  test("pausing and seeking by keys", async () => {
    const world = await World.open();
    await world.click("play");
    await world.find("pause");
    const slider = world.get("seek");
    slider.focus();
    await world.user.keyboard("{ArrowRight}");
    expect((await world.asked("seek")).position_ms).toBeGreaterThanOrEqual(5000);
    await world.user.keyboard("{End}");
    await waitFor(async () => expect((await world.asked("seek")).position_ms).toBe(Number(slider.getAttribute("aria-valuemax"))));
    await world.user.keyboard("{Home}");
    await waitFor(async () => expect((await world.asked("seek")).position_ms).toBe(0));
    await world.click("pause");
    await world.find("play");
  });

  test("seeking in what doesn’t play begins there", async () => {
    const world = await World.open();
    (await world.find("seek")).focus();
    await world.user.keyboard("{ArrowRight}");
    expect((await world.asked("play")).position_ms).toBe(5000);
  });

  test("what is deleted comes back by undo, as new as it was", async () => {
    const world = await World.open();
    const id = (await world.find("message")).dataset["messageId"];
    await world.click("delete");
    await waitFor(() => expect(world.all("message-row")).toHaveLength(2));
    expect(world.get("message").dataset["messageId"]).not.toBe(id);
    await world.click("undo");
    await waitFor(() => expect(world.all("message-row")).toHaveLength(3));
    expect(world.all("message-row")[0]?.dataset["messageId"]).toBe(id);
    expect(world.all("message-row")[0]?.dataset["state"]).toBe("new");
    expect(world.all("undo")).toHaveLength(0);
  });

  test("a full mailbox says so, and what to do", async () => {
    const world = await World.open(["full"]);
    const notice = await world.find("fullness");
    expect(notice.dataset["code"]).toBe("full");
    expect(notice.textContent).toContain("Delete some");
  });

  test("a mailbox with room says nothing of it", async () => {
    const world = await World.open();
    await screen.findAllByTestId("message-row");
    expect(world.all("fullness")).toHaveLength(0);
  });

  test("the trash restores", async () => {
    const world = await World.open();
    await world.click("folder-trash");
    await waitFor(() => expect(world.all("message-row").map((row) => row.dataset["state"])).toEqual(["deleted"]));
    await world.click("restore");
    await world.find("empty");
  });

  test("keys: first, last, a page, into the message and back", async () => {
    const world = await World.open();
    await world.click("folder-all");
    const rows = await waitFor(() => {
      expect(world.all("message-row").length).toBeGreaterThan(3);
      return world.all("message-row");
    });
    rows[0]?.focus();
    await world.user.keyboard("{PageDown}");
    await waitFor(() => expect(world.get("message").dataset["messageId"]).toBe(rows[1]?.dataset["messageId"]));
    await world.user.keyboard("{PageUp}");
    await waitFor(() => expect(world.get("message").dataset["messageId"]).toBe(rows[0]?.dataset["messageId"]));
    // The last one is far outside the rows at hand.
    await world.user.keyboard("{End}");
    await waitFor(() => expect(world.get("message").dataset["messageId"]).toBe("00000000-0000-4000-8001-000000000150"));
    await world.user.keyboard("{Home}");
    await waitFor(() => expect(world.get("message").dataset["messageId"]).toBe(rows[0]?.dataset["messageId"]));
    await world.user.keyboard("{Enter}");
    await waitFor(() => expect(document.activeElement).toBe(world.get("play")));
  });

  test("keys: heard or new, and for ever only when it is pressed twice", async () => {
    const world = await World.open();
    await screen.findAllByTestId("message-row");
    await world.user.keyboard("h");
    expect((await world.asked("act")).action).toBe("heard");
    await world.user.keyboard("u");
    await waitFor(async () => expect((await world.asked("act")).action).toBe("new"));
    await world.user.keyboard("4");
    await waitFor(() => expect(world.all("message-row").map((row) => row.dataset["state"])).toEqual(["deleted"]));
    await world.find("message");
    await world.user.keyboard("{Delete}");
    expect((await world.find("expunge")).textContent).toContain("Really");
    expect((await world.asked("act")).action).toBe("new");
    await world.user.keyboard("{Delete}");
    await waitFor(async () => expect((await world.asked("act")).action).toBe("expunge"));
  });

  test("two quick changes of how it sounds both count", async () => {
    const world = await World.open();
    await world.find("rate");
    // No word of the shell between the two.
    fireEvent.change(world.get("rate"), { target: { value: "75" } });
    fireEvent.change(world.get("volume"), { target: { value: "50" } });
    await waitFor(async () => expect(await world.asked("set_player")).toMatchObject({ rate_percent: 75, volume_percent: 50 }));
  });

  test("what it is heard through can be chosen", async () => {
    const world = await World.open();
    await world.user.selectOptions(await world.find("player-device"), "built-in");
    expect(await world.asked("choose_audio_device")).toMatchObject({ use: "speaker", device: "built-in" });
    await waitFor(() => expect(world.get("player-device")).toHaveProperty("value", "built-in"));
    await world.user.selectOptions(world.get("player-device"), "");
    await waitFor(async () => expect((await world.asked("choose_audio_device")).device).toBeNull());
  });

  test("a muted message is not heard", async () => {
    const world = await World.open();
    await world.host.perform({ type: "set_player", rate_percent: 100, volume_percent: 0, skip_silence: false });
    await world.click("play");
    await waitFor(() => expect(Number(world.get("seek").getAttribute("aria-valuenow"))).toBeGreaterThan(1500));
    expect(world.get("message").dataset["state"]).toBe("new");
  });

  test("keys: down, play, save, forward, search", async () => {
    const world = await World.open();
    const rows = await screen.findAllByTestId("message-row");
    await world.user.keyboard("{ArrowDown}");
    await waitFor(() => expect(world.get("message").dataset["messageId"]).toBe(rows[1]?.dataset["messageId"]));
    await world.user.keyboard(" ");
    expect((await world.asked("play")).message).toBe(rows[1]?.dataset["messageId"]);
    await world.user.keyboard("s");
    expect((await world.asked("act")).action).toBe("save");
    await world.user.keyboard("c");
    expect((await world.asked("call_back")).message).toBe(rows[1]?.dataset["messageId"]);
    await world.user.keyboard("/");
    expect(document.activeElement).toBe(world.get("search"));
    await world.user.keyboard("f");
    expect(world.all("forward-dialog")).toHaveLength(0);
  });

  test("searching asks for it, and says when nothing is found", async () => {
    const world = await World.open();
    await world.click("folder-all");
    await world.user.type(world.get("search"), "amelie");
    await waitFor(() => expect(world.names().every((name) => name.includes("Amelie") || name.includes("Warehouse"))).toBe(true));
    await world.user.type(world.get("search"), "xyz");
    expect((await world.find("empty")).textContent).toContain("amelie");
  });

  test("forwarding with a note to people found by name", async () => {
    const world = await World.open();
    await screen.findAllByTestId("message-row");
    await world.click("forward");
    await world.find("forward-dialog");
    expect(world.get("forward-send")).toHaveProperty("disabled", true);
    await world.user.type(world.get("forward-to"), "jorg{Enter}1002{Enter}");
    await world.user.type(world.get("forward-note"), "Please call them");
    expect(world.all("forward-chosen").map((chosen) => chosen.dataset["user"])).toEqual(["joerg.weiss", "amelie.brandt"]);
    await world.click("forward-send");
    expect(await world.asked("forward")).toMatchObject({ to: ["joerg.weiss", "amelie.brandt"], note: "Please call them" });
    await waitFor(() => expect(world.all("forward-dialog")).toHaveLength(0));
    expect((await world.find("toast")).textContent).toContain("Jörg Weiß and Amelie Brandt");
  });

  test("a failed forward keeps what was typed", async () => {
    const world = await World.open();
    await screen.findAllByTestId("message-row");
    world.host.failures.set("forward", "connect");
    await world.click("forward");
    await world.user.type(await world.find("forward-to"), "lena{Enter}");
    await world.user.type(world.get("forward-note"), "Hello");
    await world.click("forward-send");
    expect((await screen.findByRole("alert")).dataset["code"]).toBe("connect");
    expect(world.get("forward-note")).toHaveProperty("value", "Hello");
  });

  test("the note of who forwarded it is shown", async () => {
    const world = await World.open();
    const rows = await screen.findAllByTestId("message-row");
    await world.user.click(rows[2] ?? document.body);
    expect((await world.find("note")).textContent).toContain("dock two");
    expect(world.get("story").textContent).toContain("Amelie Brandt forwarded it to you");
  });

  test("sound that isn’t here can’t be played, and the reason stands there", async () => {
    const world = await World.open(["offline"]);
    await world.click("folder-saved");
    await waitFor(() => expect(world.names().join()).toContain("Harper & Lowe"));
    const row = world.all("message-row").find((row) => row.textContent.includes("Harper"));
    await world.user.click(row ?? document.body);
    await waitFor(() => expect(world.get("play")).toHaveProperty("disabled", true));
    expect(world.get("message").textContent).toContain("not on this device yet");
  });

  test("an empty mailbox offers a test message, which arrives", async () => {
    const world = await World.open(["empty"]);
    await world.click("leave-test-message");
    expect(await world.asked("leave_test_message")).toBeTruthy();
    await waitFor(() => expect(world.all("message-row")).toHaveLength(1));
  });

  test("before the first sync it doesn’t say that it is empty", async () => {
    const world = await World.open(["loading"]);
    expect(world.all("empty")).toHaveLength(0);
    expect(screen.getByText("Fetching your messages…")).toBeTruthy();
  });

  test("a failure is told in words", async () => {
    const world = await World.open();
    await screen.findAllByTestId("message-row");
    world.host.failures.set("call_back", "bad_number");
    await world.click("call-back");
    expect((await world.find("toast")).textContent).toContain("This number can’t be called.");
  });

  test("several are selected by keys and pointer, and what is done to them is one thing", async () => {
    const world = await World.open();
    const rows = await screen.findAllByTestId("message-row");
    await world.find("message");
    const ids = rows.map((row) => row.dataset["messageId"]);
    await world.user.keyboard("x{Shift>}{ArrowDown}{/Shift}");
    expect((await world.find("marked")).dataset["count"]).toBe("2");
    await world.user.click(rows[2] ?? document.body);
    expect(world.get("marked").dataset["count"]).toBe("3");
    await world.user.click(rows[2] ?? document.body);
    await world.click("marked-delete");
    expect(await world.asked("act")).toMatchObject({ messages: ids.slice(0, 2), action: "delete" });
    await waitFor(() => expect(world.all("message-row")).toHaveLength(1));
    expect(world.all("marked")).toHaveLength(0);
    expect((await world.find("toast")).textContent).toContain("2 messages deleted");
    await world.click("undo");
    await waitFor(() => expect(world.all("message-row")).toHaveLength(3));
  });

  test("all of a folder are selected, also those that aren’t on the screen, and forwarded together", async () => {
    const world = await World.open();
    await world.click("folder-all");
    await world.find("message");
    await world.user.keyboard("{Control>}a{/Control}");
    expect((await world.find("marked")).dataset["count"]).toBe("149");
    await world.user.keyboard("{Escape}");
    expect(world.all("marked")).toHaveLength(0);
    await world.user.keyboard("xjx");
    await world.click("marked-forward");
    await world.user.type(await world.find("forward-to"), "1002{Enter}");
    await world.click("forward-send");
    expect((await world.asked("forward")).messages).toHaveLength(2);
  });

  test("speed, volume and pauses: chosen with the pointer and with keys", async () => {
    const world = await World.open();
    await world.find("message");
    await world.user.selectOptions(world.get("rate"), "150");
    expect(await world.asked("set_player")).toMatchObject({ rate_percent: 150, volume_percent: 100, skip_silence: false });
    await world.user.keyboard(">");
    await waitFor(async () => expect((await world.asked("set_player")).rate_percent).toBe(150));
    world.get("rate").blur();
    await world.user.keyboard(">");
    await waitFor(async () => expect((await world.asked("set_player")).rate_percent).toBe(175));
    await world.user.keyboard("-");
    await waitFor(async () => expect((await world.asked("set_player")).volume_percent).toBe(90));
    await world.click("skip-silence");
    await waitFor(() => expect(world.get("skip-silence").getAttribute("aria-pressed")).toBe("true"));
  });

  test("fifty thousand messages are a few rows", async () => {
    const world = await World.open(["many"]);
    await world.click("folder-all");
    await waitFor(() => expect(world.all("message-row")[0]?.getAttribute("aria-setsize")).toBe("50009"));
    expect(world.all("message-row").length).toBeLessThan(60);
  });

  test("the list of shortcuts opens with its key", async () => {
    const world = await World.open();
    await world.find("message");
    await world.user.keyboard("?");
    expect((await world.find("shortcuts-dialog")).textContent).toContain("play, pause");
  });
});
