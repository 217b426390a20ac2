//! ITU-T G.711, both laws, between 8 bits and 16-bit linear PCM.

/// The bias that makes µ-law's segments powers of two, on the 16-bit scale (G.711 table 2: 33 at 14 bits).
const BIAS: i32 = 33 << 2;
const CLIP: i32 = 0x7FFF - BIAS;

/// Encodes one sample as µ-law.
#[must_use]
pub fn ulaw_encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    // The position of the leading one above bit 7 is the segment.
    let segment = (24 - magnitude.leading_zeros() as i32).max(0);
    let step = (magnitude >> (segment + 3)) & 0x0F;
    !(sign | (segment << 4) as u8 | step as u8)
}

/// Decodes one µ-law byte.
#[must_use]
pub fn ulaw_decode(byte: u8) -> i16 {
    let byte = !byte;
    let segment = i32::from(byte >> 4 & 7);
    let step = i32::from(byte & 0x0F);
    let magnitude = (((step << 3) + BIAS) << segment) - BIAS;
    (if byte & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

/// Encodes one sample as A-law.
#[must_use]
pub fn alaw_encode(sample: i16) -> u8 {
    // Negative values are numbered from -1 downwards, so that both halves have the same number of steps.
    let (sign, magnitude) = if sample >= 0 { (0x80, i32::from(sample)) } else { (0, -1 - i32::from(sample)) };
    let segment = (24 - magnitude.leading_zeros() as i32).max(0);
    let step = (magnitude >> (segment.max(1) + 3)) & 0x0F;
    (sign | (segment << 4) as u8 | step as u8) ^ 0x55
}

/// Decodes one A-law byte.
#[must_use]
pub fn alaw_decode(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let segment = i32::from(byte >> 4 & 7);
    let step = i32::from(byte & 0x0F);
    let magnitude = if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 0x108) << (segment - 1) };
    (if byte & 0x80 == 0 { -magnitude } else { magnitude }) as i16
}
