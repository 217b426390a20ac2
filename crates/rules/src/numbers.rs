//! Whether a caller's number is the one that is meant, however both are written.

/// Whether `number` is `pattern`, or begins like one that ends in `*`.
///
/// What people write between digits doesn't count; `00` is a plus; a national number (`030…`) is the same as its
/// international one (`+4930…`), whatever the country: a country's code has three digits at most (ITU-T E.164).
pub(crate) fn matches(pattern: &str, number: &str) -> bool {
    let (pattern, is_beginning) = match pattern.trim().strip_suffix('*') {
        Some(rest) => (rest, true),
        None => (pattern.trim(), false),
    };
    let (pattern, number) = (normal(pattern), normal(number));
    if pattern.is_empty() || number.is_empty() {
        return is_beginning && pattern.is_empty() && !number.is_empty();
    }
    let fits = |number: &str, pattern: &str| if is_beginning { number.starts_with(pattern) } else { number == pattern };
    fits(&number, &pattern)
        || is_national(&pattern, &number, is_beginning)
        || (!is_beginning && is_national(&number, &pattern, false))
}

fn is_national(national: &str, international: &str, is_beginning: bool) -> bool {
    let (Some(rest), Some(digits)) = (national.strip_prefix('0'), international.strip_prefix('+')) else { return false };
    // Shorter ones would fit by chance.
    rest.len() >= 2
        && (1..=3).any(|code| {
            digits
                .get(code..)
                .is_some_and(|own| if is_beginning { own.starts_with(rest) } else { rest.len() >= 5 && own == rest })
        })
}

fn normal(number: &str) -> String {
    let number = number.trim();
    let number = number.strip_prefix("sip:").or_else(|| number.strip_prefix("sips:")).unwrap_or(number);
    if number.contains(|c: char| c.is_alphabetic()) {
        return number.to_lowercase();
    }
    let kept: String = number.chars().filter(|c| c.is_ascii_digit() || matches!(c, '+' | '#')).collect();
    match kept.strip_prefix("00") {
        Some(rest) if !rest.is_empty() => format!("+{rest}"),
        Some(_) | None => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, number: &str, expect: bool) {
        assert_eq!(matches(pattern, number), expect, "{pattern} {number}");
    }

    #[test]
    fn numbers_are_compared_however_they_are_written() {
        check("+49 30 123456", "+4930123456", true);
        check("0049 (30) 123456", "+4930123456", true);
        check("030/123456", "+4930123456", true);
        check("+4930123456", "030123456", true);
        check("030 123456", "+4930123457", false);
        check("030 123456", "+492030123456", false);
        check("1002", "1002", true);
        check("1002", "10021", false);
        check("ANNA@Example.com", "sip:anna@example.com", true);
        check("", "1002", false);
        check("1002", "", false);
    }

    #[test]
    fn a_star_stands_for_all_that_begin_so() {
        check("+4930*", "+4930123456", true);
        check("030*", "+4930123456", true);
        check("10*", "1002", true);
        check("10*", "2002", false);
        check("*", "2002", true);
        check("*", "", false);
    }
}
