//! Encryption of a plain RTP leg: SRTP (RFC 3711) with the keys of its descriptions (SDES).

use std::collections::BTreeMap;

use aftertone_media::sdp::{Crypto, Suite};
use bytes::BytesMut;
use rtc::{
    crypto::providers::RingCrypto,
    srtp::{
        context::Context,
        option::{srtcp_replay_protection, srtp_replay_protection},
        protection_profile::ProtectionProfile,
    },
};

/// Packets that come so much after newer ones are refused, and each packet is taken once.
const REPLAY_WINDOW: usize = 64;
/// A leg's other end is one stream; a transfer behind it brings another. Who sends more is not believed.
const MOST_STREAMS: usize = 8;

/// Both ways of one leg.
pub(crate) struct Srtp {
    ours: Crypto,
    theirs: Crypto,
    outgoing: Context,
    /// By SSRC: only what was authenticated takes up memory.
    incoming: BTreeMap<u32, Context>,
    reports: Context,
}

impl Srtp {
    /// With our key and theirs, of one suite. `None` if the cipher can't be set up.
    pub(crate) fn new(ours: Crypto, theirs: Crypto) -> Option<Self> {
        let (outgoing, reports) = (context(&ours)?, context(&theirs)?);
        Some(Self { ours, theirs, outgoing, incoming: BTreeMap::new(), reports })
    }

    /// Goes on with these keys: counters and replay windows of a key that stays go on with it (RFC 3711 section 3.3.1: a
    /// rollover counter that begins anew under the same key can't be guessed by the other end). `None` if the cipher can't be
    /// set up.
    pub(super) fn rekey(&mut self, ours: Crypto, theirs: Crypto) -> Option<()> {
        if !is_same(&self.ours, &ours) {
            self.outgoing = context(&ours)?;
        }
        if !is_same(&self.theirs, &theirs) {
            self.reports = context(&theirs)?;
            self.incoming.clear();
        }
        (self.ours, self.theirs) = (ours, theirs);
        Some(())
    }

    pub(crate) fn encrypt(&mut self, rtp: &[u8]) -> Option<BytesMut> {
        self.outgoing.encrypt_rtp(rtp).ok()
    }

    pub(super) fn encrypt_report(&mut self, rtcp: &[u8]) -> Option<BytesMut> {
        self.outgoing.encrypt_rtcp(rtcp).ok()
    }

    /// The packet, if it is authentic and new.
    pub(crate) fn decrypt(&mut self, datagram: &[u8]) -> Option<BytesMut> {
        let ssrc = u32::from_be_bytes(datagram.get(8..12)?.try_into().ok()?);
        if let Some(known) = self.incoming.get_mut(&ssrc) {
            return known.decrypt_rtp(datagram).ok();
        }
        if self.incoming.len() >= MOST_STREAMS {
            return None;
        }
        let mut fresh = context(&self.theirs)?;
        let packet = fresh.decrypt_rtp(datagram).ok()?;
        self.incoming.insert(ssrc, fresh);
        Some(packet)
    }

    /// The reports, if they are authentic and new; from a stream that sends, since the context keeps each sender.
    pub(super) fn decrypt_report(&mut self, datagram: &[u8]) -> Option<BytesMut> {
        let ssrc = u32::from_be_bytes(datagram.get(4..8)?.try_into().ok()?);
        if self.incoming.contains_key(&ssrc) { self.reports.decrypt_rtcp(datagram).ok() } else { None }
    }
}

fn is_same(one: &Crypto, other: &Crypto) -> bool {
    (one.suite, one.secret()) == (other.suite, other.secret())
}

fn context(key: &Crypto) -> Option<Context> {
    let profile = match key.suite {
        Suite::AesCm128Sha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128Sha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        Suite::AesCm256Sha1_80 => ProtectionProfile::Aes256CmHmacSha1_80,
    };
    let (rtp, rtcp) = (srtp_replay_protection(REPLAY_WINDOW), srtcp_replay_protection(REPLAY_WINDOW));
    let (secret, salt) = key.secret();
    Context::new(secret, salt, profile, Some(rtp), Some(rtcp), &RingCrypto)
        .inspect_err(|error| tracing::warn!(%error, "no cipher for SRTP"))
        .ok()
}

#[cfg(test)]
mod tests {
    use aftertone_media::rtp::RtpPacket;
    use bytes::Bytes;

    use super::*;

    fn pair(suite: Suite) -> (Srtp, Srtp) {
        let key = |seed: u8| Crypto::new(1, suite, &[seed; 46]).expect("a key");
        (Srtp::new(key(1), key(2)).expect("a cipher"), Srtp::new(key(2), key(1)).expect("a cipher"))
    }

    fn packet(ssrc: u32, sequence: u16) -> Bytes {
        let payload = Bytes::from_static(b"some sound");
        RtpPacket { marker: false, payload_type: 8, sequence, timestamp: 0, ssrc, payload }.to_bytes()
    }

    #[test]
    fn what_one_end_encrypts_the_other_reads_once() {
        for suite in Suite::ALL {
            let (mut a, mut b) = pair(suite);
            let sent = a.encrypt(&packet(7, 100)).expect("a packet");
            assert!(!sent.windows(10).any(|part| part == b"some sound"));
            assert_eq!(b.decrypt(&sent).as_deref(), Some(&packet(7, 100)[..]), "{suite:?}");
            assert_eq!(b.decrypt(&sent), None, "replayed");
        }
    }

    #[test]
    fn a_new_key_of_the_other_end_leaves_our_counters_alone() {
        let key = |seed: u8| Crypto::new(1, Suite::AesCm128Sha1_80, &[seed; 46]).expect("a key");
        let (mut a, mut b) = pair(Suite::AesCm128Sha1_80);
        // Past the end of the sequence numbers: both count one rollover.
        for sequence in (0..5).map(|n: u16| 65_533_u16.wrapping_add(n)) {
            let sent = a.encrypt(&packet(7, sequence)).expect("a packet");
            assert!(b.decrypt(&sent).is_some(), "{sequence}");
        }
        let before = b.encrypt(&packet(8, 1)).expect("a packet");
        b.rekey(key(3), key(1)).expect("a cipher");
        a.rekey(key(1), key(3)).expect("a cipher");
        let sent = a.encrypt(&packet(7, 100)).expect("a packet");
        assert_eq!(b.decrypt(&sent).as_deref(), Some(&packet(7, 100)[..]), "our key and its rollovers stayed");
        let theirs = b.encrypt(&packet(8, 2)).expect("a packet");
        assert_eq!(a.decrypt(&theirs).as_deref(), Some(&packet(8, 2)[..]));
        assert_eq!(a.decrypt(&before), None, "the old key is over");
    }

    #[test]
    fn forged_and_foreign_packets_leave_no_trace() {
        let (mut a, mut b) = pair(Suite::AesCm128Sha1_80);
        for ssrc in 0..1_000 {
            assert_eq!(b.decrypt(&packet(ssrc, 1)), None);
        }
        let mut sent = a.encrypt(&packet(7, 100)).expect("a packet");
        sent[14] ^= 1;
        assert_eq!((b.decrypt(&sent), b.incoming.len()), (None, 0));
        assert_eq!((b.decrypt(&[]), b.decrypt(&[0x80; 11]), b.decrypt_report(&[0x80, 200, 0, 1])), (None, None, None));
        for ssrc in 0..20 {
            let sent = a.encrypt(&packet(ssrc, 100)).expect("a packet");
            b.decrypt(&sent);
        }
        assert_eq!(b.incoming.len(), MOST_STREAMS);
    }
}
