//! What a good greeting has: the company first, the hours, what to do next, another way, 20 to 25 seconds, a date until
//! which it is current, and thanks. The words are looked for in German or English; what isn't found is asked for.

use aftertone_model::{Language, Timestamp};

/// From and to, in seconds.
pub const GOOD_LENGTH_S: (u64, u64) = (20, 25);

/// Somebody who reads aloud in a friendly way says so many words in ten seconds.
const WORDS_IN_10_S: u64 = 21;
/// So soon before its end one is reminded.
const SOON_S: i64 = 7 * 24 * 3600;

/// A greeting as far as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draft<'a> {
    /// What is said.
    pub text: &'a str,
    /// The length of the recording, in milliseconds; `None` before there is one.
    pub length_ms: Option<u64>,
    /// When it is out of date.
    pub expires_at: Option<Timestamp>,
    /// The language of the text.
    pub language: Language,
    /// The company, if it is known; else a phrase of greeting is looked for.
    pub company: &'a str,
    /// The person.
    pub name: &'a str,
}

/// A point of the checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// Company and name come first.
    WhoFirst,
    /// When somebody is there.
    Hours,
    /// What the caller can do.
    NextStep,
    /// Another way to reach us.
    OtherWay,
    /// 20 to 25 seconds.
    Length,
    /// It is still true.
    Current,
    /// The caller is thanked.
    Thanks,
}

/// What the coach says of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The point.
    pub point: Point,
    /// What is the matter with it.
    pub finding: Finding,
}

/// What is the matter with a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is there: these words.
    Found(String),
    /// It isn't there.
    Missing,
    /// It is there, but late in the text.
    Late(String),
    /// So many seconds are just right.
    GoodLength(u64),
    /// So many seconds are few.
    TooShort(u64),
    /// So many seconds are many.
    TooLong(u64),
    /// It speaks of a time that passes, and has no end. These words say so.
    NeedsExpiry(String),
    /// It doesn't speak of anything that passes.
    Timeless,
    /// It ends by itself then.
    Ends(Timestamp),
    /// It ends within a week.
    EndsSoon(Timestamp),
    /// It has ended.
    Ended(Timestamp),
}

impl Finding {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Found(_) | Self::GoodLength(_) | Self::Timeless | Self::Ends(_) | Self::EndsSoon(_))
    }
}

/// How long a text takes to be read aloud, in milliseconds.
#[must_use]
pub fn estimated_length_ms(text: &str) -> u64 {
    let words = text.split_whitespace().count() as u64;
    words * 10_000 / WORDS_IN_10_S
}

/// All points of the checklist, in its order.
#[must_use]
pub fn coach(draft: &Draft<'_>, at: Timestamp) -> Vec<Advice> {
    let advice = |point, finding| Advice { point, finding };
    let words = Words::of(draft.language);
    let looked_for = |these: &[&str]| phrase(draft.text, these).map_or(Finding::Missing, Finding::Found);
    vec![
        advice(Point::WhoFirst, who(draft, words)),
        advice(Point::Hours, hours(draft.text, words).map_or(Finding::Missing, Finding::Found)),
        advice(Point::NextStep, looked_for(words.next)),
        advice(Point::OtherWay, other_way(draft.text, words).map_or(Finding::Missing, Finding::Found)),
        advice(Point::Length, length(draft)),
        advice(Point::Current, current(draft, words, at)),
        advice(Point::Thanks, looked_for(words.thanks)),
    ]
}

/// What is looked for, in lower case. A word counts from its beginning.
struct Words {
    who: &'static [&'static str],
    days: &'static [&'static str],
    clock: &'static [&'static str],
    numbers: &'static [&'static str],
    range: &'static [&'static str],
    next: &'static [&'static str],
    ways: &'static [&'static str],
    passing: &'static [&'static str],
    thanks: &'static [&'static str],
}

