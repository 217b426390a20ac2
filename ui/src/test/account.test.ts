import { fireEvent, screen, waitFor } from "@testing-library/svelte";
import { describe, expect, test } from "vitest";

import { World } from "./world";

describe("the account", () => {
  test("signing in, after a wrong password", async () => {
    const world = await World.open(["signed_out"]);
    expect(world.get("submit")).toHaveProperty("disabled", true);
    await world.user.type(world.get("server"), "phone.example.com");
    await world.user.type(world.get("user"), "maria.eckert");
    await world.user.type(world.get("password"), "wrong");
    await world.click("submit");
    expect((await world.find("sign-in-error")).dataset["code"]).toBe("wrong_credentials");
    await world.user.clear(world.get("password"));
    await world.user.type(world.get("password"), "right{Enter}");
    await world.find("signed-in");
    expect(await world.asked("sign_in")).toEqual({ type: "sign_in", server: "phone.example.com", user: "maria.eckert", password: "right" });
  });

  test("an invitation that was opened waits to be accepted", async () => {
    const world = await World.open(["invited"]);
    expect(world.get("invitation-link")).toHaveProperty("value", "aftertone://invite?server=https://phone.example.com&token=T");
    await world.click("submit");
    await world.find("signed-in");
  });

  test("a revoked device says so and keeps name and server", async () => {
    const world = await World.open(["revoked"]);
    expect(world.get("sign-in").textContent).toContain("this device was removed from the account");
    expect(world.get("user")).toHaveProperty("value", "maria.eckert");
  });

  test("a locked keyring: try again, or a file", async () => {
    const world = await World.open(["locked"]);
    await world.click("retry-secrets");
    await screen.findByText("The system’s keyring is locked.");
    await world.click("use-file-secrets");
    await waitFor(() => expect(world.all("use-file-secrets")).toHaveLength(0));
  });

  test("the reason for being offline stands there", async () => {
    const world = await World.open(["offline"]);
    expect(world.get("connection").dataset["state"]).toBe("offline");
    expect(world.get("connection").textContent).toContain("The server can’t be reached");
    expect(world.get("connection").textContent).toContain("Look at your network");
    await world.click("reconnect");
    await world.asked("reconnect");
    await waitFor(() => expect(world.get("connection").dataset["state"]).toBe("connecting"));
  });

  test("a picture of a QR code is an invitation to be accepted", async () => {
    const world = await World.open(["signed_out"]);
    await world.click("with-invitation");
    const picture = new File([new Uint8Array([137, 80, 78, 71])], "invitation.png", { type: "image/png" });
    await world.user.upload(world.get("picture"), picture);
    expect((await world.asked("read_invitation")).picture).toBe("iVBORw==");
    await screen.findByText("You are invited to phone.example.com.");
    expect(world.get("invitation-link")).toHaveProperty("value", "aftertone://invite?server=https://phone.example.com&token=T");
    await world.click("submit");
    await world.find("signed-in");
  });

  test("quiet hours, and what notifications tell", async () => {
    const world = await World.open();
    await world.go("settings");
    await world.click("notify-missed");
    expect((await world.asked("set_notifications")).notifications).toMatchObject({ messages: true, missed_calls: false, quiet: null });
    await world.click("quiet");
    await world.user.clear(await world.find("quiet-from"));
    await world.user.type(world.get("quiet-from"), "21:30{Tab}");
    await waitFor(async () => expect((await world.asked("set_notifications")).notifications.quiet?.from_minute).toBe(21 * 60 + 30));
    await world.user.clear(world.get("quiet-to"));
    await world.user.type(world.get("quiet-to"), "never{Tab}");
    expect(world.get("quiet-to")).toHaveProperty("value", "07:00");
    await world.click("quiet-day-6");
    await waitFor(async () => expect((await world.asked("set_notifications")).notifications.quiet?.days).toEqual([0, 1, 2, 3, 4, 5]));
  });

  test("the app starts with the session if it is told to", async () => {
    const world = await World.open();
    await world.go("settings");
    const choice = await screen.findByRole("switch", { name: "Start when I log in" });
    expect(choice.getAttribute("aria-checked")).toBe("false");
    await world.click("with-the-session");
    expect((await world.asked("start_with_the_session")).on).toBe(true);
    await waitFor(() => expect(choice.getAttribute("aria-checked")).toBe("true"));
  });

  test("another device of the account is signed out, after a question", async () => {
    const world = await World.open();
    await world.go("settings");
    await waitFor(() => expect(world.all("device")).toHaveLength(3));
    await world.user.click(world.all("device-revoke")[1] ?? document.body);
    await world.click("device-revoke-confirm");
    await world.asked("revoke_device");
    await waitFor(() => expect(world.all("device")).toHaveLength(2));
  });

  test("the language changes everywhere at once", async () => {
    const world = await World.open();
    await world.go("settings");
    await world.user.selectOptions(await world.find("language"), "de");
    expect((await world.asked("set_language")).language).toBe("de");
    await screen.findByRole("heading", { name: "Optionen", level: 1 });
    expect(document.documentElement.lang).toBe("de");
  });

  test("the theme is kept for the next start", async () => {
    const world = await World.open();
    await world.go("settings");
    await world.click("theme-dark");
    expect(document.documentElement.dataset["theme"]).toBe("dark");
    expect(localStorage.getItem("theme")).toBe("dark");
    await world.click("theme-system");
    expect(localStorage.getItem("theme")).toBeNull();
    expect(document.documentElement.dataset["theme"]).toBe("light");
  });

  test("choosing sound devices, and following the system again", async () => {
    const world = await World.open();
    await world.go("settings");
    await world.user.selectOptions(await world.find("microphone"), "built-in");
    expect(await world.asked("choose_audio_device")).toMatchObject({ use: "microphone", device: "built-in" });
    await world.user.selectOptions(world.get("ringer"), "");
    await waitFor(async () => expect(await world.asked("choose_audio_device")).toMatchObject({ use: "ringer", device: null }));
  });

  test("volumes, voice and tones are chosen, and the microphone is tested", async () => {
    const world = await World.open();
    await world.go("settings");
    await fireEvent.change(await world.find("volume-ringer"), { target: { value: "60" } });
    expect(await world.asked("set_volume")).toMatchObject({ use: "ringer", percent: 60 });
    await world.click("noise-suppression");
    expect(await world.asked("set_voice_processing")).toMatchObject({ processing: { echo_cancellation: true, noise_suppression: false } });
    await world.user.selectOptions(world.get("tone-region"), "austria");
    expect(await world.asked("set_tone_region")).toMatchObject({ region: "austria" });
    await world.click("test-speaker");
    expect(await world.asked("test_speaker")).toMatchObject({ use: "speaker" });
    await world.click("test-microphone");
    await waitFor(() => expect(world.get("microphone-level").getAttribute("aria-valuenow")).toBe("62"));
    await world.go("calls");
    await waitFor(async () => expect(await world.asked("test_microphone")).toMatchObject({ on: false }));
  });

  test("the PIN is set, refused where others guess it, and taken away", async () => {
    const world = await World.open();
    await world.go("settings");
    expect((await world.find("pin-state")).dataset["state"]).toBe("none");
    await world.user.type(world.get("pin"), "1234");
    await world.click("pin-set");
    await waitFor(() => expect(document.querySelector("[data-code=weak_pin]")).not.toBeNull());
    await world.user.clear(world.get("pin"));
    await world.user.type(world.get("pin"), "482159");
    await world.click("pin-set");
    expect(await world.asked("set_pin")).toMatchObject({ pin: "482159" });
    await waitFor(() => expect(world.get("pin-state").textContent).toContain("The PIN is set"));
    expect((world.get("pin") as HTMLInputElement).value).toBe("");
    expect(document.querySelector("[data-code=weak_pin]")).toBeNull();
    await world.click("pin-remove");
    await waitFor(() => expect(world.get("pin-state").dataset["state"]).toBe("none"));
    await world.user.selectOptions(world.get("menu-layout"), "asterisk");
    expect(await world.asked("choose_menu_layout")).toMatchObject({ layout: "asterisk" });
  });

  test("a headset that is pulled out is told of", async () => {
    const world = await World.open();
    world.host.tell({ type: "audio_notice", view: { use: "speaker", about: "fallback", device: "Built-in speakers" } });
    expect((await world.find("toast")).textContent).toContain("Built-in speakers is used");
  });

  test("signing out asks once", async () => {
    const world = await World.open();
    await world.go("settings");
    await world.click("sign-out");
    expect(world.host.asked.some(({ type }) => type === "sign_out")).toBe(false);
    await world.click("sign-out-confirm");
    await world.find("sign-in");
  });
});
