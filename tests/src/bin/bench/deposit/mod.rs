//! Many callers leave a message at once, at our server and at Asterisk's voicemail in one run:
//! `deposit [CALLS [SECONDS [MOST]]]`.
//!
//! The same callers go at each. While all of them speak, the processor time and the memory of the server's own processes are
//! measured; after they have hung up, when each message is there; and then whether every packet of everybody is in it.

mod asterisk;
mod callers;
mod ours;
mod words;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use aftertone_media::{compact::compact, container::Pcm};
use aftertone_tests::sound;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use self::{
    callers::{Going, Load},
    words::Words,
};
use crate::{say, sip::usage::Usage};

/// Messages are spread over so many mailboxes.
const MAILBOXES: usize = 10;
/// How often it is looked what has happened.
const LOOK: Duration = Duration::from_millis(20);
/// After the last hang-up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Asterisk does not carry more on two cores, and the run would not end; what one call takes can be compared all the same.
const MOST_AT_ASTERISK: usize = 500;
/// Seconds of speech that are made small, to see what that takes.
const MADE_SMALL_S: f64 = 120.0;

/// One voicemail under load.
trait Voicemail {
    /// How many messages its mailboxes have.
    async fn count(&self) -> Result<usize>;
    /// The files of their sound.
    async fn sounds(&self) -> Result<Vec<PathBuf>>;
}

/// What was measured while everybody spoke.
struct Capture {
    cpu_pct_per_call: f64,
    kb_per_call: f64,
}

pub(crate) async fn run(arguments: &[String]) -> Result<Value> {
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse().context("a number is expected"));
    let (calls, seconds) = (usize::try_from(number(0, 1_000)?)?.max(1), number(1, 30)?.max(5));
    say(&format!("{calls} callers, {seconds} s each"));
    let words = Arc::new(Words::new(seconds)?);
    let most = arguments.get(2).map(|text| text.parse::<usize>().context("a number of calls is expected")).transpose()?;
    let (voicemail, sip, targets) = ours::start(most, seconds).await?;
    let usage = Usage::of(voicemail.process()?);
    let load = Load { server: sip, targets, calls, seconds };
    let ours = measure("ours", &load, &words, &voicemail, &usage).await?;
    let transcode = transcode_cpu_s_per_min()?;
    drop(voicemail);
    let there = calls.min(MOST_AT_ASTERISK);
    let (voicemail, sip, targets) = asterisk::start(there).await?;
    let usage = Usage::of(voicemail.process()?);
    let load = Load { server: sip, targets, calls: there, seconds };
    let asterisk = measure("asterisk", &load, &words, &voicemail, &usage).await?;
    let ratio = |name: &str| match (ours[name].as_f64(), asterisk[name].as_f64()) {
        (Some(ours), Some(asterisk)) if asterisk > 0.0 => json!(round(ours / asterisk)),
        (Some(_) | None, _) => Value::Null,
    };
    let mut result = json!({"bench": "deposit", "calls": calls, "seconds_each": seconds, "transcode_cpu_s_per_min": transcode});
    let compared = ["capture_cpu_pct_per_call", "rss_kb_per_call", "hangup_to_committed_p95_ms"];
    result["ratio"] = compared.iter().map(|name| ((*name).to_owned(), ratio(name))).collect::<serde_json::Map<_, _>>().into();
    if let (Some(result), Some(ours)) = (result.as_object_mut(), ours.as_object()) {
        result.extend(ours.clone());
    }
    result["asterisk"] = asterisk;
    Ok(result)
}

