//! What a dialled number means: E.164 normalising, emergency numbers, and who may dial what.

use std::collections::BTreeMap;

use aftertone_model::{CallingRights, NumberFormat};

/// How numbers are dialled where the account lives. Without a country numbers are sent as they are dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialPlan {
    /// The own country's code, without plus: `49`.
    pub country: Option<String>,
    /// The own area's code, without the national prefix: `30`. With one, local numbers can be dialled.
    pub area: Option<String>,
    /// What stands for the plus.
    pub international_prefix: String,
    /// What comes before the area code.
    pub national_prefix: String,
    /// What is dialled for an outside line, as desk phones of old want it.
    pub outside_prefix: Option<String>,
    /// Always routed, whoever calls.
    pub emergency: Vec<String>,
    /// The trunk for them; the others are only tried when it fails.
    pub emergency_trunk: Option<String>,
    /// Beginnings of E.164 numbers that nobody may dial: premium rate numbers, countries known for fraud.
    pub barred: Vec<String>,
    /// With it before an extension or a name the mailbox is called, without ringing.
    pub mailbox_prefix: Option<String>,
    /// Numbers that stand for the mailbox of an extension or a name, without ringing.
    pub mailbox_numbers: BTreeMap<String, String>,
    /// Leads people on a device of their own into their phone menu, without a PIN.
    pub menu_number: Option<String>,
    /// Leads everybody into the phone menu, by mailbox and PIN.
    pub mailbox_number: Option<String>,
}

impl Default for DialPlan {
    fn default() -> Self {
        Self {
            country: None,
            area: None,
            international_prefix: "00".into(),
            national_prefix: "0".into(),
            outside_prefix: None,
            emergency: ["112", "110", "911", "999"].map(Into::into).into(),
            emergency_trunk: None,
            barred: Vec::new(),
            mailbox_prefix: Some("*98".into()),
            mailbox_numbers: BTreeMap::new(),
            menu_number: Some("*97".into()),
            mailbox_number: Some("*98".into()),
        }
    }
}

/// A number of the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Number {
    /// With plus and country code where that is known, else the digits.
    pub(crate) normal: String,
    pub(crate) dialled: String,
    pub(crate) reach: Reach,
}

/// How far a number reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Emergency,
    National,
    International,
    Barred,
}

impl Reach {
    pub(crate) fn is_open_to(self, rights: CallingRights) -> bool {
        match self {
            Self::Emergency => true,
            Self::National => rights >= CallingRights::National,
            Self::International => rights >= CallingRights::International,
            Self::Barred => false,
        }
    }
}

/// Numbers that cost more than a call, whatever is barred: the premium rates of the countries around us, of North America, and those
/// that belong to no country (ITU-T E.164: premium rate, satellites, networks).
const PREMIUM: [&str; 27] = [
    "+49900", "+49137", "+4918", "+43900", "+43901", "+43930", "+43931", "+41900", "+41901", "+41906", "+4487", "+449", "+3389",
    "+39899", "+34803", "+34806", "+34807", "+34905", "+31900", "+31906", "+31909", "+1900", "+1976", "+979", "+881", "+882",
    "+883",
];
/// The same as they are dialled at home where nobody has said which country that is, after the national prefix.
const PREMIUM_AT_HOME: [&str; 8] = ["900", "901", "906", "909", "930", "137", "180", "976"];

impl DialPlan {
    /// Whether somebody earns at calls to it.
    pub(crate) fn costs_extra(&self, number: &Number) -> bool {
        let starts = |text: &str, with: &[&str]| with.iter().any(|beginning| text.starts_with(beginning));
        let at_home = self.country.is_none().then(|| prefix_free(&number.normal, &self.national_prefix)).flatten();
        starts(&number.normal, &PREMIUM) || at_home.is_some_and(|rest| starts(rest, &PREMIUM_AT_HOME))
    }

