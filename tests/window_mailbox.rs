//! The mailbox in the real window, with messages of a real phone: what is done with them, by mouse and by keys, in German too; and
//! the ways to sign in.

use aftertone_tests::{
    hosted::{Api, BOB},
    office::{CARLA, CONNECTED, Office},
    process,
    process::PATIENCE,
    sound::Sound,
    window::Window,
};
use anyhow::{Context, Result};
use fantoccini::key::Key;
use tokio::sync::Mutex;

/// One person sits at one machine: two windows that play at once would measure the machine.
static DESK: Mutex<()> = Mutex::const_new(());

const TONE_HZ: f64 = 440.0;
/// Bob says a tone and nothing in turn, so much of each.
const TURN_S: f64 = 2.5;

fn pattern() -> Sound {
    Sound::tone(TONE_HZ, TURN_S).then(&Sound::silence(TURN_S)).repeated(180.0)
}

fn row(state: &str) -> String {
    format!("[data-testid=\"message-row\"][data-state=\"{state}\"]")
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

/// What is done with messages: found, called back, kept, thrown away, forwarded to several people; then all by keys, in German.
#[tokio::test]
async fn messages_are_worked_on_by_mouse_and_by_keys_in_two_languages() -> Result<()> {
    let _desk = DESK.lock().await;
    let mut office = Office::open(pattern()).await?;
    let window = office.alice("alice").await?;
    office.message(&window, 1, 3.0).await?;
    office.message(&window, 2, 3.0).await?;
    let alice = office.hosted.sign_in("alice").await?;

    window.type_into("search", "brandt").await?;
    window.wait_for(&row("new")).await?;
    window.type_into("search", "xyz").await?;
    window.find("empty").await?;
    window.find("search").await?.clear().await?;
    keys(&window, "search", Key::Escape, 1).await?;
    window.wait_for(&row("new")).await?;

    window.click("call-back").await?;
    office.bob.happening("CALL_INCOMING", PATIENCE).await?;
    office.bob.command("hangup").await?;
    window.click("save").await?;
    window.click("folder-saved").await?;
    window.wait_for(&row("saved")).await?;
    window.click("folder-all").await?;
    forward_both(&office, &window).await?;
    by_keys(&office, &window, &alice).await?;
    window.close().await?;
    office.close().await
}

async fn forward_both(office: &Office, window: &Window) -> Result<()> {
    process::eventually("both are listed", PATIENCE, || async {
        Ok((window.all("message-row").await?.len() == 2).then_some(()))
    })
    .await?;
    for row in window.all("message-row").await? {
        row.find(fantoccini::Locator::Css(".pick")).await?.click().await?;
    }
    window.wait_for("[data-testid=\"marked\"][data-count=\"2\"]").await?;
    window.click("marked-forward").await?;
    for person in [BOB, CARLA] {
        window.type_into("forward-to", person.name).await?;
        window.find_css(&format!("[data-testid=\"forward-option\"][data-user=\"{}\"]", person.name)).await?.click().await?;
    }
    window.type_into("forward-note", "For you both").await?;
    window.click("forward-send").await?;
    window.wait_until_gone("[data-testid=\"forward-dialog\"]").await?;
    for person in [BOB, CARLA] {
        let forwarded = office.hosted.sign_in(person.name).await?.wait_for_messages(2, PATIENCE).await?;
        assert!(forwarded.iter().all(|message| message["forwarded"]["note"] == "For you both"), "{forwarded:?}");
    }
    if window.has("[data-testid=\"marked-clear\"]").await? {
        window.click("marked-clear").await?;
    }
    Ok(())
}

/// The main job without a mouse: the list of keys, the folders, listening, forwarding, throwing away, for ever.
async fn by_keys(office: &Office, window: &Window, alice: &Api) -> Result<()> {
    window.click("nav-settings").await?;
    window.choose("language", "Deutsch").await?;
    window.wait_for("html[lang=\"de\"]").await?;
    // To the mailbox: the second section.
    window.press_with(Key::Alt, '2').await?;
    window.find("mailbox").await?;
    window.reads("folder-trash", "Papierkorb").await?;
    window.press(&['?']).await?;
    window.reads("shortcuts-dialog", "Tastenkürzel").await?;
    window.reads("shortcuts-dialog", "endgültig löschen").await?;
    window.press(&[Key::Escape.into()]).await?;
    window.wait_until_gone("[data-testid=\"shortcuts-dialog\"]").await?;

    window.press(&['2']).await?;
    window.wait_for(&row("new")).await?;
    let selected = async || -> Result<String> {
        let open = window.find("message").await?.attr("data-message-id").await?;
        open.context("nothing is open")
    };
    window.press(&[Key::Home.into()]).await?;
    let first = selected().await?;
    window.press(&[Key::End.into()]).await?;
    process::eventually("the last one is open", PATIENCE, || async { Ok((selected().await? != first).then_some(())) }).await?;
    window.press(&['k']).await?;
    process::eventually("the first one is open", PATIENCE, || async { Ok((selected().await? == first).then_some(())) }).await?;
    let listening = office.desktop.listen().await?;
    window.press(&[' ']).await?;
    listening.hears(TONE_HZ).await?;
    window.press(&[' ']).await?;
    window.find("play").await?;

    window.press(&['f']).await?;
    window.find("forward-dialog").await?;
    window.press(&"carla".chars().chain([Key::Enter.into(), Key::Tab.into()]).collect::<Vec<_>>()).await?;
    window.press(&"Bitte".chars().collect::<Vec<_>>()).await?;
    window.press_with(Key::Control, Key::Enter.into()).await?;
    let carla = office.hosted.sign_in(CARLA.name).await?.wait_for_messages(3, PATIENCE).await?;
    assert!(carla.iter().any(|message| message["forwarded"]["note"] == "Bitte"), "{carla:?}");
    window.wait_until_gone("[data-testid=\"forward-dialog\"]").await?;

    window.press(&[Key::Delete.into(), '4']).await?;
    window.wait_for(&row("deleted")).await?;
    window.find("restore").await?;
    window.press(&[Key::Delete.into()]).await?;
    window.reads("expunge", "Wirklich").await?;
    window.press(&[Key::Delete.into()]).await?;
    window.find("empty").await?;
    process::eventually("one is left", PATIENCE, || async { Ok((states(alice).await?.len() == 1).then_some(())) }).await
}

/// An invitation comes as a picture of a QR code, or as a link that is pasted; each works once.
#[tokio::test]
async fn one_signs_in_by_a_picture_or_a_pasted_link() -> Result<()> {
    let _desk = DESK.lock().await;
    let office = Office::open(Sound::silence(1.0)).await?;
    let window = office.app("alice", &[]).await?;
    window.find("sign-in").await?;
    window.click("with-invitation").await?;
    let picture = office.file("invitation.png");
    let link = office.invitation(&["--qr", &picture.to_string_lossy()]).await?;
    window.type_into("picture", &picture.to_string_lossy()).await?;
    process::eventually("the picture is read", PATIENCE, || async {
        Ok((window.find("invitation-link").await?.prop("value").await? == Some(link.clone())).then_some(()))
    })
    .await?;
    window.click("submit").await?;
    window.wait_for(CONNECTED).await?;

    sign_out(&window).await?;
    let used_up = async |link: &str| -> Result<()> {
        window.click("with-invitation").await?;
        window.find("invitation-link").await?.clear().await?;
        window.type_into("invitation-link", link).await?;
        window.click("submit").await
    };
    used_up(&link).await?;
    window.find_css("[data-testid=\"sign-in-error\"][data-code=\"bad_invitation\"]").await?;
    used_up(&office.invitation(&[]).await?).await?;
    window.wait_for(CONNECTED).await?;
    window.close().await?;
    office.close().await
}

async fn sign_out(window: &Window) -> Result<()> {
    window.click("nav-settings").await?;
    window.click("sign-out").await?;
    window.click("sign-out-confirm").await?;
    window.find("sign-in").await.map(drop)
}
