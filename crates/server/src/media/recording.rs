//! A message's sound on its way to the disk: undecoded into its container, decoded only to hear whether somebody speaks.

use std::time::{Duration, Instant};

use aftertone_media::{
    Codec,
    codec::{CodecError, Decoder, opus_silence_like},
    container::{OggOpusWriter, WAV_HEADER_LEN, WavG711Writer},
    level::{Peaks, SoundDetector},
    rtp::RtpPacket,
};
use aftertone_server_store::{AppendError, FinishedSound, SpoolHandle};

use super::timeline::{Piece, Timeline};

/// Enough for telling speech and for drawing a waveform, whatever the codec's rate is.
const LISTEN_RATE: u32 = 8000;
/// What is in memory goes to the disk when nothing came for so long.
const IDLE: Duration = Duration::from_secs(1);
/// Silence before any Opus packet told its configuration: 20 ms, narrow band (RFC 6716 table 2).
const SILENT_TOC: u8 = 1 << 3;
/// All that the writers see is one stream: positions in the recording serve as its timestamps.
const STREAM: u32 = 0;

/// Whether somebody spoke, and for how long; one after the other.
pub(super) type Heard = Vec<(bool, Duration)>;

/// One recording. Its methods give the bytes to append to the file.
pub(super) struct Recording {
    codec: Codec,
    timeline: Timeline,
    writer: Writer,
    /// Ticks that were written, as a timestamp.
    position: u32,
    decoder: Decoder,
    detector: SoundDetector,
    peaks: Peaks,
    last: Instant,
}

/// The end of a recording.
pub(super) struct Closed {
    /// To be appended.
    pub(super) tail: Vec<u8>,
    /// To be written over the file's beginning.
    pub(super) header: Option<[u8; WAV_HEADER_LEN]>,
    pub(super) duration_ms: u64,
    /// At most 120.
    pub(super) peaks: Vec<u8>,
}

enum Writer {
    Wav(WavG711Writer),
    Ogg(OggOpusWriter),
}

impl Recording {
    /// A recording that begins now, with the first bytes of its file.
    pub(super) fn new(codec: Codec, now: Instant) -> Result<(Self, Vec<u8>), CodecError> {
        let (writer, header) = match WavG711Writer::new(codec) {
            Some(mut wav) => {
                let header = wav.start().to_vec();
                // Positions count from zero, not from the first packet.
                wav.push(STREAM, 0, &[]);
                (Writer::Wav(wav), header)
            }
            None => {
                let mut ogg = OggOpusWriter::new(rand::random());
                let header = ogg.start();
                (Writer::Ogg(ogg), header)
            }
        };
        let recording = Self {
            codec,
            timeline: Timeline::new(codec, now),
            writer,
            position: 0,
            decoder: Decoder::with_rate(codec, LISTEN_RATE)?,
            detector: SoundDetector::new(LISTEN_RATE),
            peaks: Peaks::new(LISTEN_RATE),
            last: now,
        };
        Ok((recording, header))
    }

    pub(super) fn media_type(codec: Codec) -> &'static str {
        match codec {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => "audio/wav",
            // Never recorded: G.729 is not agreed on with the mailbox.
            Codec::Opus | Codec::G729 => "audio/ogg",
        }
    }

    /// A packet came.
    pub(super) fn push(&mut self, packet: &RtpPacket, now: Instant) -> (Vec<u8>, Heard) {
        self.last = now;
        let mut pieces = Vec::new();
        self.timeline.push(packet, now, &mut pieces);
        self.write(pieces)
    }

    /// What waits for its place in the order is placed.
    pub(super) fn flush(&mut self) -> (Vec<u8>, Heard) {
        let mut pieces = Vec::new();
        self.timeline.flush(&mut pieces);
        self.write(pieces)
    }

    /// If nothing came for a while: everything that waits in memory.
    pub(super) fn flush_if_idle(&mut self, now: Instant) -> (Vec<u8>, Heard) {
        if now < self.last + IDLE {
            return Default::default();
        }
        let (mut bytes, heard) = self.flush();
        if let Writer::Ogg(ogg) = &mut self.writer {
            bytes.extend(ogg.flush());
        }
        (bytes, heard)
    }

    /// Completes the file and says what is in it.
    pub(super) fn complete(self, handle: &SpoolHandle, sound: &mut FinishedSound) -> Result<(), AppendError> {
        let Closed { tail, header, duration_ms, peaks } = self.close();
        if let Some(header) = header {
            handle.patch(0, header.to_vec())?;
            sound.header_bytes = WAV_HEADER_LEN as u64;
        }
        (sound.duration_ms, sound.peaks) = (duration_ms, peaks);
        if tail.is_empty() { Ok(()) } else { handle.append(tail) }
    }

    /// What completes the file.
    pub(super) fn close(mut self) -> Closed {
        let (mut tail, _) = self.flush();
        let (header, duration) = match &mut self.writer {
            Writer::Wav(wav) => {
                let (padding, header) = wav.finish();
                tail.extend(padding);
                (Some(header), wav.duration())
            }
            Writer::Ogg(ogg) => {
                tail.extend(ogg.finish());
                (None, ogg.duration())
            }
        };
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Closed { tail, header, duration_ms, peaks: self.peaks.finish() }
    }

    fn write(&mut self, pieces: Vec<Piece>) -> (Vec<u8>, Heard) {
        let (mut bytes, mut heard) = (Vec::new(), Heard::new());
        for piece in pieces {
            match piece {
                Piece::Silence { ticks } => {
                    self.lead_in(ticks, &mut bytes);
                    self.position = self.position.wrapping_add(u32::try_from(ticks).unwrap_or(u32::MAX));
                    let samples = usize::try_from(ticks * u64::from(LISTEN_RATE) / u64::from(self.codec.clock_rate()));
                    self.listen(&vec![0; samples.unwrap_or(0)], &mut heard);
                }
                Piece::Sound { payload, ticks } => {
                    bytes.extend(match &mut self.writer {
                        Writer::Wav(wav) => wav.push(STREAM, self.position, &payload),
                        Writer::Ogg(ogg) => ogg.push(STREAM, self.position, &payload),
                    });
                    self.position = self.position.wrapping_add(ticks);
                    let samples = ticks as usize * LISTEN_RATE as usize / self.codec.clock_rate() as usize;
                    let pcm = self.decoder.decode(&payload).unwrap_or_else(|_| vec![0; samples]);
                    self.listen(&pcm, &mut heard);
                }
            }
        }
        (bytes, heard)
    }

    /// An Ogg file that begins with silence needs a first packet for it: its writer counts from the first packet on.
    fn lead_in(&mut self, ticks: u64, bytes: &mut Vec<u8>) {
        let (silence, length) = opus_silence_like(SILENT_TOC);
        if let Writer::Ogg(ogg) = &mut self.writer
            && self.position == 0
            && ticks >= u64::from(length)
        {
            bytes.extend(ogg.push(STREAM, 0, &silence));
        }
    }

    fn listen(&mut self, pcm: &[i16], heard: &mut Heard) {
        self.peaks.push(pcm);
        heard.push(self.detector.hear(pcm, LISTEN_RATE));
    }
}

