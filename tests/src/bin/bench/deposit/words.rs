//! What callers say, packet by packet, so that each packet is known again in what was recorded.

use aftertone_media::container;
use aftertone_tests::sound;
use anyhow::{Context, Result};

/// Bytes of a packet of 20 ms of PCMU.
const PAYLOAD: usize = 160;
/// Digits of a packet's mark: the caller's, and the packet's.
const DIGITS: usize = 8;

/// Speech, cut into packets.
#[derive(Debug)]
pub(super) struct Words {
    speech: Vec<u8>,
    packets: usize,
}

/// What was found of one recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) caller: usize,
    pub(super) lost: usize,
    /// From the first packet to the end of the last one it is as long as it was spoken.
    pub(super) has_right_length: bool,
}

impl Words {
    pub(super) fn new(seconds: u64) -> Result<Self> {
        let packets = usize::try_from(seconds)? * 50;
        let mut speech: Vec<u8> = sound::speech()?.0.iter().map(|sample| sound::mu_law(*sample)).collect();
        speech.truncate(speech.len() / PAYLOAD * PAYLOAD);
        Ok(Self { speech, packets })
    }

    pub(super) fn packets(&self) -> usize {
        self.packets
    }

    /// The `nth` packet of a caller, with its RTP header (RFC 3550 section 5.1).
    pub(super) fn packet(&self, caller: usize, nth: usize, packet: &mut [u8; 12 + PAYLOAD]) {
        packet[0] = 0x80;
        packet[1] = if nth == 0 { 0x80 } else { 0 };
        packet[2..4].copy_from_slice(&(nth as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&((nth * PAYLOAD) as u32).to_be_bytes());
        packet[8..12].copy_from_slice(&(caller as u32 + 1).to_be_bytes());
        packet[12..].copy_from_slice(&self.payload(caller, nth));
    }

    fn payload(&self, caller: usize, nth: usize) -> [u8; PAYLOAD] {
        let mut payload = [0xff; PAYLOAD];
        let at = nth * PAYLOAD % self.speech.len();
        payload.copy_from_slice(&self.speech[at..at + PAYLOAD]);
        payload[..2 * DIGITS].copy_from_slice(&mark(caller, nth));
        payload
    }

    /// Looks for every packet in a file that somebody recorded.
    pub(super) fn find(&self, file: &[u8]) -> Result<Found> {
        let pcm = container::decode(file)?;
        // Decoded µ-law is encoded to the same byte, but for the two zeros, which no mark has.
        let bytes: Vec<u8> = pcm.samples.iter().map(|sample| sound::mu_law(*sample)).collect();
        let (first, caller) = self.first(&bytes).context("nobody's words")?;
        let (mut at, mut lost, mut end) = (first, 0, first);
        for nth in 0..self.packets {
            match self.place(&bytes, at, caller, nth) {
                Some(place) => {
                    at = place + PAYLOAD;
                    end = at;
                }
                None => lost += 1,
            }
        }
        Ok(Found { caller, lost, has_right_length: end - first == self.packets * PAYLOAD })
    }

    /// Where the first packet that is there begins, as if it were packet 0, and whose it is.
    fn first(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        bytes.windows(2 * DIGITS).enumerate().find_map(|(at, window)| {
            let (caller, nth) = read(window)?;
            (mark(caller, nth) == *window).then(|| (at.saturating_sub(nth * PAYLOAD), caller))
        })
    }

    /// Where a packet is, at most some packets after where it should be.
    fn place(&self, bytes: &[u8], at: usize, caller: usize, nth: usize) -> Option<usize> {
        let wanted = mark(caller, nth);
        let is_at = |place: usize| bytes.get(place..place + wanted.len()) == Some(&wanted[..]);
        let is_whole = |place: usize| {
            let (said, heard) = (self.payload(caller, nth), bytes.get(place..place + PAYLOAD));
            // Its sound too, where the mark is right: the two zeros are one sound.
            heard.is_some_and(|heard| said.iter().zip(heard).all(|(a, b)| a == b || (a | 0x80 == 0xff && b | 0x80 == 0xff)))
        };
        (at..at + 50 * PAYLOAD).find(|place| is_at(*place)).filter(|place| is_whole(*place))
    }
}

/// Sixteen values that are far apart and loud enough to be no zero, for the digits of caller and packet, each twice.
fn mark(caller: usize, nth: usize) -> [u8; 2 * DIGITS] {
    let mut mark = [0; 2 * DIGITS];
    for digit in 0..DIGITS {
        mark[digit] = symbol(caller >> (4 * digit));
        mark[DIGITS + digit] = symbol(nth >> (4 * digit));
    }
    mark
}

fn symbol(digit: usize) -> u8 {
    0x80 | ((digit as u8 & 0xf) << 2)
}

fn read(mark: &[u8]) -> Option<(usize, usize)> {
    let number = |symbols: &[u8]| {
        symbols
            .iter()
            .rev()
            .try_fold(0, |number, symbol| (symbol & 0xc3 == 0x80).then(|| number << 4 | usize::from(symbol >> 2 & 0xf)))
    };
    Some((number(mark.get(..DIGITS)?)?, number(mark.get(DIGITS..)?)?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn recorded(words: &Words, caller: usize, which: impl Iterator<Item = usize>) -> Vec<u8> {
        let mut bytes = vec![0xff; 777];
        which.for_each(|nth| bytes.extend(words.payload(caller, nth)));
        let samples: Vec<i16> = bytes.iter().map(|byte| aftertone_media::codec::ulaw_decode(*byte)).collect();
        container::wav_pcm16(&samples, 8_000)
    }

    #[test]
    fn every_packet_is_known_again_and_a_lost_one_missed() {
        let words = Words::new(2).unwrap();
        let whole = words.find(&recorded(&words, 517, 0..100)).unwrap();
        assert_eq!(whole, Found { caller: 517, lost: 0, has_right_length: true });
        let without = words.find(&recorded(&words, 3, (0..100).filter(|nth| *nth != 40))).unwrap();
        assert_eq!(without, Found { caller: 3, lost: 1, has_right_length: false });
        let late = words.find(&recorded(&words, 4, 10..100)).unwrap();
        assert_eq!((late.caller, late.lost, late.has_right_length), (4, 10, false));
        assert!(words.find(&container::wav_pcm16(&[0; 8_000], 8_000)).is_err());
    }
}
