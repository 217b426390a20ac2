//! How a message of a real phone sounds in the real window: only what is heard counts; seeking, speed at the same pitch, silence left
//! out, volume, device, file.

#![expect(clippy::print_stdout, reason = "what was measured is worth seeing")]

use std::path::Path;

use aftertone_tests::{
    desktop::Listening, hosted::Api, office::Office, process, process::PATIENCE, sound::Sound, window::Window,
};
use anyhow::{Context, Result, ensure};
use fantoccini::key::Key;

const TONE_HZ: f64 = 440.0;
/// Bob says a tone and nothing in turn, so much of each.
const TURN_S: f64 = 2.5;
const MESSAGE_S: f64 = 10.0;

fn pattern() -> Sound {
    Sound::tone(TONE_HZ, TURN_S).then(&Sound::silence(TURN_S)).repeated(180.0)
}

/// How a message sounds: only what is heard counts; seeking, speed at the same pitch, silence left out, volume, device, file.
#[tokio::test]
async fn a_message_sounds_as_one_wants() -> Result<()> {
    let mut office = Office::open(pattern()).await?;
    let _headset = office.desktop.plug_in("headset").await?;
    let window = office.alice("alice").await?;
    let alice = office.hosted.sign_in("alice").await?;
    office.message(&window, 1, MESSAGE_S).await?;

    // Nobody heard it: the volume is nothing.
    keys(&window, "volume", Key::Home, 1).await?;
    window.choose("rate", "2×").await?;
    let silent = played(&window, office.desktop.listen().await?).await?;
    assert!(silent.sounding_s() < 0.1, "{} s are heard", silent.sounding_s());
    assert!(
        window.has("[data-testid=\"message-row\"][data-state=\"new\"]").await? && states(&alice).await? == ["new"],
        "played without a sound"
    );

    // Ten steps of ten per cent.
    keys(&window, "volume", Key::Right, 10).await?;
    let fast = played(&window, office.desktop.listen().await?).await?;
    process::eventually("it counts as heard", PATIENCE, || async { Ok((states(&alice).await? == ["heard"]).then_some(())) })
        .await?;
    window.click("export").await?;
    let file = office.file("saved.wav");
    save_as(&office, &file).await?;
    let saved = Sound::load_mu_law(&file)?;
    window.find_css("[data-testid=\"toast\"][data-about=\"exported\"]").await?;
    window.click("skip-silence").await?;
    let skipped = played(&window, office.desktop.listen().await?).await?;
    window.click("skip-silence").await?;
    window.choose("rate", "0.75×").await?;
    keys(&window, "volume", Key::Left, 5).await?;
    let slow = played(&window, office.desktop.listen().await?).await?;
    for (what, sound) in [("file", &saved), ("2×", &fast), ("2× without pauses", &skipped), ("0.75×, half as loud", &slow)] {
        let loud: Vec<i16> =
            sound.0.chunks_exact(160).filter(|frame| Sound(frame.to_vec()).level() > -45.0).flatten().copied().collect();
        let (length, pause, level) = (sound.sounding_s(), sound.longest_pause_s(), Sound(loud).level());
        println!("{what}: {length:.2} s at {:.0} Hz and {level:.1} dBFS, the longest pause {pause:.2} s", sound.pitch());
        assert!((sound.pitch() - TONE_HZ).abs() < 15.0, "{what}: {} Hz", sound.pitch());
    }
    assert!((saved.seconds() - MESSAGE_S).abs() < 1.5, "the file has {} s", saved.seconds());
    let near = |heard: &Sound, rate: f64| (heard.sounding_s() * rate / saved.sounding_s() - 1.0).abs() < 0.12;
    assert!(near(&fast, 2.0), "at 2×: {} of {} s", fast.sounding_s(), saved.sounding_s());
    assert!(near(&slow, 0.75), "at 0.75×: {} of {} s", slow.sounding_s(), saved.sounding_s());
    assert!(skipped.longest_pause_s() < fast.longest_pause_s() / 2.0, "pauses are left out: {}", skipped.longest_pause_s());
    assert!(slow.level() < fast.level() - 3.0, "half the volume: {} and {}", slow.level(), fast.level());

    // Into the middle by the waveform, then by keys, at another device.
    window.choose("player-device", "headset").await?;
    let in_ear = office.desktop.listen_at("headset").await?;
    window.click("seek").await?;
    let middle = saved.seconds() / 2.0;
    process::eventually("a click in the middle leads there", PATIENCE, || async {
        Ok(((position(&window).await? - middle).abs() < 0.5).then_some(()))
    })
    .await?;
    window.find("pause").await.context("it plays from there")?;
    in_ear.hears(TONE_HZ).await?;
    window.click("pause").await?;
    keys(&window, "seek", Key::Home, 1).await?;
    assert!(position(&window).await? < 0.5);
    keys(&window, "seek", Key::Right, 1).await?;
    process::eventually("five seconds on", PATIENCE, || async {
        Ok(((position(&window).await? - 5.0).abs() < 0.5).then_some(()))
    })
    .await?;
    keys(&window, "seek", Key::End, 1).await?;
    process::eventually("at the end", PATIENCE, || async {
        Ok(((position(&window).await? - saved.seconds()).abs() < 1.0).then_some(()))
    })
    .await?;
    window.close().await?;
    office.close().await
}

/// Plays the open message to its end; what was heard of it.
async fn played(window: &Window, listening: Listening) -> Result<Sound> {
    window.click("play").await?;
    window.find("pause").await?;
    window.wait_for("[data-testid=\"play\"]").await?;
    // The last of it is still on its way through the sound card.
    let end = listening.so_far()?.seconds() + 0.6;
    process::eventually("it has faded", PATIENCE, || async { Ok((listening.so_far()?.seconds() > end).then_some(())) }).await?;
    listening.stop().await
}

async fn position(window: &Window) -> Result<f64> {
    let now = window.find("seek").await?.attr("aria-valuenow").await?.context("no position")?;
    Ok(now.parse::<f64>()? / 1000.0)
}

async fn keys(window: &Window, test_id: &str, key: Key, times: usize) -> Result<()> {
    for _ in 0..times {
        window.type_into(test_id, &String::from(char::from(key))).await?;
    }
    Ok(())
}

async fn states(api: &Api) -> Result<Vec<String>> {
    Ok(api.messages().await?.iter().map(|message| message["state"].as_str().unwrap_or_default().to_owned()).collect())
}

/// As a person does it in the system's own dialog.
async fn save_as(office: &Office, path: &Path) -> Result<()> {
    let xdotool = async |arguments: &[&str]| -> Result<Option<()>> {
        let done = office.desktop.command("xdotool".as_ref()).args(arguments).output().await?;
        Ok(done.status.success().then_some(()))
    };
    let dialog = ["search", "--onlyvisible", "--name", "Save|Aftertone.*file|Speichern", "windowactivate", "--sync"];
    process::eventually("the dialog is open", PATIENCE, || xdotool(&dialog)).await?;
    ensure!(xdotool(&["key", "ctrl+a"]).await?.is_some(), "no key");
    ensure!(xdotool(&["type", &path.to_string_lossy()]).await?.is_some(), "no text");
    ensure!(xdotool(&["key", "Return"]).await?.is_some(), "no key");
    process::eventually("the file is there", PATIENCE, || async { Ok(path.is_file().then_some(())) }).await
}
