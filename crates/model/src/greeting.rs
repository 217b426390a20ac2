use serde::{Deserialize, Serialize};

use crate::{GreetingId, Language, Timestamp};

/// What a recording of a mailbox's owner is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum GreetingKind {
    /// Played to callers, as the plan says.
    Greeting,
    /// The owner's name, spoken; a mailbox has one at most.
    Name,
}

/// A greeting of a mailbox, or its owner's spoken name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Greeting {
    /// The greeting.
    pub id: GreetingId,
    /// What it is for.
    pub kind: GreetingKind,
    /// What its owner calls it.
    pub title: String,
    /// What is said in it; may be empty.
    pub text: String,
    /// The language that it is spoken in.
    pub language: Language,
    /// From then on it is out of date, and not played.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Timestamp>,
    /// When it was last changed.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub changed_at: Timestamp,
    /// Its sound; without one it is a text to be recorded.
    pub sound: Option<GreetingSound>,
}

/// The sound of a greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GreetingSound {
    /// Names the content; another recording has another.
    pub content: String,
    /// Length in milliseconds.
    pub duration_ms: u64,
    /// Its loudness over time: at most 120 peaks of equal spans, 0 (silence) to 255 (full scale).
    pub peaks: Vec<u8>,
    /// Media type of the stored sound.
    pub media_type: String,
}
