//! The body of the `message-summary` event package (RFC 3842): how many messages wait.

use std::fmt::Write as _;

/// The value of Event.
pub const EVENT: &str = "message-summary";

/// The value of Content-Type.
pub const CONTENT_TYPE: &str = "application/simple-message-summary";

/// A mailbox in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageSummary {
    /// Whether the lamp is on.
    pub waiting: bool,
    /// The mailbox's address, such as `sip:voicemail@example.com`.
    pub account: Option<String>,
    /// Voice messages nobody has heard.
    pub new: u32,
    /// Voice messages that were heard or saved.
    pub old: u32,
    /// Those of `new` that are urgent.
    pub new_urgent: u32,
    /// Those of `old` that are urgent.
    pub old_urgent: u32,
}

impl MessageSummary {
    /// The body of a NOTIFY.
    #[must_use]
    pub fn to_body(&self) -> String {
        let mut body = format!("Messages-Waiting: {}\r\n", if self.waiting { "yes" } else { "no" });
        let account = self.account.as_deref().map(crate::grammar::one_line);
        let Self { new, old, new_urgent, old_urgent, .. } = self;
        let account = account.map_or_else(String::new, |account| format!("Message-Account: {account}\r\n"));
        // Writing to a string can't fail.
        let _ = write!(body, "{account}Voice-Message: {new}/{old} ({new_urgent}/{old_urgent})\r\n");
        body
    }

    /// Reads a body; `None` if it lacks `Messages-Waiting`. Lines about other kinds of messages are skipped.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        let mut summary = Self::default();
        let mut complete = false;
        for line in body.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "messages-waiting" => {
                    summary.waiting = value.eq_ignore_ascii_case("yes");
                    complete = true;
                }
                "message-account" => summary.account = Some(value.to_owned()),
                "voice-message" => {
                    let (plain, urgent) = value.split_once('(').unwrap_or((value, ""));
                    (summary.new, summary.old) = pair(plain);
                    (summary.new_urgent, summary.old_urgent) = pair(urgent.trim_end().trim_end_matches(')'));
                }
                _ => {}
            }
        }
        complete.then_some(summary)
    }
}

fn pair(text: &str) -> (u32, u32) {
    let (new, old) = text.split_once('/').unwrap_or((text, ""));
    (new.trim().parse().unwrap_or_default(), old.trim().parse().unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let account = Some("sip:voicemail@example.com".to_owned());
        let summary = MessageSummary { waiting: true, account, new: 2, old: 8, new_urgent: 1, old_urgent: 0 };
        let body = "Messages-Waiting: yes\r\nMessage-Account: sip:voicemail@example.com\r\nVoice-Message: 2/8 (1/0)\r\n";
        assert_eq!(summary.to_body(), body);
        assert_eq!(MessageSummary::parse(body), Some(summary));
    }

    #[test]
    fn a_terse_body_and_other_kinds_of_messages_are_understood() {
        assert_eq!(MessageSummary::parse("Messages-Waiting: no\n"), Some(MessageSummary::default()));
        let fax = MessageSummary::parse("messages-waiting:yes\r\nFax-Message: 7/1\r\nVoice-Message:  3 / 4\r\n").unwrap();
        assert_eq!((fax.waiting, fax.new, fax.old, fax.new_urgent), (true, 3, 4, 0));
        assert_eq!(MessageSummary::parse("Voice-Message: 1/0"), None);
    }
}
