//! Calls in the real window: out by the pad and by name, in on two apps of one person, and with a headset that is pulled out.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aftertone_media::container;
use aftertone_model::Language;
use aftertone_tests::{
    ears::Ears,
    hosted::DOMAIN,
    office::Office,
    process,
    process::PATIENCE,
    sound::{self, Sound},
    window::Window,
};
use anyhow::{Context, Result, ensure};
use fantoccini::key::Key;
use serde_json::json;
use tokio::sync::Mutex;

/// One person sits at one machine: two windows that talk at once would measure the machine.
static DESK: Mutex<()> = Mutex::const_new(());

const TALKING: &str = "[data-testid=\"call\"][data-state=\"connected\"]";
const TONE_HZ: f64 = 440.0;

/// Bob hums as long as anybody listens.
fn hum() -> Sound {
    Sound::tone(TONE_HZ, 120.0)
}

async fn pressed(office: &mut Office, key: &str) -> Result<()> {
    let heard = office.bob.happening("CALL_DTMF_START", PATIENCE).await?;
    ensure!(heard.parameter == key, "Bob's phone heard {heard:?} for {key}");
    Ok(())
}

/// Seconds on the timer of the call, as it is read: `1:02`.
async fn timer(window: &Window) -> Result<u64> {
    let text = window.text("call-timer").await?;
    let (minutes, seconds) = text.split_once(':').with_context(|| format!("no time: {text}"))?;
    Ok(minutes.trim().parse::<u64>()? * 60 + seconds.trim().parse::<u64>()?)
}

/// Out by the pad: sound both ways, mute, keys of the telephone, the timer. Out by name. Both stand in the log.
#[tokio::test]
async fn calls_go_out_by_the_pad_and_by_name() -> Result<()> {
    let _desk = DESK.lock().await;
    let mut office = Office::open(hum()).await?;
    let window = office.alice("alice").await?;
    window.click("nav-calls").await?;
    for digit in "1002".chars() {
        window.click(&format!("digit-{digit}")).await?;
    }
    window.click("dial").await?;
    office.bob.happening("CALL_INCOMING", PATIENCE).await?;
    let listening = office.desktop.listen().await?;
    office.bob.command("accept").await?;
    window.wait_for(TALKING).await?;
    listening.hears(TONE_HZ).await?;

    let _speaking = office.desktop.say(&sound::sentence()?.repeated(90.0))?;
    let open = office.bob_hears(true).await?;
    window.click("mute").await?;
    let muted = office.bob_hears(false).await?;
    window.click("mute").await?;
    office.bob_hears(true).await?;
    println!("at Bob: {open:.1} dBFS, muted {muted:.1} dBFS");
    assert!(muted < -60.0, "muted, and Bob hears {muted} dBFS");

    window.click("keypad").await?;
    for key in ["4", "2", "#"] {
        window.click(&format!("digit-{key}")).await?;
        pressed(&mut office, key).await?;
    }
    window.reads("digits", "42#").await?;
    let shown = timer(&window).await?;
    process::eventually("the timer runs", PATIENCE, || async { Ok((timer(&window).await? >= shown + 2).then_some(())) }).await?;
    window.click("hang-up").await?;
    office.bob.happening("CALL_CLOSED", PATIENCE).await?;
    window.wait_until_gone(TALKING).await?;

    window.wait_for("[data-testid=\"dial-number\"]").await?;
    window.type_into("dial-number", "brandt").await?;
    window.wait_for("[role=\"listbox\"] [role=\"option\"]").await?;
    window.type_into("dial-number", &String::from(char::from(Key::Enter))).await?;
    office.bob.happening("CALL_INCOMING", PATIENCE).await?;
    office.bob.command("accept").await?;
    window.wait_for(TALKING).await?;
    office.bob.command("hangup").await?;
    window.wait_for("[data-testid=\"call\"][data-state=\"ended\"]").await?;
    process::eventually("both calls stand in the log", PATIENCE, || async {
        let rows = window.all("call-row").await?;
        let mut answered = 0;
        for row in &rows {
            answered += usize::from(row.attr("data-outcome").await?.as_deref() == Some("answered"));
        }
        Ok((answered == 2 && rows.len() == 2).then_some(()))
    })
    .await?;
    window.close().await?;
    office.close().await
}

/// What was recorded, once there is one.
fn recording(folder: &Path) -> Result<Option<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(None) };
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(files.len() <= 1, "{files:?}");
    Ok(files.into_iter().next())
}