    /// What was dialled, or `None` if it is no telephone number.
    pub(crate) fn number(&self, dialled: &str) -> Option<Number> {
        let dialled = digits_of(dialled)?;
        let inner = self.outside_prefix.as_deref().and_then(|prefix| dialled.strip_prefix(prefix)).filter(|rest| rest.len() >= 3);
        for number in inner.into_iter().chain([dialled.as_str()]) {
            if self.emergency.iter().any(|emergency| emergency == number) {
                return Some(Number { normal: number.to_owned(), dialled: number.to_owned(), reach: Reach::Emergency });
            }
        }
        let dialled = inner.unwrap_or(&dialled).to_owned();
        let normal = self.normal(&dialled);
        let reach = self.reach(&normal);
        Some(Number { normal, dialled, reach })
    }

    /// What an emergency call dials that names a service instead of a number (RFC 5031).
    pub(crate) fn service(&self, urn: &str) -> Option<Number> {
        let is_sos = urn.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("urn:service:sos"));
        let is_whole = urn.get(15..).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ';']));
        let dialled = self.emergency.first().filter(|_| is_sos && is_whole)?.clone();
        Some(Number { normal: dialled.clone(), dialled, reach: Reach::Emergency })
    }

    /// A number as it came from outside, in the form that can be compared and called back.
    pub(crate) fn normal(&self, number: &str) -> String {
        if number.starts_with('+') {
            return number.to_owned();
        }
        if let Some(rest) = prefix_free(number, &self.international_prefix) {
            return format!("+{rest}");
        }
        let Some(country) = &self.country else { return number.to_owned() };
        if let Some(rest) = prefix_free(number, &self.national_prefix) {
            return format!("+{country}{rest}");
        }
        // What is shorter is a service of the network, or an extension of a neighbouring exchange.
        match &self.area {
            Some(area) if number.len() >= 5 && number.bytes().all(|b| b.is_ascii_digit()) => format!("+{country}{area}{number}"),
            Some(_) | None => number.to_owned(),
        }
    }

    /// Whether two numbers are the same one, in whatever form (providers leave out the plus, or send the national form).
    pub(crate) fn is_same(&self, one: &str, other: &str) -> bool {
        let forms = |number: &str| [number, &self.normal(number)].map(|form| form.trim_start_matches('+').to_owned());
        let others = forms(other);
        forms(one).iter().any(|form| others.contains(form))
    }

    /// The number as a trunk wants it.
    pub(crate) fn formatted(&self, number: &Number, format: NumberFormat) -> String {
        if number.reach == Reach::Emergency {
            return number.normal.clone();
        }
        match format {
            NumberFormat::E164 => number.normal.clone(),
            NumberFormat::Digits => number.normal.trim_start_matches('+').to_owned(),
            NumberFormat::Dialled => number.dialled.clone(),
            NumberFormat::National => self.national(&number.normal),
        }
    }

    fn national(&self, normal: &str) -> String {
        let Some(digits) = normal.strip_prefix('+') else { return normal.to_owned() };
        match self.country.as_deref().and_then(|country| digits.strip_prefix(country)) {
            Some(rest) => format!("{}{rest}", self.national_prefix),
            None => format!("{}{digits}", self.international_prefix),
        }
    }

    fn reach(&self, normal: &str) -> Reach {
        if self.barred.iter().any(|beginning| normal.starts_with(beginning.as_str())) {
            return Reach::Barred;
        }
        let is_home = |digits: &str| self.country.as_deref().is_some_and(|country| digits.starts_with(country));
        match normal.strip_prefix('+') {
            Some(digits) if is_home(digits) => Reach::National,
            Some(_) => Reach::International,
            None => Reach::National,
        }
    }
}

fn prefix_free<'a>(number: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() { None } else { number.strip_prefix(prefix).filter(|rest| !rest.is_empty()) }
}

