//! The set-up in the real window, by keyboard: from the first sign-in to a test call whose steps turn green, and one whose list says
//! what is wrong.

use std::path::Path;

use aftertone_tests::{
    hosted::{ALICE, Api},
    office::Office,
    process::{self, PATIENCE},
    sound::Sound,
    window::Window,
};
use anyhow::{Result, ensure};
use fantoccini::key::Key;
use serde_json::{Value, json};

/// A profile to which the set-up is new.
fn unknown(profile: &Path) -> Result<()> {
    std::fs::create_dir_all(profile)?;
    Ok(std::fs::write(profile.join("settings.json"), json!({"set_up": false}).to_string())?)
}

/// Goes on with the Tab key until the focus is there.
async fn tab_to(window: &Window, test_id: &str) -> Result<()> {
    process::eventually(&format!("the focus comes to {test_id}"), PATIENCE, || async {
        let focused = window.run("return document.activeElement?.dataset.testid ?? '';", Value::Null).await?;
        if focused == json!(test_id) {
            return Ok(Some(()));
        }
        window.press(&[Key::Tab.into()]).await?;
        Ok(None)
    })
    .await
}

async fn press(window: &Window, test_id: &str) -> Result<()> {
    tab_to(window, test_id).await?;
    window.press(&[Key::Enter.into()]).await
}

async fn step(window: &Window, name: &str) -> Result<()> {
    window.wait_for(&format!("[data-testid=\"setup\"][data-step=\"{name}\"]")).await
}

async fn next(window: &Window, name: &str) -> Result<()> {
    press(window, "setup-next").await?;
    step(window, name).await
}

/// What the list of the test call says now: each step with its state and its note.
async fn list(window: &Window) -> Result<Vec<(String, String, String)>> {
    let read = "return [...document.querySelectorAll('[data-testid=test-step]')].map((row) => [row.dataset.step, row.dataset.state, row.dataset.note ?? '']);";
    Ok(serde_json::from_value(window.run(read, Value::Null).await?)?)
}

async fn ends(window: &Window, state: &str) -> Result<Vec<(String, String, String)>> {
    let over = ["passed", "failed"].map(|state| format!("[data-testid=\"test-call\"][data-state=\"{state}\"]")).join(",");
    window.wait_for(&over).await?;
    let said = list(window).await?;
    ensure!(window.has(&format!("[data-testid=\"test-call\"][data-state=\"{state}\"]")).await?, "not {state}: {said:?}");
    Ok(said)
}

fn of(said: &[(String, String, String)], step: &str) -> (String, String) {
    said.iter().find(|(name, ..)| name == step).map(|(_, state, note)| (state.clone(), note.clone())).unwrap_or_default()
}

fn pair(state: &str, note: &str) -> (String, String) {
    (state.to_owned(), note.to_owned())
}

