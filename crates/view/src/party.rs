use aftertone_model::Caller;
use aftertone_sync::DirectoryEntry;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The other party of a call or a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct PartyView {
    /// An extension, a telephone number or a SIP address without its scheme; empty when withheld.
    pub number: String,
    /// The name, when one is known.
    pub name: Option<String>,
    /// One or two characters for a picture.
    pub initials: String,
}

impl From<&Caller> for PartyView {
    fn from(caller: &Caller) -> Self {
        let name = caller.name.as_deref().map(str::trim).filter(|name| !name.is_empty() && *name != caller.number);
        Self { number: caller.number.clone(), name: name.map(str::to_owned), initials: initials(name, &caller.number) }
    }
}

/// All people of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct DirectoryView {
    /// By name.
    pub entries: Vec<DirectoryEntryView>,
}

/// A person of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export_to = "contract.ts")]
pub struct DirectoryEntryView {
    /// The user name, to forward to.
    pub user: String,
    /// The number, to call.
    pub extension: String,
    /// The name to show.
    pub name: String,
    /// One or two characters for a picture.
    pub initials: String,
}

impl DirectoryView {
    /// The directory by name, upper and lower case alike.
    #[must_use]
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a DirectoryEntry>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().map(DirectoryEntryView::from).collect();
        entries.sort_by_cached_key(|entry| (entry.name.to_lowercase(), entry.extension.clone()));
        Self { entries }
    }
}

impl From<&DirectoryEntry> for DirectoryEntryView {
    fn from(entry: &DirectoryEntry) -> Self {
        let name = if entry.display_name.trim().is_empty() { &entry.user } else { &entry.display_name };
        Self {
            user: entry.user.clone(),
            extension: entry.extension.clone(),
            name: name.clone(),
            initials: initials(Some(name), &entry.extension),
        }
    }
}

/// The first letters of the first and the last word of a name, else the first two characters of a number, else `?`.
#[must_use]
pub fn initials(name: Option<&str>, number: &str) -> String {
    let mut letters = name.unwrap_or_default().split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let Some(first) = letters.next() else {
        let start: String = number.chars().take(2).collect();
        return if start.is_empty() { "?".into() } else { start };
    };
    first.to_uppercase().chain(letters.next_back().into_iter().flat_map(char::to_uppercase)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_come_from_names_then_numbers() {
        let check = |name: Option<&str>, number: &str, expect: &str| assert_eq!(initials(name, number), expect);
        check(Some("Main office, billing"), "+4930901821", "MB");
        check(Some("Warehouse"), "1003", "W");
        check(Some("ömer özil"), "", "ÖÖ");
        check(Some("(Reception)"), "1000", "R");
        check(Some("--"), "+4930", "+4");
        check(None, "+4930", "+4");
        check(None, "", "?");
    }

    #[test]
    fn a_name_that_only_repeats_the_number_is_none() {
        let party = |name: &str| PartyView::from(&Caller { number: "1001".into(), name: Some(name.into()) }).name;
        assert_eq!(party("1001"), None);
        assert_eq!(party("  "), None);
        assert_eq!(party(" Ada "), Some("Ada".into()));
    }

    #[test]
    fn the_directory_is_sorted_by_name() {
        let entry =
            |user: &str, name: &str| DirectoryEntry { user: user.into(), extension: "1001".into(), display_name: name.into() };
        let view = DirectoryView::new(&[entry("c", "zoe"), entry("bert", ""), entry("a", "Ada")]);
        let names: Vec<_> = view.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["Ada", "bert", "zoe"]);
    }
}
