import { screen, waitFor } from "@testing-library/svelte";
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
    expect(world.get("connection").textContent).toContain("the server can’t be reached");
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

  test("signing out asks once", async () => {
    const world = await World.open();
    await world.go("settings");
    await world.click("sign-out");
    expect(world.host.asked.some(({ type }) => type === "sign_out")).toBe(false);
    await world.click("sign-out-confirm");
    await world.find("sign-in");
  });
});