const ENGLISH: Words = Words {
    who: &["you have reached", "you've reached", "this is", "welcome to"],
    days: &[
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "weekday",
        "business hours",
        "office hours",
        "opening hours",
        "around the clock",
    ],
    clock: &["o'clock", "a.m.", "p.m.", "noon"],
    numbers: &["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
    range: &["to", "until", "till", "and", "-", "–"],
    next: &["press", "leave a message", "leave your", "leave us", "call back", "call you back", "get back to you"],
    ways: &["write to", "email", "e-mail", "mail to", "website", "text me", "mobile", "my colleague", "www."],
    passing: &[
        "until",
        "vacation",
        "holiday",
        "today",
        "tomorrow",
        "this week",
        "next week",
        "away from",
        "on leave",
        "out of office",
        "january",
        "february",
        "march",
        "april",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
    thanks: &["thank", "appreciate", "grateful"],
};

const GERMAN: Words = Words {
    who: &["sie haben", "hier ist", "sie sind verbunden", "willkommen bei", "mein name ist", "sie erreichen"],
    days: &[
        "montag",
        "dienstag",
        "mittwoch",
        "donnerstag",
        "freitag",
        "samstag",
        "sonnabend",
        "sonntag",
        "werktag",
        "geschäftszeit",
        "öffnungszeit",
        "bürozeit",
        "sprechzeit",
        "rund um die uhr",
    ],
    clock: &["uhr"],
    numbers: &[
        "ein",
        "zwei",
        "drei",
        "vier",
        "fünf",
        "sechs",
        "sieben",
        "acht",
        "neun",
        "zehn",
        "elf",
        "zwölf",
        "dreizehn",
        "vierzehn",
        "fünfzehn",
        "sechzehn",
        "siebzehn",
        "achtzehn",
        "neunzehn",
        "zwanzig",
    ],
    range: &["bis", "und", "-", "–"],
    next: &[
        "drücken sie",
        "taste",
        "hinterlassen sie",
        "sprechen sie",
        "nachricht hinterlassen",
        "rufe zurück",
        "rufen zurück",
        "rufe sie",
        "rufen sie",
        "melde mich",
        "melden uns",
        "rückruf",
    ],
    ways: &[
        "schreiben sie",
        "e-mail",
        "email",
        "mail an",
        "webseite",
        "website",
        "mobil",
        "handy",
        "kollegin",
        "kollege",
        "www.",
    ],
    passing: &[
        "bis zum",
        "bis einschließlich",
        "urlaub",
        "heute",
        "morgen",
        "diese woche",
        "nächste woche",
        "nicht im büro",
        "im büro zurück",
        "feiertag",
        "januar",
        "februar",
        "märz",
        "april",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "dezember",
    ],
    thanks: &["dank", "freuen uns über", "freue mich über", "schön, dass sie"],
};

impl Words {
    fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &ENGLISH,
            Language::De => &GERMAN,
        }
    }
}

/// The first of the phrases that the text has, from the beginning of a word, as it stands there with the word's end.
fn phrase(text: &str, these: &[&str]) -> Option<String> {
    let (at, length) = these.iter().filter_map(|this| find(text, this).map(|at| (at, this.len()))).min_by_key(|(at, _)| *at)?;
    let end = text
        .get(at + length..)
        .map_or(text.len(), |rest| at + length + rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len()));
    text.get(at..end).map(ToOwned::to_owned)
}

