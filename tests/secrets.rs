//! Nothing that lets somebody in stands in a log, however much is logged.

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, BOB, DOMAIN, Hosted},
    process::{self, PATIENCE},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

/// Signs in with an invitation; what it was, and the token that it became.
async fn invited(hosted: &Hosted) -> Result<[String; 2]> {
    let answer = hosted.admin(&["invite", BOB.name, "--server", &hosted.http], "").await?;
    let invitation = answer.split("token=").nth(1).context("no invitation")?.split_whitespace().next().context("no token")?;
    let body = json!({"invitation": invitation, "device_name": "a test"});
    let answer = hosted.anonymous()?.send(Method::POST, "sign-in", Some(&body)).await?.error_for_status()?;
    let answer: Value = answer.json().await?;
    Ok([invitation.to_owned(), answer["token"].as_str().context("no token")?.to_owned()])
}

/// A desk phone that encrypts by keys in its offers calls the next desk; then it leaves a message.
async fn calls(hosted: &Hosted, phone: &hosted::Phone, folder: &std::path::Path) -> Result<()> {
    let speech = folder.join("speech.wav");
    Sound::silence(60.0).save(&speech)?;
    let account = phone.account(&ALICE, hosted.sip_udp, ";mediaenc=srtp-mand;audio_codecs=PCMU");
    let mut desk = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
    desk.registered().await?;
    let mut app = process::clean_command(process::built("aftertone-phone")?);
    app.args(["--server", &hosted.http, "--user", BOB.name, "--password-stdin", "wait", "--answer", "--for", "2s"]);
    let mut app = process::start_with_line(&mut app, &hosted::password(BOB.name), &folder.join("app.log")).await?;
    ensure!(app.line(PATIENCE).await?.contains("\"registered\""));
    for _ in 0..2 {
        desk.command(&format!("dial sip:1002@{DOMAIN}")).await?;
        desk.happening("CALL_ESTABLISHED", PATIENCE).await?;
        desk.hears(1.0, PATIENCE).await?;
        desk.command("sndcode #").await?;
        desk.command("hangup").await?;
        desk.happening("CALL_CLOSED", PATIENCE).await?;
    }
    app.terminate(PATIENCE).await.map(drop)
}

#[tokio::test]
async fn whatever_is_logged_lets_nobody_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    for person in [ALICE, BOB] {
        hosted::add_person(&data, &person).await?;
    }
    let phone = hosted::add_phone(&data, ALICE.name).await?;
    let hosted = Hosted::start_verbose(&data, &["--srtp", "offer"]).await?;
    let api = hosted.sign_in(ALICE.name).await?;
    const WRONG: &str = "nearly the right sentence";
    let wrong = json!({"user": ALICE.name, "password": WRONG, "device_name": "a test"});
    ensure!(hosted.anonymous()?.send(Method::POST, "sign-in", Some(&wrong)).await?.status() == 401);
    let [invitation, token] = invited(&hosted).await?;
    calls(&hosted, &phone, folder.path()).await?;
    let passwords = [ALICE, BOB].map(|person| hosted::password(person.name));
    let secrets = [&passwords[0], &passwords[1], WRONG, api.token(), &invitation, &token, &phone.password];
    hosted.stop().await?;

    let log = std::fs::read_to_string(data.with_extension("log"))?;
    // It does say much.
    ensure!(log.contains("TRACE") && log.contains("DEBUG") && log.lines().count() > 200, "{} lines", log.lines().count());
    // Keys of a call's sound stand in its description (RFC 4568, RFC 8839), what proves a password in its header (RFC 7616).
    for secret in secrets.into_iter().chain(["inline:", "a=ice-pwd:", "response=\"", "Bearer "]) {
        let told = log.lines().find(|line| line.contains(secret));
        ensure!(told.is_none(), "{secret:?} is in the log: {}", told.unwrap_or_default());
    }
    Ok(())
}
