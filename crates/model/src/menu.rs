use serde::{Deserialize, Serialize};

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
