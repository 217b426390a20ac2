use serde::{Deserialize, Serialize};

/// How full a mailbox is, by the seconds of sound outside its trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fullness {
    /// Less than three quarters, or without a limit.
    #[default]
    Roomy,
    /// Three quarters and more.
    Filling,
    /// Nine tenths and more.
    NearlyFull,
    /// All of it: callers hear that they can leave no message.
    Full,
}

impl Fullness {
    /// Of `used_ms` milliseconds where `quota_s` seconds are allowed; 0 is no limit.
    #[must_use]
    pub fn of(used_ms: u64, quota_s: u32) -> Self {
        let per_cent = |share: u64| used_ms >= u64::from(quota_s) * 10 * share;
        match () {
            () if quota_s == 0 => Self::Roomy,
            () if per_cent(100) => Self::Full,
            () if per_cent(90) => Self::NearlyFull,
            () if per_cent(75) => Self::Filling,
            () => Self::Roomy,
        }
    }
}

/// What is kept of a mailbox, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// So many seconds of sound outside the trash; 0 is no limit. A recording that runs is never cut short by it.
    pub quota_s: u32,
    /// A message is expunged after so many days in the trash; 0 is never.
    pub trash_days: u32,
    /// A message goes to the trash so many days after it was heard, unless it was saved; 0 is never.
    pub heard_days: u32,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { quota_s: 0, trash_days: 30, heard_days: 0 }
    }
}

/// What an administrator said of one mailbox; the account's [`Keeping`] holds for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnKeeping {
    /// Instead of [`Keeping::quota_s`].
    pub quota_s: Option<u32>,
    /// Instead of [`Keeping::trash_days`].
    pub trash_days: Option<u32>,
    /// Instead of [`Keeping::heard_days`].
    pub heard_days: Option<u32>,
}

impl OwnKeeping {
    /// What holds for the mailbox.
    #[must_use]
    pub fn over(self, account: Keeping) -> Keeping {
        Keeping {
            quota_s: self.quota_s.unwrap_or(account.quota_s),
            trash_days: self.trash_days.unwrap_or(account.trash_days),
            heard_days: self.heard_days.unwrap_or(account.heard_days),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_fills_in_steps_and_without_a_quota_never() {
        let check = |used_ms, quota_s, expected| assert_eq!(Fullness::of(used_ms, quota_s), expected, "{used_ms} of {quota_s}");
        check(0, 100, Fullness::Roomy);
        check(74_999, 100, Fullness::Roomy);
        check(75_000, 100, Fullness::Filling);
        check(89_999, 100, Fullness::Filling);
        check(90_000, 100, Fullness::NearlyFull);
        check(99_999, 100, Fullness::NearlyFull);
        check(100_000, 100, Fullness::Full);
        check(u64::MAX, 100, Fullness::Full);
        check(u64::MAX, 0, Fullness::Roomy);
        check(u64::MAX, u32::MAX, Fullness::Full);
    }

    #[test]
    fn what_was_said_of_a_mailbox_comes_before_what_holds_for_all() {
        let account = Keeping { quota_s: 600, trash_days: 30, heard_days: 90 };
        let own = OwnKeeping { quota_s: Some(0), trash_days: None, heard_days: Some(7) };
        assert_eq!(own.over(account), Keeping { quota_s: 0, trash_days: 30, heard_days: 7 });
        assert_eq!(OwnKeeping::default().over(account), account);
    }
}
