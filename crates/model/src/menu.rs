use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What the keys of the phone menu mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MenuLayout {
    /// Our own: 1 repeats, 2 saves, 3 deletes, 4 and 6 go back and on, 5 pauses.
    #[default]
    Aftertone,
    /// As people know it from Asterisk's voicemail: 7 deletes, 9 saves, 8 forwards.
    Asterisk,
}

/// Wrong PINs of one caller, or at one mailbox, as they are kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongPins {
    /// Whom they are counted of; unique, and nobody else's business.
    pub who: String,
    /// How many.
    pub count: u32,
    /// None is looked at before.
    pub until: Timestamp,
    /// When the last one was entered.
    pub last: Timestamp,
}
