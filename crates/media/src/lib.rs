//! Media, sans-IO: SDP, RTP, jitter buffer, codecs, DTMF, tones and containers.
