//! Greetings in the real window: what is spoken into the microphone is what the next caller hears.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::time::Duration;

use aftertone_tests::{
    office::Office,
    process,
    process::PATIENCE,
    sound::{self, Sound},
    window::Window,
};
use anyhow::{Context, Result, ensure};
use fantoccini::key::Key;
use serde_json::json;

/// Enough of what is heard to find the greeting in.
const HEARD: Duration = Duration::from_secs(25);

fn recorder(state: &str) -> String {
    format!("[data-testid=\"recorder\"][data-state=\"{state}\"]")
}

/// Waits until a meter of the window shows more than that.
async fn shows_more_than(window: &Window, meter: &str, least: f64) -> Result<()> {
    process::eventually(&format!("{meter} is above {least}"), PATIENCE, || async {
        let value = window.find(meter).await?.attr("aria-valuenow").await?.context("no value")?;
        Ok((value.parse::<f64>()? > least).then_some(()))
    })
    .await
}

/// Speaks into the microphone while the window records.
async fn record(office: &Office, window: &Window, said: &Sound) -> Result<()> {
    window.click("record").await?;
    window.wait_for(&recorder("countdown")).await?;
    window.wait_for(&recorder("recording")).await?;
    let _speaking = office.desktop.say(said)?;
    shows_more_than(window, "record-level", 0.0).await?;
    // In whole seconds: it was all said when one more has passed.
    shows_more_than(window, "record-gauge", said.seconds() + 1.0).await?;
    window.click("record-stop").await?;
    window.wait_for(&recorder("recorded")).await
}

/// What Bob hears when the mailbox answers, until so many seconds have come.
async fn bob_hears_the_greeting(office: &mut Office, window: &Window, seconds: f64) -> Result<Sound> {
    office.bob_calls().await?;
    window.click("decline").await?;
    office.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    office.bob.hears(seconds, HEARD).await?;
    office.bob.command("hangup").await?;
    office.bob.happening("CALL_CLOSED", PATIENCE).await?;
    sound::so_far(&office.bob.heard()?)
}

/// Whether it is what was said, by what a listener would say of it: clocks of sound cards drift too much to compare waveforms.
fn alike(what: &str, said: &Sound, heard: &Sound) -> Result<()> {
    let quality = sound::quality(said, heard)?;
    println!("{what}: PESQ {:.2}, stretched by {:.3} s", quality.pesq, quality.stretch_s);
    ensure!(quality.pesq > 3.0 && quality.stretch_s.abs() < 0.3, "{what}: {quality:?}");
    Ok(())
}

/// Recorded, heard, trimmed, saved as the standard one, and what the next caller hears; taken away, and brought back; a file that is
/// no sound.
#[tokio::test]
async fn what_is_recorded_in_the_window_is_what_the_next_caller_hears() -> Result<()> {
    let mut office = Office::open(Sound::silence(60.0)).await?;
    let window = office.alice("alice").await?;
    window.click("nav-greetings").await?;
    window.click("greeting-new").await?;
    window.wait_for("[data-testid=\"advice\"][data-point=\"thanks\"][data-good=\"true\"]").await?;

    let no_sound = "const file = new File([new Uint8Array([37, 80, 68, 70])], 'letter.wav');\
                    const list = new DataTransfer(); list.items.add(file);\
                    const field = document.querySelector('[data-testid=record-file]');\
                    field.files = list.files; field.dispatchEvent(new Event('change', { bubbles: true }));";
    window.run(no_sound, json!(null)).await?;
    window.wait_for("[data-code=\"unsupported_sound\"]").await?;

    let said = sound::sentence()?;
    record(&office, &window, &said).await?;
    let listening = office.desktop.listen().await?;
    window.click("play").await?;
    window.find("pause").await?;
    window.wait_for("[data-testid=\"play\"]").await?;
    let played = listening.stop().await?;
    alike("heard back", &said, &played)?;

    let to = || async {
        Ok::<f64, anyhow::Error>(window.find("trim-to").await?.attr("aria-valuenow").await?.context("no end")?.parse()?)
    };
    let before = to().await?;
    window.type_into("trim-to", &String::from(char::from(Key::Left))).await?;
    assert!((before - to().await? - 100.0).abs() < 1.0, "a key trims a tenth of a second");

    window.type_into("greeting-title", "Office").await?;
    window.click("greeting-save").await?;
    window.wait_for("[data-testid=\"greeting\"][data-use=\"standard\"][data-state=\"stored\"]").await?;

    let heard = bob_hears_the_greeting(&mut office, &window, said.seconds() + 0.5).await?;
    alike("Bob hears", &said, &heard)?;

    // Taken away the account's own greeting is heard; undone, it is there again and still the standard one.
    window.click("nav-greetings").await?;
    window.click("greeting-delete").await?;
    window.wait_until_gone("[data-testid=\"greeting\"]").await?;
    window.click("undo").await?;
    window.wait_for("[data-testid=\"greeting\"][data-use=\"standard\"][data-state=\"stored\"]").await?;
    let again = bob_hears_the_greeting(&mut office, &window, said.seconds() + 0.5).await?;
    alike("brought back, Bob hears", &said, &again)?;
    window.close().await?;
    office.close().await
}

/// Recorded, heard, said to Bob before the greeting of the account, taken away, and brought back.
#[tokio::test]
async fn the_name_that_is_recorded_in_the_window_is_said_before_the_greeting_of_the_account() -> Result<()> {
    let mut office = Office::open(Sound::silence(60.0)).await?;
    let window = office.alice("alice").await?;
    window.click("nav-greetings").await?;
    window.click("name-record").await?;
    let said = sound::reply()?;
    record(&office, &window, &said).await?;
    window.click("name-save").await?;
    window.wait_for("[data-testid=\"spoken-name\"][data-state=\"stored\"]").await?;

    // The simulator plays what he will hear.
    window.click("section-simulator").await?;
    let listening = office.desktop.listen().await?;
    window.click("simulation-hear").await?;
    for label in ["Pause", "Hear it"] {
        process::eventually(&format!("the button says {label}"), PATIENCE, || async {
            Ok((window.text("simulation-hear").await? == label).then_some(()))
        })
        .await?;
    }
    alike("simulated", &said, &listening.stop().await?)?;

    let greeting = sound::asset("greeting-en.wav")?;
    let heard = bob_hears_the_greeting(&mut office, &window, said.seconds() + greeting.seconds()).await?;
    alike("Bob hears the name", &said, &heard)?;
    let begins = greeting.part(0.0, 3.0);
    let likeness = sound::likeness(&begins, &heard);
    ensure!(likeness > 0.8, "{likeness:.2} like the greeting of the account");
    ensure!(sound::find(&begins, &heard) > said.seconds() - 0.5, "it comes after the name");

    window.click("nav-greetings").await?;
    window.click("section-greetings").await?;
    window.click("name-delete").await?;
    window.wait_for("[data-testid=\"spoken-name\"][data-state=\"none\"]").await?;
    window.click("undo").await?;
    window.wait_for("[data-testid=\"spoken-name\"][data-state=\"stored\"]").await?;
    window.close().await?;
    office.close().await
}
