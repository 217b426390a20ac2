//! Small pieces of RFC 3261 25.1 that several headers share. All are total and linear.

/// Splits at `separator` where it stands neither inside a quoted string nor inside `<>`.
pub(crate) fn split_top_level(text: &str, separator: u8) -> Vec<&str> {
    split(text, separator, true)
}

/// Splits at `separator` where it does not stand inside a quoted string.
pub(crate) fn split_outside_quotes(text: &str, separator: u8) -> Vec<&str> {
    split(text, separator, false)
}

fn split(text: &str, separator: u8, angles: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped, mut angle) = (0, false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !angle => quoted = !quoted,
            b'<' if angles && !quoted => angle = true,
            b'>' if angles && !quoted => angle = false,
            _ if byte == separator && !quoted && !angle => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The text between quotes, or the text itself.
pub(crate) fn without_quotes(text: &str) -> &str {
    text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text)
}

/// Reads a quoted string at the start (after the opening quote): its content and what follows the closing quote.
pub(crate) fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((content, &text[at + 1..])),
            '\\' => content.push(chars.next()?.1),
            _ => content.push(c),
        }
    }
    None
}

/// `text` in quotes, with what must be escaped escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\r' | '\n' | '\0' => quoted.push(' '),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A parameter's value as it is written: a token as it is, anything else in quotes.
pub(crate) fn token_or_quoted(text: &str) -> String {
    if is_token(text) { text.to_owned() } else { quote(text) }
}

/// Nothing that is written may start a new line: a value from outside must not become a header.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\r' | '\n' | '\0') { ' ' } else { c }).collect()
}

/// RFC 3261 25.1 `token`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Decodes `%41`; a broken escape stays as it is, bytes that are not UTF-8 become the replacement character.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(hex_byte) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(value(digits[0])? * 16 + value(digits[1])?).ok()
}

/// Encodes everything but `unreserved` and `also` (RFC 3261 25.1).
pub(crate) fn percent_encode(text: &str, also: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) || also.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
