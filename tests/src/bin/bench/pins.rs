//! Somebody guesses the PIN of a mailbox by phone, from many numbers at once: `pins [TRIES]`, 10,000 by default.
//!
//! From the middle on the right PIN is among the guesses, and the key that plays a new message is pressed after each: who is let in
//! leaves a message that was heard.

use std::time::{Duration, Instant};

use aftertone_tests::{
    hosted::{self, ALICE, Hosted},
    sipp::{self, Pace},
    sound,
};
use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use crate::say;

const TRIES: u32 = 10_000;
/// Guesses of the same PIN in a row.
const BATCH: u32 = 500;
const PIN: &str = "739182";
/// Of who leaves the message: the greeting takes nine.
const STAY: Duration = Duration::from_secs(15);

pub(crate) async fn run(arguments: &[String]) -> Result<Value> {
    let tries = arguments.first().map_or(Ok(TRIES), |text| text.parse()).context("a number of tries is expected")?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &ALICE).await?;
    let hosted = Hosted::start_wary(&data, &["--trust", "127.0.0.1/32"]).await?;
    let alice = hosted.sign_in(ALICE.name).await?;
    alice.send(Method::PUT, "me/pin", Some(&json!({"pin": PIN}))).await?.error_for_status()?;
    let speech = sound::sentence()?;
    let load = sipp::Load { server: hosted.sip_udp, extension: "*981001", calls: 1, speech: &speech, hold: STAY };
    sipp::run(&load).await?;
    alice.wait_for_messages(1, Duration::from_secs(60)).await?;

    let pace =
        Pace { at_once: 30, pause: Duration::from_millis(5), hold: Duration::from_millis(100), limit: Duration::from_secs(300) };
    let (begun, mut right) = (Instant::now(), 0);
    for done in (0..tries).step_by(BATCH as usize) {
        let calls = BATCH.min(tries - done);
        // Every other batch of the second half.
        let is_right = done * 2 >= tries && done / BATCH % 2 == 1;
        let guess = if is_right { PIN.to_owned() } else { format!("{:06}", 200_417 + done) };
        right += if is_right { calls } else { 0 };
        sipp::press(hosted.sip_udp, "*98", calls, &format!("1001#{guess}#1"), pace).await?;
        say(&format!("{} of {tries} tries", done + calls));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let message = alice.messages().await?.remove(0);
    let signs_in = hosted.sign_in(ALICE.name).await.is_ok();
    hosted.stop().await?;
    Ok(json!({
        "bench": "pins",
        "tries": tries,
        "right_ones_among_them": right,
        "tries_per_s": (f64::from(tries) / seconds).round(),
        "somebody_was_let_in": message["state"] != "new",
        "owner_signs_in": signs_in,
    }))
}
