//! Public holidays. The table is made by tools/public_holidays.py.

use std::{collections::BTreeMap, sync::OnceLock};

use jiff::civil::Date;

const TABLE: &str = include_str!("holidays.txt");

/// The table ends with this year.
pub const LAST_YEAR: i16 = 2040;

/// A holiday by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holiday {
    /// In English.
    pub english: String,
    /// As it is called there.
    pub local: String,
}

type Days = BTreeMap<Date, (&'static str, &'static str)>;

fn table() -> &'static BTreeMap<&'static str, Days> {
    static READ: OnceLock<BTreeMap<&'static str, Days>> = OnceLock::new();
    READ.get_or_init(|| {
        let mut regions: BTreeMap<&str, Days> = BTreeMap::new();
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split('|');
            let (Some(region), Some(english), Some(local), Some(dates)) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let days = regions.entry(region).or_default();
            // A day with two names keeps the first.
            for date in dates.split(' ').filter_map(|date| Date::strptime("%Y%m%d", date).ok()) {
                days.entry(date).or_insert((english, local));
            }
        }
        regions
    })
}

/// The public holiday that this day is in a region (`DE`, `DE-BY`): those of its country, and its own.
#[must_use]
pub fn holiday(region: &str, day: Date) -> Option<Holiday> {
    let country = region.split_once('-').map(|(country, _)| country);
    let found = [Some(region), country].into_iter().flatten().find_map(|region| table().get(region)?.get(&day))?;
    Some(Holiday { english: found.0.to_owned(), local: found.1.to_owned() })
}

/// Every region that is known, countries first among their own.
pub fn regions() -> impl Iterator<Item = &'static str> {
    table().keys().copied()
}

pub(crate) fn is_region(region: &str) -> bool {
    table().contains_key(region)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn check(region: &str, day: Date, expect: Option<&str>) {
        assert_eq!(holiday(region, day).map(|holiday| holiday.local).as_deref(), expect, "{region} {day}");
    }

    #[test]
    fn german_states_have_their_own_days_besides_their_countrys() {
        for state in ["BB", "BE", "BW", "BY", "HB", "HE", "HH", "MV", "NI", "NW", "RP", "SH", "SL", "SN", "ST", "TH"] {
            check(&format!("DE-{state}"), date(2026, 10, 3), Some("Tag der Deutschen Einheit"));
            check(&format!("DE-{state}"), date(2026, 10, 5), None);
            assert!(regions().any(|region| region == format!("DE-{state}")), "{state}");
        }
        check("DE-BY", date(2026, 1, 6), Some("Heilige Drei Könige"));
        check("DE-BE", date(2026, 1, 6), None);
        check("DE-BE", date(2026, 3, 8), Some("Frauentag"));
        check("DE-SN", date(2026, 11, 18), Some("Buß- und Bettag"));
        check("DE-TH", date(2026, 9, 20), Some("Weltkindertag"));
        check("DE", date(2026, 6, 4), None);
        check("DE-NW", date(2026, 6, 4), Some("Fronleichnam"));
    }

    /// Easter Mondays by the tables of the Royal Observatory Greenwich.
    #[test]
    fn days_that_move_are_right_until_the_end_of_the_table() {
        for day in [date(2027, 3, 29), date(2030, 4, 22), date(2035, 3, 26), date(2038, 4, 26), date(LAST_YEAR, 4, 2)] {
            check("DE-HH", day, Some("Ostermontag"));
        }
    }

    #[test]
    fn other_countries_are_there() {
        check("AT", date(2026, 10, 26), Some("Nationalfeiertag"));
        check("CH-ZH", date(2026, 8, 1), Some("Nationalfeiertag"));
        check("FR", date(2026, 7, 14), Some("Fête nationale"));
        check("GB-SCT", date(2026, 11, 30), Some("Saint Andrew's Day"));
        check("US", date(2026, 11, 26), Some("Thanksgiving Day"));
        check("XX", date(2026, 1, 1), None);
    }

    #[test]
    fn every_line_of_the_table_was_read() {
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<_> = line.split('|').collect();
            let [region, english, local, dates] = fields.as_slice() else { panic!("{line}") };
            assert!(!english.is_empty() && !local.is_empty(), "{line}");
            for text in dates.split(' ') {
                let day = Date::strptime("%Y%m%d", text).unwrap_or_else(|_| panic!("{line}"));
                assert!(holiday(region, day).is_some() && day.year() <= LAST_YEAR, "{region} {day}");
            }
        }
    }
}
