use std::fmt;

use crate::grammar;

/// Parameters as in `;name=value;flag`, in their order, written as they were read. Names are compared
/// without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// No parameters.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Reads `name=value;flag`, with or without a leading semicolon. Semicolons inside quotes do not part.
    /// Empty parameters are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs =
            grammar::split_outside_quotes(text, b';').into_iter().map(str::trim).filter(|part| !part.is_empty()).map(|part| {
                match part.split_once('=') {
                    Some((name, value)) => (name.trim_end().to_owned(), Some(value.trim_start().to_owned())),
                    None => (part.to_owned(), None),
                }
            });
        Self(pairs.filter(|(name, _)| !name.is_empty()).collect())
    }

    /// The value, without surrounding quotes; `Some("")` for a parameter without a value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(grammar::without_quotes(value.as_deref().unwrap_or_default()))
    }

    /// Whether the parameter is there, with or without a value.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets a parameter, replacing one of that name. A value that is no token is written in quotes by the
    /// caller, or percent-encoded in a URI.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(grammar::one_line);
        match self.0.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some(pair) => pair.1 = value,
            None => self.0.push((grammar::one_line(name), value)),
        }
    }

    /// Takes a parameter away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// Name and raw value of each parameter.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}