async fn measure(name: &str, load: &Load, words: &Arc<Words>, voicemail: &impl Voicemail, usage: &Usage) -> Result<Value> {
    let idle_kb = usage.memory_kb()?;
    let going = Arc::new(Going::default());
    let calling = {
        let (load, words, going) = (load.clone(), Arc::clone(words), Arc::clone(&going));
        tokio::task::spawn_blocking(move || callers::run(&load, &words, &going))
    };
    let capture = capture(load.calls, &going, usage, idle_kb).await.with_context(|| format!("{name}: speaking"))?;
    let accepted = load.calls - going.turned_away.load(Ordering::Relaxed);
    let arrivals = arrivals(accepted, voicemail, || calling.is_finished()).await?;
    calling.await?.with_context(|| format!("{name}: calling"))?;
    let sounds = voicemail.sounds().await?;
    let (mut lost, mut wrong, mut whose) = (0, 0, std::collections::BTreeSet::new());
    for sound in &sounds {
        let found = words.find(&tokio::fs::read(sound).await?).with_context(|| sound.display().to_string())?;
        lost += found.lost;
        wrong += usize::from(!found.has_right_length);
        ensure!(whose.insert(found.caller), "{name}: caller {} has two messages", found.caller);
    }
    let result = json!({
        "calls": load.calls,
        "delivered": sounds.len(),
        "turned_away": going.turned_away.load(Ordering::Relaxed),
        "told_to_come_back": going.told_to_come_back.load(Ordering::Relaxed),
        "lost_packets": lost,
        "wrong_durations": wrong,
        "capture_cpu_pct_per_call": capture.cpu_pct_per_call,
        "rss_kb_per_call": capture.kb_per_call,
        "hangup_to_committed_p95_ms": p95_ms(&going.hang_ups(), &arrivals),
    });
    say(&format!("{name}: {result}"));
    Ok(result)
}

/// From when everybody speaks until the first hangs up.
async fn capture(calls: usize, going: &Going, usage: &Usage, idle_kb: f64) -> Result<Capture> {
    let mut looking = tokio::time::interval(LOOK);
    let mut began = None;
    let (mut last, mut speaking) = (None, 0);
    while going.hang_ups().is_empty() {
        looking.tick().await;
        ensure!(!going.has_failed(), "nobody's sound can be sent");
        speaking = going.speaking.load(Ordering::Relaxed);
        if speaking + going.turned_away.load(Ordering::Relaxed) < calls {
            continue;
        }
        ensure!(speaking > 0, "everybody was turned away");
        match began {
            None => began = Some((Instant::now(), usage.cpu_s()?)),
            Some(_) => last = Some((Instant::now(), usage.cpu_s()?)),
        }
    }
    let kb = usage.memory_kb()?;
    let ((from, cpu_before), (to, cpu_after)) = began.zip(last).context("the first hung up before the last one spoke")?;
    let per_call = |value: f64| value / speaking.max(1) as f64;
    let share = (cpu_after - cpu_before) / (to - from).as_secs_f64().max(0.001);
    Ok(Capture { cpu_pct_per_call: thousandths(per_call(100.0 * share)), kb_per_call: round(per_call((kb - idle_kb).max(0.0))) })
}

/// When each message was there: as many as were accepted, or as many as come in time.
async fn arrivals(accepted: usize, voicemail: &impl Voicemail, over: impl Fn() -> bool) -> Result<Vec<Instant>> {
    let mut looking = tokio::time::interval(LOOK);
    let (mut arrivals, mut last) = (Vec::new(), None);
    while arrivals.len() < accepted {
        looking.tick().await;
        let (count, now) = (voicemail.count().await?, Instant::now());
        arrivals.resize(count.max(arrivals.len()), now);
        if over() {
            let since = *last.get_or_insert(now);
            if now > since + PATIENCE {
                break;
            }
        }
    }
    Ok(arrivals)
}

/// The first hang-up and the first message, the second and the second, and so on.
fn p95_ms(hang_ups: &[Instant], arrivals: &[Instant]) -> f64 {
    let mut took: Vec<_> = arrivals.iter().zip(hang_ups).map(|(there, gone)| there.saturating_duration_since(*gone)).collect();
    took.sort();
    let place = (took.len() * 95).div_ceil(100).saturating_sub(1);
    round(took.get(place).map_or(0.0, |took| took.as_secs_f64() * 1_000.0))
}

/// What the job that makes sounds small takes of one core for a minute of sound: it runs an hour after the call.
/// Speech alone: the marks of the callers' packets are noise that no codec keeps.
fn transcode_cpu_s_per_min() -> Result<f64> {
    let pcm = Pcm { rate: 8_000, samples: sound::speech()?.repeated(MADE_SMALL_S).0 };
    let began = Instant::now();
    compact(&pcm, 1)?;
    Ok(thousandths(began.elapsed().as_secs_f64() * 60.0 / pcm.duration().as_secs_f64()))
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn thousandths(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
