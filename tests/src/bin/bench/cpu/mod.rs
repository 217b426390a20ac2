//! What a call takes of the processor, in per cent of one core: of our phone without a window (`aftertone-phone`, the session of
//! the desktop app), of our server that relays it, and of the baresip at its other end, by the processor time of their own
//! processes while both speak. Then what cleaning the microphone's voice takes, and how often a call asks for memory.

mod memory;
mod voice;

use std::{path::Path, time::Duration};

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, BOB, DOMAIN, Hosted, Person},
    process::{self, PATIENCE, Running},
    sound::{self, Sound},
};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::{say, sip::usage::Usage};

/// A call's name, and what baresip is set up with for it.
const CALLS: [(&str, &str); 5] = [
    ("pcmu", ";audio_codecs=PCMU"),
    ("pcma", ";audio_codecs=PCMA"),
    ("g722", ";audio_codecs=G722/16000/1"),
    ("opus", ";audio_codecs=opus/48000/2"),
    ("opus_dtls", ";audio_codecs=opus/48000/2;mediaenc=dtls_srtp;medianat=ice"),
];
/// How a call begins isn't counted.
const SETTLES: Duration = Duration::from_secs(3);

/// Of one core, in per cent.
struct Shares {
    phone: f64,
    server: f64,
    baresip: f64,
}

pub(crate) async fn run(arguments: &[String]) -> Result<Value> {
    let seconds = arguments.first().map_or(Ok(30), |text| text.parse()).context("the seconds of each call")?;
    let lasts = Duration::from_secs(seconds);
    let (mut ours, mut relayed, mut theirs) = (Map::new(), Map::new(), Map::new());
    for (name, account) in CALLS {
        let shares = call(account, lasts).await.context(name)?;
        say(&format!("{name}: phone {:.2} %, server {:.2} %, baresip {:.2} %", shares.phone, shares.server, shares.baresip));
        ours.insert(name.into(), round(shares.phone));
        relayed.insert(name.into(), round(shares.server));
        theirs.insert(name.into(), round(shares.baresip));
    }
    let voice = voice::percent()?;
    let allocations = memory::allocations_per_s(lasts).await?;
    Ok(json!({
        "ours": {
            "g711_pct": ours["pcmu"], "opus_dtls_pct": ours["opus_dtls"], "voice_processing_pct": round(voice),
            "allocations_per_s": allocations.round(), "relayed_call_pct": relayed["pcmu"],
            "by_codec": ours, "relayed_by_codec": relayed,
        },
        "baresip": { "g711_pct": theirs["pcmu"], "opus_dtls_pct": theirs["opus_dtls"], "by_codec": theirs },
    }))
}

fn round(percent: f64) -> Value {
    json!((percent * 100.0).round() / 100.0)
}

/// Bob's phone calls Alice's, which is ours, and both speak all the time.
async fn call(account: &str, lasts: Duration) -> Result<Shares> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    for person in [ALICE, BOB] {
        hosted::add_person(&data, &Person { ring_s: 30, ..person }).await?;
    }
    let bobs = hosted::add_phone(&data, BOB.name).await?;
    let hosted = Hosted::start_wary(&data, &[]).await?;
    let speech = folder.path().join("speech.wav");
    sound::speech()?.repeated((SETTLES + lasts).as_secs_f64() + 60.0).save(&speech)?;
    let account = bobs.account(&BOB, hosted.sip_udp, account);
    let mut bob = Baresip::start(&Setup { account, speech: speech.clone(), rate: sound::RATE }).await?;
    bob.registered().await?;
    let alice = phone(&hosted, &speech, folder.path()).await?;
    bob.command(&format!("dial sip:{}@{DOMAIN}", ALICE.extension)).await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    bob.hears(1.0, PATIENCE).await?;
    sleep(SETTLES).await;
    let usages = [Usage::of(alice.id()?), Usage::of(hosted.process()?), Usage::of(bob.process()?)];
    let used = || usages.iter().map(Usage::cpu_s).collect::<Result<Vec<_>>>();
    let (before, begun) = (used()?, Instant::now());
    sleep(lasts).await;
    let (after, passed) = (used()?, begun.elapsed().as_secs_f64());
    let share = |which: usize| (after[which] - before[which]) * 100.0 / passed;
    let shares = Shares { phone: share(0), server: share(1), baresip: share(2) };
    bob.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    let heard = Sound::load(&bob.heard()?)?;
    anyhow::ensure!(heard.level() > -50.0, "nothing was heard in it");
    hosted.stop().await?;
    Ok(shares)
}

async fn phone(hosted: &Hosted, speech: &Path, folder: &Path) -> Result<Running> {
    let mut command = process::clean_command(process::built("aftertone-phone")?);
    command.args(["--server", &hosted.http, "--user", ALICE.name, "--password-stdin"]);
    command.args(["wait", "--answer", "--play"]).arg(speech);
    let mut running = process::start_with_line(&mut command, &hosted::password(ALICE.name), &folder.join("phone.log")).await?;
    while !running.line(PATIENCE).await?.contains("registered") {}
    running.ignore_output();
    Ok(running)
}
