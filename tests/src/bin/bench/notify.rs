//! From the caller's hang-up to the notification on the bus and the row on the screen.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::DOMAIN,
    process::{self, PATIENCE},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::app::{Desk, percentile, rounded};

const MESSAGES: usize = 50;
/// So many calls at once at most.
const AT_ONCE: usize = 12;
/// Between two hang-ups.
const APART: Duration = Duration::from_secs(2);

/// Notes when a frame with a message's row has been handed to the screen, in milliseconds since 1970.
const WATCH: &str = r#"
    globalThis.seen = {};
    new MutationObserver(() => {
        for (const row of document.querySelectorAll("[data-testid=message-row]")) {
            const id = row.dataset.messageId;
            if (id in globalThis.seen) continue;
            globalThis.seen[id] = { text: row.textContent, at: null };
            requestAnimationFrame(() => setTimeout(() => (globalThis.seen[id].at = Date.now())));
        }
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
"#;

pub(crate) async fn run(_arguments: &[String]) -> Result<Value> {
    let desk = Desk::with_messages(0).await?;
    let window = desk.open().await?;
    window.run(WATCH, Value::Null).await?;
    let speech = desk.desktop.folder().join("speech.wav");
    let said = sound::speech()?;
    let long = (0..12).fold(Sound::silence(1.0), |all, _| all.then(&said));
    long.save(&speech)?;
    let ended = calls(&desk, &speech).await?;
    process::eventually("every message has a row and a notification", PATIENCE, || async {
        let told = desk.desktop.notifications.shown().iter().filter(|one| is_message(&one.actions)).count();
        let seen = window.run("return Object.values(globalThis.seen).filter(({ at }) => at).length", Value::Null).await?;
        Ok((told >= MESSAGES && seen.as_u64() >= Some(MESSAGES as u64)).then_some(()))
    })
    .await?;
    let rows = window.run("return Object.values(globalThis.seen)", Value::Null).await?;
    let rows = rows.as_array().context("no rows")?;
    let (mut notified, mut shown) = (Vec::new(), Vec::new());
    for (name, hung_up) in &ended {
        let notification = desk.desktop.notifications.shown().into_iter().find(|one| one.summary.contains(name.as_str()));
        notified.push(millis(notification.with_context(|| format!("nothing tells of {name}"))?.at)? - hung_up);
        let row = rows.iter().find(|row| row["text"].as_str().is_some_and(|text| text.contains(name.as_str())));
        let at = row.and_then(|row| row["at"].as_f64()).with_context(|| format!("{name} has no row"))?;
        shown.push(at - hung_up);
    }
    ensure!(notified.len() == MESSAGES, "only {} messages", notified.len());
    window.close().await?;
    desk.hosted.stop().await?;
    Ok(json!({
        "n": MESSAGES,
        "notification_p50_ms": rounded(percentile(&notified, 50)),
        "notification_p95_ms": rounded(percentile(&notified, 95)),
        "row_p50_ms": rounded(percentile(&shown, 50)),
        "row_p95_ms": rounded(percentile(&shown, 95)),
    }))
}

fn is_message(actions: &[String]) -> bool {
    actions.iter().any(|action| action == "play")
}

fn millis(time: SystemTime) -> Result<f64> {
    Ok(time.duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0)
}

/// Who left a message, and when they hung up. Calls overlap; nobody hangs up within two seconds of somebody else.
async fn calls(desk: &Desk, speech: &Path) -> Result<BTreeMap<String, f64>> {
    let (places, gate) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Mutex::new(Instant::now())));
    let mut calls = JoinSet::new();
    for nth in 0..MESSAGES {
        let (places, gate, speech) = (Arc::clone(&places), Arc::clone(&gate), speech.to_owned());
        let target = format!("dial sip:voicemail@{};transport=udp;target=sip:1001@{DOMAIN}", desk.hosted.sip_udp);
        calls.spawn(async move {
            let _place = places.acquire().await?;
            call(nth, &target, speech, &gate).await
        });
    }
    let mut ended = BTreeMap::new();
    while let Some(call) = calls.join_next().await {
        let (name, hung_up) = call??;
        ended.insert(name, hung_up);
        crate::say(&format!("{} of {MESSAGES}", ended.len()));
    }
    Ok(ended)
}

async fn call(nth: usize, target: &str, speech: PathBuf, gate: &Mutex<Instant>) -> Result<(String, f64)> {
    let name = format!("Caller {nth:02}");
    let account = format!("\"{name}\" <sip:+493090000{nth:02}@caller.example>;regint=0;audio_codecs=PCMU");
    let mut caller = Baresip::start(&Setup { account, speech, rate: sound::RATE }).await?;
    caller.command(target).await?;
    caller.happening("CALL_ESTABLISHED", PATIENCE).await?;
    caller.hears(0.4, PATIENCE).await?;
    // Straight to the beep.
    caller.command("sndcode #").await?;
    sleep(Duration::from_secs(10 + nth as u64 * 7 % 51)).await;
    let mut last = gate.lock().await;
    sleep_until(*last + APART).await;
    let hung_up = millis(SystemTime::now())?;
    caller.command("hangup").await?;
    *last = Instant::now();
    caller.happening("CALL_CLOSED", PATIENCE).await?;
    Ok((name, hung_up))
}
