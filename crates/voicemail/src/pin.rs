use std::fmt;

/// The fewest digits of a PIN.
pub const SHORTEST_PIN: usize = 6;
/// The most.
pub const LONGEST_PIN: usize = 12;

/// Why a PIN is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeakPin {
    /// Fewer than six digits, more than twelve, or something else than digits.
    Length,
    /// The extension, or the extension over and over.
    Extension,
    /// Digits that follow each other up or down: 123456, 987654, 890123.
    Run,
    /// The same few digits over and over: 111111, 121212, 123123.
    Repetition,
}

impl fmt::Display for WeakPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a PIN has 6 to 12 digits",
            Self::Extension => "a PIN is not the extension",
            Self::Run => "a PIN is no run of digits",
            Self::Repetition => "a PIN is no repetition of the same digits",
        })
    }
}

impl std::error::Error for WeakPin {}

/// A PIN that somebody entered, right or wrong. It never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(String);

impl Pin {
    /// What was entered, as it was entered.
    #[must_use]
    pub fn entered(digits: impl Into<String>) -> Self {
        Self(digits.into())
    }

    /// A new PIN for the mailbox of `extension`.
    ///
    /// # Errors
    /// Where it could be guessed.
    pub fn chosen(digits: impl Into<String>, extension: &str) -> Result<Self, WeakPin> {
        let digits = digits.into();
        let is_length = (SHORTEST_PIN..=LONGEST_PIN).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if !is_length {
            return Err(WeakPin::Length);
        }
        if is_repetition_of(&digits, extension) {
            return Err(WeakPin::Extension);
        }
        if is_run(&digits) {
            return Err(WeakPin::Run);
        }
        if (1..=digits.len() / 2).any(|length| is_repetition_of(&digits, &digits[..length])) {
            return Err(WeakPin::Repetition);
        }
        Ok(Self(digits))
    }

    /// The digits, for whoever hashes or compares them.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// Whether `digits` is `part` over and over, whatever is cut off at its end.
fn is_repetition_of(digits: &str, part: &str) -> bool {
    !part.is_empty() && part.bytes().cycle().zip(digits.bytes()).all(|(one, other)| one == other)
}

/// Whether each digit is one more, or each one less, than the one before; 0 follows 9.
fn is_run(digits: &str) -> bool {
    let steps = |step: u8| digits.as_bytes().windows(2).all(|pair| (pair[0] - b'0' + step) % 10 == pair[1] - b'0');
    steps(1) || steps(9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(digits: &str, expect: Option<WeakPin>) {
        assert_eq!(Pin::chosen(digits, "1001").err(), expect, "{digits}");
    }

    #[test]
    fn a_pin_is_none_that_would_be_guessed_first() {
        for digits in ["", "12345", "1234567890123", "12345a", "12 345"] {
            check(digits, Some(WeakPin::Length));
        }
        for digits in ["123456", "987654", "890123", "3210987", "012345678901"] {
            check(digits, Some(WeakPin::Run));
        }
        for digits in ["111111", "121212", "123123", "48154815", "7907907"] {
            check(digits, Some(WeakPin::Repetition));
        }
        for digits in ["100110", "10011001", "100110011001"] {
            check(digits, Some(WeakPin::Extension));
        }
        for digits in ["482159", "1357924", "112233", "271828182845"] {
            check(digits, None);
        }
    }

    #[test]
    fn a_pin_shows_in_no_log() {
        assert_eq!(format!("{:?}", Pin::entered("482159")), "Pin(…)");
    }
}
