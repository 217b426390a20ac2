//! The lamps of somebody else's desk phones: messages that wait, and colleagues who are on the phone.

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, BOB, DOMAIN, Hosted},
    process::PATIENCE,
    sipp::Watching,
    sound::{self, Sound},
};
use anyhow::{Context, Result};

/// Waits until the lamp is told something, and says what: whether it is lit, and how many messages are new and old.
async fn told(phone: &mut Baresip) -> Result<(bool, u32, u32)> {
    let summary = phone.happening("MWI_NOTIFY", PATIENCE).await?.parameter;
    let line = |name: &str| {
        let found = summary.lines().find_map(|line| line.strip_prefix(name));
        found.with_context(|| format!("no {name} in {summary:?}"))
    };
    let (new, old) = line("Voice-Message: ")?.split_once('/').context("no counts")?;
    let old = old.split(' ').next().unwrap_or_default();
    Ok((line("Messages-Waiting: ")? == "yes", new.parse()?, old.parse()?))
}

#[tokio::test]
async fn the_lamp_is_lit_by_a_message_and_goes_out_when_it_is_heard() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &ALICE).await?;
    let phone = hosted::add_phone(&data, ALICE.name).await?;
    let hosted = Hosted::start(&data, &[]).await?;
    let api = hosted.sign_in(ALICE.name).await?;
    let speech = folder.path().join("speech.wav");
    Sound::silence(1.5).then(&sound::reply()?).save(&speech)?;
    let setup = |account: String| Setup { account, speech: speech.clone(), rate: sound::RATE };

    let mut desk = Baresip::start(&setup(phone.account(&ALICE, hosted.sip_udp, ";mwi=yes"))).await?;
    desk.registered().await?;
    assert_eq!(told(&mut desk).await?, (false, 0, 0), "nothing yet");

    // Straight to the mailbox: the desk phone must not ring for it.
    let caller = "\"Caller\" <sip:+4930901821@caller.example>;regint=0;audio_codecs=PCMU";
    let mut caller = Baresip::start(&setup(caller.to_owned())).await?;
    caller.command(&format!("dial sip:voicemail@{};target=sip%3A1001%40{DOMAIN}", hosted.sip_udp)).await?;
    caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
    caller.hears(0.4, PATIENCE).await?;
    caller.command("sndcode #").await?;
    caller.happening("CALL_CLOSED", PATIENCE).await?;
    assert_eq!(told(&mut desk).await?, (true, 1, 0), "a new message");
    let message = api.wait_for_messages(1, PATIENCE).await?.remove(0);
    assert_eq!(message["reason"], "direct", "{message}");

    let steps = [("heard", (false, 0, 1)), ("new", (true, 1, 0)), ("save", (false, 0, 1)), ("delete", (false, 0, 0))];
    for (action, expected) in steps {
        api.act(&message, action).await?;
        assert_eq!(told(&mut desk).await?, expected, "after {action}");
    }
    api.act(&message, "restore").await?;
    assert_eq!(told(&mut desk).await?, (false, 0, 1), "after restore");
    hosted.stop().await
}

#[tokio::test]
async fn a_colleagues_lamp_shows_a_call_from_its_begin_to_its_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    for person in [&ALICE, &BOB] {
        hosted::add_person(&data, person).await?;
    }
    let (alices, bobs) = (hosted::add_phone(&data, ALICE.name).await?, hosted::add_phone(&data, BOB.name).await?);
    let hosted = Hosted::start_wary(&data, &[]).await?;
    let speech = folder.path().join("speech.wav");
    Sound::silence(1.5).then(&sound::reply()?).save(&speech)?;
    let lamp = Watching::start(hosted.sip_udp, &bobs, BOB.extension, ALICE.extension).await?;

    let account = alices.account(&ALICE, hosted.sip_udp, "");
    let mut desk = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
    desk.registered().await?;
    // Bob has no phone that rings: his mailbox answers, and Alice is on the phone.
    desk.command(&format!("dial sip:{}@{DOMAIN}", BOB.extension)).await?;
    desk.happening("CALL_ESTABLISHED", PATIENCE).await?;
    desk.hears(0.4, PATIENCE).await?;
    desk.command("hangup").await?;
    lamp.lit_and_out().await?;
    hosted.stop().await
}
