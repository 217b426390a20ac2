//! Rules in the real window: what is written there is what the next caller hears, and the simulator has said so before.

use aftertone_tests::{
    office::Office,
    process::{self, PATIENCE},
    sound::{self, Sound},
    window::Window,
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// Greetings that can be told apart after a call, by their pitch in Hz.
const GREETINGS: [(&str, f64); 2] = [("Low", 440.0), ("High", 880.0)];

/// Both are there and at the server; callers hear neither yet.
async fn greetings(window: &Window, office: &Office) -> Result<()> {
    for (title, pitch) in GREETINGS {
        window.click("greeting-new").await?;
        let file = office.file(&format!("{title}.wav"));
        Sound::tone(pitch, 4.0).save(&file)?;
        let choose = "const file = new File([new Uint8Array(wanted)], 'tone.wav');\
                      const list = new DataTransfer(); list.items.add(file);\
                      const field = document.querySelector('[data-testid=record-file]');\
                      field.files = list.files; field.dispatchEvent(new Event('change', { bubbles: true }));";
        window.run(choose, json!(std::fs::read(&file)?)).await?;
        window.wait_for("[data-testid=\"recorder\"][data-state=\"recorded\"]").await?;
        window.type_into("greeting-title", title).await?;
        window.click("greeting-use-keep").await?;
        window.click("greeting-save").await?;
        window.wait_until_gone("[data-testid=\"studio\"]").await?;
    }
    process::eventually("both are sent", PATIENCE * 2, || async {
        let stored = "return document.querySelectorAll('[data-testid=greeting][data-state=stored]').length;";
        Ok((window.run(stored, Value::Null).await? == json!(GREETINGS.len())).then_some(()))
    })
    .await
}

/// A new rule that has callers hear a greeting: all of them, or those with this number.
async fn rule(window: &Window, greeting: &str, number: Option<&str>, place: usize) -> Result<()> {
    window.click("rule-new-greeting").await?;
    window.choose("rule-greeting", greeting).await?;
    if let Some(number) = number {
        window.type_into("rule-numbers", number).await?;
    }
    window.click("rule-save").await?;
    window.wait_for(&format!("[data-testid=\"rule\"][data-place=\"{place}\"]")).await
}

/// Waits until the simulator says that a caller with Bob's number hears this greeting.
async fn simulated(window: &Window, greeting: &str) -> Result<()> {
    window.click("section-simulator").await?;
    window.click("caller-number").await?;
    window.type_into("caller-text", "1002").await?;
    process::eventually(&format!("{greeting} is simulated"), PATIENCE, || async {
        Ok(window.text("simulation").await?.contains(&format!("“{greeting}”")).then_some(()))
    })
    .await?;
    window.click("section-rules").await
}

/// What Bob hears when his call is declined, or after the key that he presses then.
async fn bob_hears(office: &mut Office, window: &Window, key: Option<char>, pitch: f64) -> Result<()> {
    office.bob_calls().await?;
    window.click("decline").await?;
    office.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    let mut from_s = 1.0;
    if let Some(key) = key {
        office.bob.hears(1.0, PATIENCE).await?;
        office.bob.command(&format!("sndcode {key}")).await?;
        from_s = sound::seconds_so_far(&office.bob.heard()?)? + 1.0;
    }
    office.bob.hears(from_s + 1.0, PATIENCE).await?;
    office.bob.command("hangup").await?;
    office.bob.happening("CALL_CLOSED", PATIENCE).await?;
    let heard = sound::so_far(&office.bob.heard()?)?.part(from_s, 0.8).pitch();
    ensure!((heard - pitch).abs() < 20.0, "Bob hears {heard:.0} Hz instead of {pitch}");
    Ok(())
}

/// The first rule that fits counts; moved by key above it, another does; removed and brought back it is where it was.
#[tokio::test]
async fn a_rule_that_is_made_in_the_window_chooses_what_a_caller_hears() -> Result<()> {
    let mut office = Office::open(Sound::silence(60.0)).await?;
    let window = office.alice("alice").await?;
    window.click("nav-greetings").await?;
    greetings(&window, &office).await?;
    let [(low, low_pitch), (high, high_pitch)] = GREETINGS;

    window.click("section-rules").await?;
    rule(&window, low, None, 0).await?;
    rule(&window, high, Some("1002"), 1).await?;
    simulated(&window, low).await?;
    bob_hears(&mut office, &window, None, low_pitch).await?;

    window.click("nav-greetings").await?;
    window.click("section-rules").await?;
    let move_up = "document.querySelector('[data-testid=rule][data-place=\"1\"] [data-testid=rule-up]').click();";
    window.run(move_up, Value::Null).await?;
    simulated(&window, high).await?;
    bob_hears(&mut office, &window, None, high_pitch).await?;

    window.click("nav-greetings").await?;
    window.click("section-rules").await?;
    window.click("rule-remove").await?;
    window.wait_until_gone("[data-testid=\"rule\"][data-place=\"1\"]").await?;
    simulated(&window, low).await?;
    window.click("undo").await?;
    window.wait_for("[data-testid=\"rule\"][data-place=\"1\"]").await?;
    simulated(&window, high).await?;

    // A key, while the one greeting plays, leads to the other.
    window.click("key-1").await?;
    window.choose("key-target", "An announcement").await?;
    window.choose("key-announcement", low).await?;
    window.click("key-save").await?;
    window.wait_for("[data-testid=\"key-1\"][data-kind=\"announcement\"]").await?;
    bob_hears(&mut office, &window, Some('1'), low_pitch).await?;
    window.close().await?;
    office.close().await
}
