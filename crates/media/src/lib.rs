//! Media, sans-IO: SDP and its negotiation, RTP, jitter buffer and concealment, codecs, DTMF, tones, levels and
//! the containers that recordings live in.
//!
//! It never opens a socket or a file, never asks a clock and makes no random numbers: packets, times, ports and
//! SSRCs are arguments. Sockets live in `net` and the server's media workers, sound cards in `audio`, DTLS and
//! ICE in the `webrtc` and `rtc` crates. Sound is mono `i16` PCM everywhere; a rate is in hertz.
//!
//! | module | in | out |
//! |---|---|---|
//! | [`sdp`] | a description's text | what both sides agreed on; offers and answers for plain RTP |
//! | [`webrtc`] | descriptions from and to the `webrtc` and `rtc` crates | the same, made acceptable |
//! | [`rtp`], [`rtcp`], [`dtmf`] | datagrams, sound, digits | packets with one counter, reports, key presses |
//! | [`repack`] | packets of any length | packets of the length that the other end asked for |
//! | [`adapt`] | reports of the other end | what an encoder is to do, and whether anybody hears it |
//! | [`jitter`], [`playout`] | packets as they arrive | steady sound |
//! | [`codec`], [`resample`], [`tones`], [`level`] | PCM | payloads and back, other rates, tones, figures |
//! | [`stretch`] | PCM of a message | the same faster or slower, and its pauses |
//! | [`import`] | sound files of others | PCM, trimmed and at one loudness |
//! | [`container`] | payloads with RTP timestamps | WAV and Ogg bytes, and PCM again |

#![warn(missing_docs)]

pub mod adapt;
pub mod codec;
pub mod compact;
pub mod container;
pub mod dtmf;
pub mod import;
pub mod jitter;
pub mod level;
pub mod playout;
pub mod quality;
pub mod repack;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod stretch;
pub mod tones;
pub mod webrtc;

pub use codec::Codec;