/// Where a phrase in lower case stands, at the beginning of a word.
fn find(text: &str, phrase: &str) -> Option<usize> {
    text.char_indices().map(|(at, _)| at).find(|at| {
        let starts_word = text[..*at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
        starts_word && begins_with(&text[*at..], phrase)
    })
}

/// In whatever case; only for phrases whose letters keep their length in the other case.
fn begins_with(text: &str, phrase: &str) -> bool {
    let mut letters = text.chars();
    phrase.chars().all(|wanted| letters.next().is_some_and(|c| c == wanted || c.to_lowercase().eq(std::iter::once(wanted))))
}

fn who(draft: &Draft<'_>, words: &Words) -> Finding {
    let own = [draft.company, draft.name].map(|own| own.trim().to_lowercase());
    let company = own.iter().find(|own| !own.is_empty()).and_then(|own| find(draft.text, own).map(|at| (at, own.len())));
    let greeted = || words.who.iter().filter_map(|phrase| find(draft.text, phrase).map(|at| (at, phrase.len()))).min();
    let is_known = own.iter().any(|own| !own.is_empty());
    let Some((at, length)) = (if is_known { company } else { greeted() }) else { return Finding::Missing };
    let found = draft.text.get(at..at + length).unwrap_or_default().to_owned();
    // Within the first twelve words: after that it isn't first.
    if draft.text[..at].split_whitespace().count() <= 12 { Finding::Found(found) } else { Finding::Late(found) }
}

/// A weekday, a time of day, or two numbers with "to" between.
fn hours(text: &str, words: &Words) -> Option<String> {
    let tokens: Vec<&str> = text.split_whitespace().collect();
    let bare = |token: &str| token.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let is_number = |token: &str| {
        let token = bare(token);
        let is_clock = token.chars().next().is_some_and(|c| c.is_ascii_digit()) && token.len() <= 5;
        is_clock || words.numbers.contains(&token.as_str())
    };
    let range = tokens
        .windows(3)
        .find(|three| is_number(three[0]) && words.range.contains(&three[1].to_lowercase().as_str()) && is_number(three[2]));
    let range = range.map(|three| three.join(" ").trim_end_matches(|c: char| !c.is_alphanumeric()).to_owned());
    range.or_else(|| phrase(text, words.days)).or_else(|| phrase(text, words.clock))
}

/// An address, a telephone number, or words for one.
fn other_way(text: &str, words: &Words) -> Option<String> {
    let trimmed = |token: &str| token.trim_matches(|c: char| !c.is_alphanumeric() && c != '+').to_owned();
    let address = text.split_whitespace().map(trimmed).find(|token| {
        token.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !host.ends_with('.'))
    });
    address.or_else(|| telephone(text)).or_else(|| phrase(text, words.ways))
}

/// Six digits or more with what people write between them.
fn telephone(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '/' | '(' | ')');
    let runs = text.split(|c: char| !is_part(c)).map(str::trim);
    runs.filter(|run| run.chars().filter(char::is_ascii_digit).count() >= 6).map(ToOwned::to_owned).next()
}

fn length(draft: &Draft<'_>) -> Finding {
    let length_ms = draft.length_ms.unwrap_or_else(|| estimated_length_ms(draft.text));
    // As a clock shows it.
    let seconds = (length_ms + 500) / 1_000;
    match seconds {
        seconds if seconds < GOOD_LENGTH_S.0 => Finding::TooShort(seconds),
        seconds if seconds > GOOD_LENGTH_S.1 => Finding::TooLong(seconds),
        seconds => Finding::GoodLength(seconds),
    }
}