/// A call is recorded from a click to a key: in the person's folder of music stands what Bob said.
#[tokio::test]
async fn a_call_is_recorded_from_a_click_to_a_key() -> Result<()> {
    let _desk = DESK.lock().await;
    let words = sound::sentence()?;
    let mut office = Office::open_with(words.repeated(120.0), &["--call-recording"]).await?;
    let home = office.desktop.folder().join("home");
    std::fs::create_dir_all(home.join(".config"))?;
    std::fs::write(home.join(".config/user-dirs.dirs"), "XDG_MUSIC_DIR=\"$HOME/Music\"\n")?;
    let window = office.alice("alice").await?;
    window.click("nav-calls").await?;
    for digit in "1002".chars() {
        window.click(&format!("digit-{digit}")).await?;
    }
    window.click("dial").await?;
    office.bob.happening("CALL_INCOMING", PATIENCE).await?;
    office.bob.command("accept").await?;
    window.wait_for(TALKING).await?;
    window.click("call-record").await?;
    window.reads("call-recording", "Being recorded").await?;
    let heard = sound::seconds_so_far(&office.bob.heard()?)?;
    office.bob.hears(heard + 2.0 * words.seconds(), PATIENCE).await?;
    window.press_with(Key::Alt, 'r').await?;
    window.wait_for("[data-testid=\"call-record\"][aria-pressed=\"false\"]").await?;
    let file =
        process::eventually("there is a recording", PATIENCE, || async { recording(&home.join("Music/Aftertone")) }).await?;
    println!("{}", file.display());
    ensure!(file.to_string_lossy().ends_with(" 1002.ogg"), "{}", file.display());
    let [_, right] = container::decode_two_sides(&std::fs::read(&file)?)?;
    let right = Sound(sound::to_rate(&right.samples, right.rate)?);
    ensure!(sound::likeness(&words.part(0.3, 2.0), &right) > 0.9, "Bob is not heard in {:.1} s", right.seconds());
    window.click("hang-up").await?;
    window.wait_until_gone(TALKING).await?;
    window.close().await?;
    office.close().await
}

/// It rings while somebody types: the text gets every key, and none of them answers or declines. Where nobody types, the
/// ringing call has the focus, but none of its buttons has.
#[tokio::test]
async fn ringing_takes_no_key_from_who_types() -> Result<()> {
    let _desk = DESK.lock().await;
    let mut office = Office::open(hum()).await?;
    let window = office.alice("alice").await?;
    window.click("nav-calls").await?;
    window.type_into("dial-number", "10").await?;
    office.bob_calls().await?;
    window.find("ringing").await?;
    window.press(&['0', ' ', '2']).await?;
    let typed = window.run("return document.activeElement.value", json!(null)).await?;
    assert_eq!(typed, json!("100 2"));
    window.click("decline").await?;
    office.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    office.bob.command("hangup").await?;
    office.bob.happening("CALL_CLOSED", PATIENCE).await?;

    window.run("document.activeElement.blur()", json!(null)).await?;
    office.bob_calls().await?;
    window.find("ringing").await?;
    window.wait_for("[data-testid=\"ringing\"]:focus").await?;
    window.press(&[' ', char::from(Key::Enter)]).await?;
    assert!(window.has("[data-testid=\"ringing\"]").await?, "no key answers by chance");
    window.press(&[char::from(Key::Tab), char::from(Key::Tab), ' ']).await?;
    office.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    window.wait_for(TALKING).await?;
    window.close().await?;
    office.close().await
}