#[cfg(test)]
mod tests {
    use aftertone_media::{codec::Encoder, container};
    use bytes::Bytes;

    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    struct Taped {
        recording: Recording,
        start: Instant,
        bytes: Vec<u8>,
        heard: Heard,
    }

    impl Taped {
        fn new(codec: Codec) -> Self {
            let start = Instant::now();
            let (recording, bytes) = Recording::new(codec, start).expect("a recording");
            Self { recording, start, bytes, heard: Heard::new() }
        }

        fn hear(&mut self, frame: u32, payload: Bytes) {
            let ticks = self.recording.codec.frame_ticks();
            let sequence = (frame + 65_000) as u16;
            let timestamp = 4_294_000_000_u32.wrapping_add(frame * ticks);
            let packet = RtpPacket { marker: false, payload_type: 0, sequence, timestamp, ssrc: 1, payload };
            let (bytes, heard) = self.recording.push(&packet, self.start + FRAME * (frame + 1));
            self.bytes.extend(bytes);
            self.heard.extend(heard);
        }
    }

    fn speech(codec: Codec, frames: usize) -> Vec<Bytes> {
        let mut encoder = Encoder::new(codec).expect("an encoder");
        let rate = codec.sample_rate() as f32;
        let sample = |n: usize| ((n as f32 / rate * 700.0 * std::f32::consts::TAU).sin() * 9000.0) as i16;
        let frame = |n: usize| (n * codec.frame()..(n + 1) * codec.frame()).map(sample).collect::<Vec<_>>();
        (0..frames).map(|n| encoder.encode(&frame(n)).expect("a payload").into()).collect()
    }

    #[test]
    fn g711_is_kept_to_the_bit_with_silence_in_its_gaps() {
        let mut taped = Taped::new(Codec::Pcma);
        let frames = speech(Codec::Pcma, 50);
        for (n, frame) in frames.iter().enumerate().filter(|(n, _)| *n >= 10 && !(20..25).contains(n)) {
            taped.hear(n as u32, frame.clone());
        }
        taped.bytes.extend(taped.recording.flush().0);
        let mut expect = vec![0xd5; 1600];
        expect.extend(frames[10..20].concat());
        expect.extend([0xd5; 800]);
        expect.extend(frames[25..].concat());
        assert!(
            taped.bytes[WAV_HEADER_LEN..] == expect,
            "{} bytes instead of {}",
            taped.bytes.len() - WAV_HEADER_LEN,
            expect.len()
        );
        assert_eq!(taped.recording.peaks.finish().len(), 100);
    }

    #[test]
    fn opus_keeps_its_time() {
        let mut taped = Taped::new(Codec::Opus);
        for (n, frame) in speech(Codec::Opus, 150).into_iter().enumerate().filter(|(n, _)| *n >= 50 && !(80..90).contains(n)) {
            taped.hear(n as u32, frame);
        }
        taped.bytes.extend(taped.recording.flush().0);
        if let Writer::Ogg(ogg) = &mut taped.recording.writer {
            taped.bytes.extend(ogg.finish());
            assert_eq!(ogg.duration(), Duration::from_secs(3));
        }
        let pcm = container::decode(&taped.bytes).expect("a file");
        assert!((pcm.duration().as_secs_f64() - 3.0).abs() < 0.03, "{:?}", pcm.duration());
        let loudest = |from: usize, to: usize| pcm.samples[from * 960..to * 960].iter().map(|s| s.unsigned_abs()).max();
        assert!(loudest(0, 45) < Some(200), "silence before the first packet");
        assert!(loudest(60, 78) > Some(6000));
    }

    #[test]
    fn speech_is_heard_and_silence_is_not() {
        let mut taped = Taped::new(Codec::Pcmu);
        for n in 0..50 {
            taped.hear(n, Bytes::from(vec![0xff; 160]));
        }
        assert!(taped.heard.iter().all(|(sound, _)| !sound));
        for (n, frame) in speech(Codec::Pcmu, 50).into_iter().enumerate() {
            taped.hear(50 + n as u32, frame);
        }
        let sound: Duration = taped.heard.iter().filter(|(sound, _)| *sound).map(|(_, duration)| *duration).sum();
        assert_eq!(sound, Duration::from_secs(1));
    }
}