fn current(draft: &Draft<'_>, words: &Words, at: Timestamp) -> Finding {
    match draft.expires_at {
        Some(expires_at) if expires_at <= at => Finding::Ended(expires_at),
        Some(expires_at) if expires_at.as_second() - at.as_second() <= SOON_S => Finding::EndsSoon(expires_at),
        Some(expires_at) => Finding::Ends(expires_at),
        None => phrase(draft.text, words.passing).map_or(Finding::Timeless, Finding::NeedsExpiry),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "Hello, you have reached Mara Ernst at Ernst & Co. I am away until Monday, 7 December. Our office is open from \
        nine to five. For anything urgent press 0 for reception, or write to office@example.com. Please leave a message after the \
        tone. Thank you for calling.";
    const GUT: &str = "Guten Tag, Sie haben Mara Ernst von der Firma Ernst erreicht. Unser Büro ist montags bis freitags von neun bis \
        siebzehn Uhr besetzt. In dringenden Fällen drücken Sie die Null oder schreiben Sie an buero@example.de. Bitte hinterlassen Sie \
        eine Nachricht nach dem Ton. Vielen Dank für Ihren Anruf.";

    fn draft(text: &str, language: Language) -> Draft<'_> {
        Draft { text, length_ms: Some(23_000), expires_at: None, language, company: "", name: "" }
    }

    fn now() -> Timestamp {
        "2026-11-28T10:00:00Z".parse().unwrap()
    }

    fn finding(draft: &Draft<'_>, point: Point) -> Finding {
        coach(draft, now()).into_iter().find(|advice| advice.point == point).unwrap().finding
    }

    #[test]
    fn a_good_greeting_has_everything() {
        let ends = "2026-12-07T07:00:00Z".parse().unwrap();
        let english = Draft { expires_at: Some(ends), company: "Ernst & Co", ..draft(GOOD, Language::En) };
        let found = |text: &str| Finding::Found(text.into());
        let expect = [
            found("Ernst & Co"),
            found("nine to five"),
            found("press"),
            found("office@example.com"),
            Finding::GoodLength(23),
            Finding::Ends(ends),
            found("Thank"),
        ];
        let advice = coach(&english, now());
        assert_eq!(advice.iter().map(|advice| &advice.finding).collect::<Vec<_>>(), expect.iter().collect::<Vec<_>>());
        assert!(advice.iter().all(|advice| advice.finding.is_good()));
        let german = coach(&draft(GUT, Language::De), now());
        assert!(german.iter().all(|advice| advice.finding.is_good()), "{german:?}");
        assert_eq!(german[3].finding, found("buero@example.de"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let advice = coach(&Draft { length_ms: Some(3_000), ..draft("I am not here.", Language::En) }, now());
        let missing: Vec<_> = advice.iter().filter(|advice| !advice.finding.is_good()).map(|advice| advice.point).collect();
        assert_eq!(missing, [Point::WhoFirst, Point::Hours, Point::NextStep, Point::OtherWay, Point::Length, Point::Thanks]);
    }

    #[test]
    fn the_company_comes_first() {
        let late = "Hello and good day to you, whoever you are and wherever you may be calling from, this is Ernst.";
        let known = Draft { company: "Ernst", ..draft(late, Language::En) };
        assert_eq!(finding(&known, Point::WhoFirst), Finding::Late("Ernst".into()));
        let other = Draft { company: "Meier", ..draft(late, Language::En) };
        assert_eq!(finding(&other, Point::WhoFirst), Finding::Missing);
    }

    #[test]
    fn the_length_is_that_of_the_recording_or_else_of_the_words() {
        let of = |length_ms| finding(&Draft { length_ms, ..draft(GOOD, Language::En) }, Point::Length);
        assert_eq!(of(Some(19_400)), Finding::TooShort(19));
        assert_eq!(of(Some(19_600)), Finding::GoodLength(20));
        assert_eq!(of(Some(25_499)), Finding::GoodLength(25));
        assert_eq!(of(Some(25_500)), Finding::TooLong(26));
        // 47 words.
        assert_eq!(of(None), Finding::GoodLength(22));
    }

    #[test]
    fn what_passes_needs_an_end() {
        let vacation = draft("I am on vacation.", Language::En);
        assert_eq!(finding(&vacation, Point::Current), Finding::NeedsExpiry("vacation".into()));
        assert_eq!(finding(&draft("Ich bin im Urlaub.", Language::De), Point::Current), Finding::NeedsExpiry("Urlaub".into()));
        assert_eq!(finding(&draft("Leave a message.", Language::En), Point::Current), Finding::Timeless);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (end, expect) in [
            ("2026-11-28T10:00:00Z", Finding::Ended as fn(Timestamp) -> Finding),
            ("2026-12-05T10:00:00Z", Finding::EndsSoon),
            ("2026-12-05T10:00:01Z", Finding::Ends),
        ] {
            let ending = Draft { expires_at: Some(at(end)), ..vacation };
            assert_eq!(finding(&ending, Point::Current), expect(at(end)), "{end}");
        }
    }

    #[test]
    fn other_ways_are_recognised() {
        let way = |text| finding(&draft(text, Language::En), Point::OtherWay);
        assert_eq!(way("Call +49 30 123456."), Finding::Found("+49 30 123456".into()));
        assert_eq!(way("Press 0 or 1, we are open 9-17."), Finding::Missing);
        assert_eq!(way("Ask my colleague"), Finding::Found("my colleague".into()));
    }

    proptest! {
        #[test]
        fn no_text_is_a_danger(text in "(?s)(\\PC| |İ|ß|Dank|press|9 to 5|@){0,80}", company in "\\PC{0,8}") {
            for language in [Language::En, Language::De] {
                let draft = Draft { text: &text, company: &company, length_ms: None, expires_at: None, language, name: "" };
                prop_assert_eq!(coach(&draft, now()).len(), 7);
            }
        }
    }
}
