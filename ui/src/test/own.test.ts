import { screen, waitFor } from "@testing-library/svelte";
import { describe, expect, test } from "vitest";

import { expectAccessible, World } from "./world";

async function fill(world: World, password: string): Promise<void> {
  await world.click("with-own");
  for (const [field, text] of [
    ["provider-server", "sip.provider.example"],
    ["provider-user", "4930901820"],
    ["provider-password", password],
  ] as const) {
    await world.user.clear(world.get(field));
    await world.user.type(world.get(field), text);
  }
  await world.click("submit");
}

describe("on one’s own", () => {
  test("an account at a provider signs in, after a wrong password", async () => {
    const world = await World.open(["signed_out"]);
    await fill(world, "wrong");
    const error = await world.find("sign-in-error");
    expect(error.dataset["code"]).toBe("provider_credentials");
    expect(error.textContent).toContain("The provider doesn’t take this name and password.");
    expect(world.get("provider-step").textContent.trim()).toBe("");
    await expectAccessible();
    await fill(world, "right");
    await world.find("signed-in");
    expect(await world.asked("use_on_your_own")).toEqual({
      type: "use_on_your_own",
      server: "sip.provider.example",
      user: "4930901820",
      password: "right",
    });
  });

  test("each step is said while it goes on", async () => {
    const world = await World.open(["signed_out"], "de");
    await world.click("with-own");
    for (const [step, sentence] of [
      ["locating", "Der Server des Anbieters wird gesucht"],
      ["connecting", "Der Anbieter wird verbunden"],
      ["registering", "Anmeldung beim Anbieter"],
    ] as const) {
      const view = { account: { type: "signed_out" as const, server: "", user: "", why: null, invitation: null, provider: step } };
      world.host.tellApp(view);
      await waitFor(() => expect(world.get("provider-step").textContent).toContain(sentence));
      expect(world.get("provider-step").dataset["step"]).toBe(step);
    }
  });

  test("the settings show the provider, change its password, and warn before its messages are deleted", async () => {
    const world = await World.open(["own"]);
    await world.go("settings");
    expect((await world.find("provider")).dataset["server"]).toBe("sip.provider.example");
    expect(screen.queryByText("Extension")).toBeNull();
    await world.click("provider-change");
    await world.user.type(world.get("provider-password"), "a new one");
    await expectAccessible();
    await world.click("provider-save");
    expect((await world.asked("use_on_your_own")).password).toBe("a new one");
    await waitFor(() => expect(world.all("provider-save")).toHaveLength(0));
    await world.click("sign-out");
    await screen.findByText(/deletes its messages for ever/);
  });

  test("why the provider can’t be used stands where the connection does", async () => {
    const world = await World.open(["own"]);
    world.host.tellApp({ connection: { type: "offline", reason: "provider_credentials", detail: "401", retry_at: null } });
    await waitFor(() => expect(world.get("connection").dataset["reason"]).toBe("provider_credentials"));
    expect(world.get("connection").textContent).toContain("Has the password changed?");
  });
});

describe("signing out", () => {
  test("says what is lost, and that the server can’t be told now", async () => {
    const world = await World.open(["offline"]);
    await world.go("settings");
    await world.click("sign-out");
    await screen.findByText("2 changes were not sent yet and will be lost.");
    await screen.findByText(/goes on listing this device until/);
    await expectAccessible();
  });

  test("says nothing of it where nothing is lost", async () => {
    const world = await World.open();
    await world.go("settings");
    await world.click("sign-out");
    expect(screen.queryByText(/not sent yet/)).toBeNull();
    expect(screen.queryByText(/goes on listing/)).toBeNull();
  });
});

describe("why a start failed is said", () => {
  test.each([
    ["storage_too_new", "written by a newer version"],
    ["storage_broken", "can’t be read"],
    ["bad_invitation", "This invitation can’t be used"],
    ["connect", "The server can’t be reached"],
    ["token_missing", "waits to be sent is still there"],
    ["own_failed", "can’t be started"],
  ] as const)("%s", async (why, sentence) => {
    const world = await World.open(["signed_out"]);
    world.host.tellApp({ account: { type: "signed_out", server: "", user: "", why, invitation: null, provider: null } });
    await waitFor(() => expect(world.get("sign-in-why").dataset["code"]).toBe(why));
    expect(world.get("sign-in-why").textContent).toContain(sentence);
  });
});

describe("what can’t be had is said, and not fetched for ever", () => {
  test("a mailbox that can’t be read", async () => {
    const world = await World.open(["broken"]);
    expect((await world.find("failed")).textContent).toContain("The mailbox can’t be shown");
  });

  test("people that are not known here, without the server; then with it", async () => {
    const world = await World.open(["offline"]);
    world.host.failures.set("list_directory", "connect");
    await world.go("people");
    expect((await world.find("failed")).textContent).toContain("The server can’t be reached.");
    await expectAccessible();
    await world.click("try-again");
    await screen.findAllByTestId("person");
    expect(world.all("failed")).toHaveLength(0);
  });
});
