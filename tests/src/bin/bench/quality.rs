//! How speech in Opus sounds on bad networks: PESQ wide-band (ITU-T P.862.2) through our encoder, jitter buffer and decoder,
//! and from one baresip to another through a relay that does the same harm to the same packets.
//!
//! Ours runs in virtual time; baresip needs real time. Each repetition has its own dice, the same for both.

mod fate;
mod relay;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use aftertone_media::{
    Codec,
    codec::Encoder,
    jitter::JitterConfig,
    playout::Playout,
    resample::resample,
    rtp::{RtpPacket, RtpSender},
};
use aftertone_tests::{
    baresip::{Baresip, Setup},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use fate::{CONDITIONS, Condition, Fate};
use relay::Relay;

const RATE: u32 = 16_000;
/// IPv4 and UDP; RTP's own header is counted where it is made.
const HEADERS: usize = 28;
const RTP_HEADER: usize = 12;

/// What one run came to.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    kbps: f64,
    pesq: f64,
}

type Outcomes = BTreeMap<&'static str, Vec<Outcome>>;

pub(crate) async fn run(arguments: &[String]) -> Result<Value> {
    let runs: u32 = arguments.first().map_or(Ok(10), |text| text.parse()).context("the number of repetitions")?;
    let speech = speech()?;
    let folder = tempfile::tempdir()?;
    let (talk, quiet) = (folder.path().join("speech.wav"), folder.path().join("quiet.wav"));
    save(&talk, &resample(&speech, RATE, 48_000)?)?;
    save(&quiet, &vec![0; 48_000 * 40])?;
    let (mut ours, mut theirs) = (Outcomes::new(), Outcomes::new());
    for seed in 0..runs {
        crate::say(&format!("repetition {} of {runs}", seed + 1));
        for condition in CONDITIONS {
            ours.entry(condition.name).or_default().push(through_ours(&speech, condition, seed)?);
        }
        let calls = CONDITIONS.iter().map(|condition| through_baresip(&speech, &talk, &quiet, condition, seed));
        for (condition, outcome) in CONDITIONS.iter().zip(futures_util::future::join_all(calls).await) {
            theirs.entry(condition.name).or_default().push(outcome.with_context(|| format!("baresip, {}", condition.name))?);
        }
    }
    Ok(json!({ "runs": runs, "ours": summary(&ours), "baresip": summary(&theirs) }))
}

fn summary(outcomes: &Outcomes) -> Value {
    let of = |value: fn(&Outcome) -> f64| -> BTreeMap<&str, f64> {
        outcomes.iter().map(|(name, runs)| (*name, median(runs.iter().map(value).collect()))).collect()
    };
    // The rate is the encoder's business, whatever becomes of the packets.
    let kbps = median(outcomes.values().flatten().map(|outcome| outcome.kbps).collect());
    json!({ "kbps": kbps, "pesq_wb": of(|outcome| outcome.pesq) })
}

/// Rounded to hundredths.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    (median * 100.0).round() / 100.0
}

fn through_ours(speech: &[i16], condition: &Condition, seed: u32) -> Result<Outcome> {
    let (heard, kbps) = heard(speech, condition, seed)?;
    Ok(Outcome { kbps, pesq: score(speech, &heard)? })
}

/// What comes of the words through our encoder and jitter buffer, at [`RATE`], and at how many kbit/s.
fn heard(speech: &[i16], condition: &Condition, seed: u32) -> Result<(Vec<i16>, f64)> {
    let codec = Codec::Opus;
    let (mut encoder, mut rtp) = (Encoder::new(codec)?, RtpSender::new(1, 1, 1));
    let (mut fate, mut octets) = (Fate::new(condition, seed), 0);
    let mut arrivals: Vec<(u64, RtpPacket)> = Vec::new();
    let pcm = resample(speech, RATE, codec.sample_rate())?;
    let frames = pcm.len() / codec.frame();
    for (n, frame) in pcm.chunks_exact(codec.frame()).enumerate() {
        let payload = encoder.encode(frame)?;
        octets += HEADERS + RTP_HEADER + payload.len();
        let packet = rtp.audio(codec.payload_type(), payload, codec.frame_ticks());
        arrivals.extend(fate.next().map(|delay| (n as u64 * 20_000 + delay.as_micros() as u64, packet)));
    }
    arrivals.sort_by_key(|(at, _)| *at);
    let heard = play(arrivals, frames as u64 * 20 + 500)?;
    let kbps = octets as f64 * 8.0 / (frames as f64 * 20.0);
    Ok((resample(&heard, 48_000, RATE)?, kbps))
}

