//! A test call with a phone that rings: it is not to be answered, and nothing of it is missed.

use std::time::Duration;

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, Api, Hosted, Person},
    process::{self, PATIENCE},
    sound::{self, Sound},
};
use anyhow::Result;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Ringing, greeting and sentence.
const WHOLE: Duration = Duration::from_secs(60);

async fn over(api: &Api) -> Result<Value> {
    process::eventually("the test call is over", WHOLE, || async {
        let call = api.get("me/test-call").await?;
        Ok((call["stage"] == "over").then_some(call))
    })
    .await
}

async fn desk(hosted: &Hosted, phone: &hosted::Phone, folder: &std::path::Path) -> Result<Baresip> {
    let speech = folder.join("speech.wav");
    Sound::silence(1.5).save(&speech)?;
    let account = phone.account(&ALICE, hosted.sip_udp, ";mediaenc=srtp-mand");
    let mut desk = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
    desk.registered().await?;
    Ok(desk)
}

#[tokio::test]
async fn a_test_call_rings_and_is_taken_by_the_mailbox_unless_somebody_answers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &Person { ring_s: 5, language: "de", ..ALICE }).await?;
    let phone = hosted::add_phone(&data, ALICE.name).await?;
    // Where all sound is to be encrypted, the test call's is.
    let hosted = Hosted::start_wary(&data, &["--srtp", "require"]).await?;
    let api = hosted.sign_in(ALICE.name).await?;
    let mut desk = desk(&hosted, &phone, folder.path()).await?;

    let begun = api.send(Method::POST, "me/test-call", None).await?;
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let rings = desk.happening("CALL_INCOMING", PATIENCE).await?;
    let shown = &rings.parameter;
    desk.happening("CALL_CLOSED", PATIENCE).await?;
    let call = over(&api).await?;
    assert_eq!((&call["failure"], &call["rang"], &call["reason"]), (&json!(null), &json!(true), &json!("no_answer")), "{call}");
    assert_eq!(call["quiet"], json!(null));
    let messages = api.messages().await?;
    assert_eq!((messages.len(), &messages[0]["id"], &messages[0]["test"]), (1, &call["message"], &json!(true)));
    assert_eq!(messages[0]["caller"]["name"], "Testanruf", "{shown}");

    // Answered it is no test of the mailbox.
    assert_eq!(api.send(Method::POST, "me/test-call", None).await?.status(), StatusCode::ACCEPTED);
    desk.happening("CALL_INCOMING", PATIENCE).await?;
    desk.command("accept").await?;
    desk.happening("CALL_CLOSED", PATIENCE).await?;
    let call = over(&api).await?;
    assert_eq!((&call["failure"], &call["rang"]), (&json!("answered"), &json!(true)), "{call}");
    assert_eq!(api.messages().await?.len(), 1);
    assert_eq!(api.call_records().await?.len(), 0, "nobody called");
    hosted.stop().await
}