/// The PIN that was set in the window opens the mailbox from another phone. Here the 1 that is held down opens it.
#[tokio::test]
async fn the_mailbox_opens_by_the_pin_that_was_set_and_by_the_one_held_down() -> Result<()> {
    let _desk = DESK.lock().await;
    let mut office = Office::open(Sound::silence(120.0)).await?;
    let window = office.alice("alice").await?;
    window.click("nav-settings").await?;
    window.wait_for("[data-testid=\"pin-state\"][data-state=\"none\"]").await?;
    window.type_into("pin", "123456").await?;
    window.click("pin-set").await?;
    window.wait_for("[data-code=\"weak_pin\"]").await?;
    window.click("pin").await?;
    window.press_with(Key::Control, 'a').await?;
    window.type_into("pin", "482159").await?;
    window.click("pin-set").await?;
    window.wait_for("[data-testid=\"pin-state\"][data-state=\"set\"]").await?;
    assert!(!window.has("[data-code=\"weak_pin\"]").await?, "what was wrong is mended");

    let ears = Ears::of(Language::En)?;
    office.bob.command(&format!("dial sip:*98@{DOMAIN}")).await?;
    office.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    let mut at_s = 0.0;
    for (prompt, keys) in [("enter-mailbox", "1001#"), ("enter-pin", "482159#"), ("main-menu", "#")] {
        at_s = process::eventually(&format!("{prompt} is heard"), PATIENCE, || async {
            let heard = office.bob.heard().and_then(|path| sound::so_far(&path)).unwrap_or_default();
            Ok(ears.find(prompt, &heard, at_s).map(|heard| heard.end_s))
        })
        .await?;
        office.bob.command(&format!("sndcode {keys}")).await?;
    }
    office.bob.happening("CALL_CLOSED", PATIENCE).await?;

    window.click("nav-calls").await?;
    window.hold("digit-1").await?;
    window.wait_for(TALKING).await?;
    window.release().await?;
    window.click("keypad").await?;
    // It says goodbye and hangs up.
    window.click("digit-#").await?;
    window.wait_until_gone(TALKING).await?;
    window.close().await?;
    office.close().await
}

/// Two apps of one person: both ring, one answers, and for the other it isn't missed; what is heard in one is heard in the other.
#[tokio::test]
async fn two_apps_of_one_person_are_one() -> Result<()> {
    let _desk = DESK.lock().await;
    let mut office = Office::open(hum()).await?;
    let (laptop, desk) = (office.alice("laptop").await?, office.alice("desk").await?);
    office.bob_calls().await?;
    for window in [&laptop, &desk] {
        window.find("ringing").await?;
    }
    laptop.click("answer").await?;
    office.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    desk.wait_until_gone("[data-testid=\"ringing\"]").await?;
    laptop.wait_for(TALKING).await?;
    laptop.click("hang-up").await?;
    office.bob.happening("CALL_CLOSED", PATIENCE).await?;
    for window in [&laptop, &desk] {
        window.click("nav-calls").await?;
        window.wait_for("[data-testid=\"call-row\"][data-outcome=\"answered\"]").await?;
        assert_eq!(window.all("call-row").await?.len(), 1, "one call, and nobody missed it");
    }
    let shown = office.desktop.notifications.shown();
    assert!(
        !shown.iter().any(|one| one.actions.iter().any(|key| key == "call_back")),
        "nobody is told of a missed call: {shown:?}"
    );

    office.bob_calls().await?;
    laptop.find("ringing").await?;
    desk.click("decline").await?;
    laptop.wait_until_gone("[data-testid=\"ringing\"]").await?;
    office.bob_leaves(4.0).await?;
    for window in [&laptop, &desk] {
        window.click("nav-mailbox").await?;
        window.wait_for("[data-testid=\"message-row\"][data-state=\"new\"]").await?;
        window.wait_for("[data-testid=\"new-count\"]").await?;
    }
    laptop.click("play").await?;
    desk.click("folder-all").await?;
    desk.wait_for("[data-testid=\"message-row\"][data-state=\"heard\"]").await?;
    desk.wait_until_gone("[data-testid=\"new-count\"]").await?;
    laptop.close().await?;
    desk.close().await?;
    office.close().await
}

/// The headset is pulled out while somebody speaks: the call goes on at the loudspeaker, and the window says so; it comes back.
#[tokio::test]
async fn a_call_survives_its_headset() -> Result<()> {
    let _desk = DESK.lock().await;
    let mut office = Office::open(hum()).await?;
    let headset = office.desktop.plug_in("headset").await?;
    let window = office.alice("alice").await?;
    window.click("nav-settings").await?;
    window.choose("speaker", "headset").await?;
    office.bob_calls().await?;
    let (in_ear, at_desk) = (office.desktop.listen_at("headset").await?, office.desktop.listen().await?);
    window.click("answer").await?;
    office.bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    in_ear.hears(TONE_HZ).await?;
    drop(in_ear);

    office.desktop.pull_out(headset).await?;
    window.wait_for("[data-testid=\"toast\"][data-about=\"audio\"]").await?;
    at_desk.hears(TONE_HZ).await?;
    window.wait_for(TALKING).await?;

    let _headset = office.desktop.plug_in("headset").await?;
    let in_ear = office.desktop.listen_at("headset").await?;
    in_ear.hears(TONE_HZ).await?;
    assert!(window.has(TALKING).await?, "the call goes on");
    window.click("hang-up").await?;
    office.bob.happening("CALL_CLOSED", Duration::from_secs(10)).await?;
    window.close().await?;
    office.close().await
}