/// What the jitter buffer adds, with everything else between encoder and loudspeaker, in milliseconds: on a calm network, and
/// where each packet is late by up to 30 ms. Of the second half of the words, when it knows the network.
pub(crate) fn buffered() -> Result<[f64; 2]> {
    let speech = speech()?;
    let of = |name: &str| {
        let condition = CONDITIONS.iter().find(|condition| condition.name == name).context("no such network")?;
        let narrow = |pcm: &[i16]| sound::to_rate(pcm, RATE).map(Sound);
        let (said, heard) = (narrow(&speech)?, narrow(&heard(&speech, condition, 0)?.0)?);
        let half = said.seconds() / 2.0;
        let later = sound::find(&said.part(half, 3.0), &heard) - half;
        anyhow::Ok((later * 10_000.0).round() / 10.0)
    };
    Ok([of("0")?, of("jitter30")?])
}

/// What is heard of packets that arrive at these microseconds, in steps of 10 ms as sound cards ask for it.
fn play(arrivals: Vec<(u64, RtpPacket)>, milliseconds: u64) -> Result<Vec<i16>> {
    let (start, codec) = (Instant::now(), Codec::Opus);
    let mut playout = Playout::new(48_000, &[(codec, codec.payload_type())], JitterConfig::default())?;
    let (mut arrivals, mut heard) = (arrivals.into_iter().peekable(), Vec::new());
    for ms in (0..milliseconds).step_by(10) {
        while let Some((at, packet)) = arrivals.next_if(|(at, _)| *at <= ms * 1_000) {
            playout.receive(packet, start + Duration::from_micros(at))?;
        }
        let mut pcm = [0; 480];
        playout.pull(&mut pcm, start + Duration::from_millis(ms));
        heard.extend_from_slice(&pcm);
    }
    Ok(heard)
}

/// A call between two baresips as they come out of the box, but for the jitter buffer, which gets its usual size.
async fn through_baresip(speech: &[i16], talk: &Path, quiet: &Path, condition: &Condition, seed: u32) -> Result<Outcome> {
    let account = |name: &str| format!("<sip:{name}@127.0.0.1>;regint=0;audio_codecs=opus;answermode=auto");
    let setup = |name: &str, file: &Path| Setup { account: account(name), speech: file.to_owned(), rate: 48_000 };
    let mut callee = Baresip::start_with(&setup("callee", quiet), "5-10").await?;
    let mut caller = Baresip::start_with(&setup("caller", talk), "5-10").await?;
    let relay = Relay::start(callee.sip_port(), Fate::new(condition, seed)).await?;
    caller.command(&format!("dial sip:callee@127.0.0.1:{}", relay.sip_port())).await?;
    caller.happening("CALL_ESTABLISHED", Duration::from_secs(20)).await?;
    // It hangs up when its file is over.
    let seconds = speech.len() as u64 / u64::from(RATE);
    caller.happening("CALL_CLOSED", Duration::from_secs(seconds + 20)).await?;
    // Only then is what it heard on the disk.
    callee.happening("CALL_CLOSED", Duration::from_secs(20)).await?;
    let heard = load(&callee.heard()?)?;
    Ok(Outcome { kbps: relay.kbps(), pesq: score(speech, &heard)? })
}

/// PESQ of what was heard, which may begin earlier or later.
fn score(speech: &[i16], heard: &[i16]) -> Result<f64> {
    let narrow = |pcm: &[i16]| sound::to_rate(pcm, RATE).map(Sound);
    let head = Sound(narrow(speech)?.0.into_iter().take(20_000).collect());
    let offset = (sound::find(&head, &narrow(heard)?) * f64::from(RATE)).round();
    let mut got: Vec<i16> = vec![0; (-offset).max(0.0) as usize];
    got.extend(heard.iter().skip(offset.max(0.0) as usize));
    got.resize(speech.len(), 0);
    let score = pesq::pesq_wb(speech, &got).map_err(|error| anyhow::anyhow!("PESQ: {error:?}"))?;
    Ok(f64::from(score))
}

/// Two real sentences (LibriVox), 12 s at 16 kHz.
fn speech() -> Result<Vec<i16>> {
    let folder = Path::new("/usr/share/pocketsphinx/test/data/librivox");
    let mut all = Vec::new();
    for number in ["0870", "0890"] {
        let path = folder.join(format!("sense_and_sensibility_01_austen_64kb-{number}.wav"));
        all.extend(load(&path).context("pocketsphinx-testdata is missing: cargo xtask setup")?);
    }
    Ok(all)
}

/// A WAV file at 16 kHz, mono. One that another program still writes is read as far as it goes.
fn load(path: &Path) -> Result<Vec<i16>> {
    let mut reader = hound::WavReader::open(path).with_context(|| format!("reading {}", path.display()))?;
    let spec = reader.spec();
    let samples: Vec<i16> = reader.samples::<i16>().map_while(Result::ok).collect();
    let mono: Vec<i16> = samples.chunks_exact(usize::from(spec.channels.max(1))).map(|frame| frame[0]).collect();
    ensure!(!mono.is_empty(), "{} is empty", path.display());
    Ok(resample(&mono, spec.sample_rate, RATE)?)
}

fn save(path: &Path, pcm: &[i16]) -> Result<()> {
    Ok(std::fs::write(path, aftertone_media::container::wav_pcm16(pcm, 48_000))?)
}
