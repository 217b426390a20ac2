use aftertone_model::{CallFigures, StreamFigures};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::MediaPath;

/// How the sound of a call travelled, as its record says: between the server and the owner's phone, or the caller's where the
/// mailbox took the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct FiguresView {
    /// The codec's name.
    pub codec: String,
    /// Which way it took.
    pub path: MediaPath,
    /// Whether it was encrypted.
    pub encrypted: bool,
    /// There and back, when it was measured.
    pub round_trip_ms: Option<u32>,
    /// What came from the phone, when the server saw it.
    pub inbound: Option<StreamView>,
    /// What the phone heard, when it reported.
    pub outbound: Option<StreamView>,
}

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct StreamView {
    /// 0 (nothing is heard) to 4 (as good as it gets).
    pub bars: u8,
    /// Packets that were lost of a thousand.
    pub loss_permille: u32,
    /// How unevenly they came.
    pub jitter_ms: u32,
    /// What a listener would say, in hundredths: 100 (bad) to 450 (ITU-T G.107).
    pub mos_centi: u16,
}

impl From<&CallFigures> for FiguresView {
    fn from(figures: &CallFigures) -> Self {
        Self {
            codec: figures.codec.clone(),
            path: figures.path.into(),
            encrypted: figures.encrypted,
            round_trip_ms: figures.round_trip_ms,
            inbound: figures.inbound.map(StreamView::from),
            outbound: figures.outbound.map(StreamView::from),
        }
    }
}

impl From<StreamFigures> for StreamView {
    fn from(stream: StreamFigures) -> Self {
        let StreamFigures { jitter_ms, mos_centi, .. } = stream;
        let bars = bars(f64::from(mos_centi) / 100.0);
        Self { bars, loss_permille: stream.loss_permille(), jitter_ms, mos_centi }
    }
}

/// What people call excellent, good, fair, poor and bad (ITU-T P.800), as 4 to 0 bars.
#[must_use]
pub fn bars(mos: f64) -> u8 {
    let reached = [2.0, 2.8, 3.4, 4.0].iter().filter(|least| mos >= **least).count();
    u8::try_from(reached).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_is_as_good_as_its_opinion() {
        let view = |lost, mos_centi| StreamView::from(StreamFigures { packets: 975, lost, jitter_ms: 3, mos_centi });
        assert_eq!(view(25, 400), StreamView { bars: 4, loss_permille: 25, jitter_ms: 3, mos_centi: 400 });
        assert_eq!([399, 279, 100].map(|mos| view(0, mos).bars), [3, 1, 0]);
    }
}