/// The digits of a number without what people write between them (RFC 3966 section 5.1.1); `*` and `#` stay.
fn digits_of(text: &str) -> Option<String> {
    let (plus, rest) = text.trim_start().strip_prefix('+').map_or(("", text), |rest| ("+", rest));
    // The national prefix in brackets, as letterheads show it, is not dialled after a country code.
    let rest = if plus.is_empty() { rest.to_owned() } else { rest.replacen("(0)", "", 1) };
    let digits: String = rest.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ' | '/')).collect();
    let is_number =
        !digits.is_empty() && digits.len() <= 30 && digits.bytes().all(|b| b.is_ascii_digit() || b == b'*' || b == b'#');
    is_number.then(|| format!("{plus}{digits}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn berlin() -> DialPlan {
        DialPlan {
            country: Some("49".into()),
            area: Some("30".into()),
            outside_prefix: Some("9".into()),
            barred: vec!["+49900".into(), "+882".into()],
            ..DialPlan::default()
        }
    }

    fn check(dialled: &str, normal: &str, reach: Reach) {
        let number = berlin().number(dialled).unwrap();
        assert_eq!((number.normal.as_str(), number.reach), (normal, reach), "{dialled}");
    }

    #[test]
    fn numbers_are_normalised_however_they_are_dialled() {
        check("+49 30 123456", "+4930123456", Reach::National);
        check("+49 (0)30 123456", "+4930123456", Reach::National);
        check("030/123456", "+4930123456", Reach::National);
        check("123456", "+4930123456", Reach::National);
        check("004930123456", "+4930123456", Reach::National);
        check("9030123456", "+4930123456", Reach::National);
        check("0043 1 234567", "+431234567", Reach::International);
        check("900431234567", "+431234567", Reach::International);
        check("09001234567", "+499001234567", Reach::Barred);
        check("00882 12345678", "+88212345678", Reach::Barred);
        check("112", "112", Reach::Emergency);
        check("9112", "112", Reach::Emergency);
    }

    #[test]
    fn numbers_at_which_somebody_earns_are_known() {
        let check = |plan: &DialPlan, dialled: &str, expected| {
            assert_eq!(plan.costs_extra(&plan.number(dialled).unwrap()), expected, "{dialled}");
        };
        for dialled in ["09001234567", "0137 123456", "+43 930 123456", "00979 1234567", "00881 612345678"] {
            check(&berlin(), dialled, true);
        }
        for dialled in ["030123456", "0800 1234567", "0043 1 234567", "112", "1001"] {
            check(&berlin(), dialled, false);
        }
        let anywhere = DialPlan::default();
        check(&anywhere, "09001234567", true);
        check(&anywhere, "030123456", false);
    }

    #[test]
    fn an_emergency_may_be_named_instead_of_dialled() {
        let plan = DialPlan::default();
        for urn in ["urn:service:sos", "URN:service:sos.police"] {
            assert_eq!(plan.service(urn).map(|number| (number.normal, number.reach)), Some(("112".into(), Reach::Emergency)));
        }
        for urn in ["urn:service:sosa", "urn:service:counseling", "sip:112@example.org", ""] {
            assert_eq!(plan.service(urn), None, "{urn}");
        }
    }

    #[test]
    fn names_are_no_numbers() {
        for text in ["", "anna", "+", "1001x", "0301234567890123456789012345678901"] {
            assert_eq!(berlin().number(text), None, "{text}");
        }
    }

    #[test]
    fn trunks_get_numbers_as_they_want_them() {
        let as_sent = |dialled: &str, format| berlin().formatted(&berlin().number(dialled).unwrap(), format);
        assert_eq!(as_sent("030123456", NumberFormat::E164), "+4930123456");
        assert_eq!(as_sent("030123456", NumberFormat::Digits), "4930123456");
        assert_eq!(as_sent("+4930123456", NumberFormat::National), "030123456");
        assert_eq!(as_sent("+431234567", NumberFormat::National), "00431234567");
        assert_eq!(as_sent("9030123456", NumberFormat::Dialled), "030123456");
        assert_eq!(as_sent("110", NumberFormat::E164), "110");
    }

    #[test]
    fn without_a_country_the_prefixes_tell_how_far_a_number_reaches() {
        let plan = DialPlan::default();
        let reach = |dialled: &str| plan.number(dialled).unwrap().reach;
        assert_eq!(reach("030123456"), Reach::National);
        assert_eq!(reach("0043123456"), Reach::International);
        assert_eq!(reach("+43123456"), Reach::International);
        assert!(!reach("0043123456").is_open_to(CallingRights::National));
        assert!(reach("112").is_open_to(CallingRights::Internal));
    }

    #[test]
    fn providers_write_the_same_number_in_many_ways() {
        for number in ["+4930123456", "4930123456", "030123456", "004930123456", "123456"] {
            assert!(berlin().is_same(number, "+4930123456"), "{number}");
        }
        assert!(!berlin().is_same("+4930123457", "+4930123456"));
    }
}