#[tokio::test]
async fn the_set_up_is_gone_through_by_keyboard_and_every_step_of_the_test_call_comes_true() -> Result<()> {
    let office = Office::open(Sound::silence(60.0)).await?;
    let profile = office.desktop.folder().join("alice");
    unknown(&profile)?;
    let window = office.alice("alice").await?;

    step(&window, "account").await?;
    window.reads("setup", ALICE.extension).await?;
    next(&window, "sound").await?;
    press(&window, "test-microphone").await?;
    let _speaking = office.desktop.say(&Sound::tone(440.0, 30.0))?;
    process::eventually("the level moves", PATIENCE, || async {
        let level = window.find("microphone-level").await?.attr("aria-valuenow").await?.unwrap_or_default();
        Ok((level.parse::<f64>()? > 0.0).then_some(()))
    })
    .await?;
    next(&window, "greeting").await?;
    window.wait_for("[data-testid=\"setup-default\"][aria-pressed=\"true\"]").await?;
    next(&window, "ringing").await?;
    window.choose("setup-ring", "5 s").await?;
    window.reads("setup-ring-explained", "for 5 seconds").await?;
    press(&window, "setup-back").await?;
    step(&window, "greeting").await?;
    next(&window, "ringing").await?;
    next(&window, "notifications").await?;
    press(&window, "test-notification").await?;
    window.wait_for("[data-testid=\"test-notification-state\"][data-state=\"shown\"]").await?;
    ensure!(office.desktop.notifications.shown().iter().any(|shown| shown.summary.contains("Aftertone")));

    next(&window, "test").await?;
    press(&window, "test-call-start").await?;
    window.wait_for("[data-testid=\"ringing\"]").await?;
    window.wait_until_gone("[data-testid=\"answer\"]").await?;
    let said = ends(&window, "passed").await?;
    let names = ["reachable", "rang", "answered", "greeting", "arrived", "sound", "notified"];
    assert_eq!(
        said.iter().map(|(name, state, _)| (name.as_str(), state.as_str())).collect::<Vec<_>>(),
        names.map(|name| (name, "done"))
    );
    assert_eq!((of(&said, "greeting").1, of(&said, "sound").1), ("account_greeting".into(), "measured".into()));

    let listening = office.desktop.listen().await?;
    press(&window, "test-call-listen").await?;
    process::eventually("what the caller heard is heard", PATIENCE, || async {
        let heard = listening.so_far()?;
        Ok((heard.part(heard.seconds() - 1.0, 1.0).level() > -45.0).then_some(()))
    })
    .await?;
    drop(listening.stop().await?);

    next(&window, "done").await?;
    window.reads("setup", "everything works").await?;
    press(&window, "setup-finish").await?;
    window.wait_for("[data-testid=\"message-row\"]").await?;
    let row = window.run("return document.querySelector('[data-testid=message-row]').textContent;", Value::Null).await?;
    ensure!(row.as_str().is_some_and(|row| row.contains("Test call")), "the list shows {row}");
    let api = office.hosted.sign_in(ALICE.name).await?;
    assert_eq!((api.messages().await?.len(), api.call_records().await?.len()), (1, 0), "a message, and no call");
    window.close().await?;

    // It comes once.
    let window = office.app("alice", &[]).await?;
    window.wait_for("[data-testid=\"message-row\"]").await?;
    ensure!(!window.has("[data-testid=\"setup\"]").await?, "the set-up came again");
    window.close().await?;
    office.close().await
}

/// Begins one, and sends it to the mailbox as soon as it rings.
async fn hasten(window: &Window) -> Result<()> {
    window.click("test-call-start").await?;
    window.click("decline").await
}

async fn fill(office: &Office, api: &Api) -> Result<()> {
    office.hosted.admin(&["mailbox", "set", ALICE.name, "--quota", "1"], "").await?;
    process::eventually("the mailbox is full", PATIENCE, || async {
        Ok((api.get("me/mailbox").await?["fullness"] == "full").then_some(()))
    })
    .await
}

#[tokio::test]
async fn what_is_wrong_stands_in_the_list_with_what_to_do_and_what_is_set_so_is_no_failure() -> Result<()> {
    let office = Office::open(Sound::silence(60.0)).await?;
    let api = office.hosted.sign_in(ALICE.name).await?;
    // Her own greeting, whose file is gone.
    api.greet(&Sound::tone(440.0, 3.0)).await?;
    std::fs::remove_dir_all(office.file("account").join("blobs"))?;
    std::fs::create_dir(office.file("account").join("blobs"))?;

    let window = office.alice("alice").await?;
    window.click("nav-settings").await?;
    window.click("setup-test").await?;
    step(&window, "test").await?;
    hasten(&window).await?;
    let said = ends(&window, "failed").await?;
    assert_eq!(of(&said, "greeting"), pair("failed", "greeting_lost"), "{said:?}");
    assert_eq!((of(&said, "arrived").0, of(&said, "sound").0), ("done".into(), "done".into()), "{said:?}");
    window.reads("setup", "Record it again").await?;

    // Do not disturb, and a mailbox that is full: no ringing, as it is set, and nothing can be left.
    fill(&office, &api).await?;
    api.send(reqwest::Method::PUT, "calling", Some(&json!({"do_not_disturb": true}))).await?.error_for_status()?;
    window.click("test-call-start").await?;
    window.wait_for("[data-testid=\"test-call\"][data-state=\"running\"]").await?;
    let said = ends(&window, "failed").await?;
    assert_eq!(of(&said, "rang"), pair("skipped", "do_not_disturb"), "{said:?}");
    assert_eq!(of(&said, "greeting"), pair("failed", "mailbox_full"), "{said:?}");
    assert_eq!(of(&said, "arrived"), pair("waiting", ""), "{said:?}");
    window.reads("setup", "Delete some messages").await?;
    window.close().await?;
    office.close().await
}
