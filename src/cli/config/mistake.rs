//! Mistakes in a configuration: where they stand, how they are reported.

use std::fmt;

/// Where a setting comes from; in the order in which mistakes are reported.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Origin {
    /// The file. Lines count from 1; 0 is the file as a whole.
    File {
        /// The line on which the key stands.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// The flag of the setting of this name.
    Flag(&'static str),
}

impl Origin {
    /// The file, variables, flags: the later wins.
    pub(super) const fn layer(&self) -> u8 {
        match self {
            Self::File { .. } => 0,
            Self::Variable(_) => 1,
            Self::Flag(_) => 2,
        }
    }

    /// `login.toml:7`, `AUTH_TICKET_LISTEN` or `--listen`.
    fn shown(&self, file: &str) -> String {
        match self {
            Self::File { line: 0 } => file.to_owned(),
            Self::File { line } => format!("{file}:{line}"),
            Self::Variable(name) => name.clone(),
            Self::Flag(name) => format!("--{}", name.replace('_', "-")),
        }
    }
}

/// One mistake. Its texts never hold a secret's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mistake {
    /// Where it stands.
    pub(crate) origin: Origin,
    /// The key's full path, `app[1].secret_env`; empty when it is about no key.
    pub(crate) key: String,
    /// What is wrong, and what to write instead.
    pub(crate) message: String,
}

impl Mistake {
    pub(super) fn new(origin: Origin, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin, key: key.into(), message: message.into() }
    }

    /// Where it stands, the key, what is wrong and what to write.
    pub(super) fn line(&self, file: &str) -> String {
        let separator = if self.key.is_empty() { "" } else { ": " };
        format!("{}: {}{separator}{}", self.origin.shown(file), self.key, self.message)
    }
}

/// Everything that is wrong with a configuration, at once.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct ConfigError {
    /// The file as the user named it.
    pub(crate) file: String,
    /// At least one mistake: the file's by line, then variables by name, then flags by name.
    pub(crate) mistakes: Vec<Mistake>,
}

impl ConfigError {
    pub(super) fn new(file: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by(|a, b| a.origin.cmp(&b.origin));
        Self { file: file.to_owned(), mistakes }
    }

    /// One line for each mistake.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.mistakes.iter().map(|mistake| mistake.line(&self.file))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_file = self.mistakes.iter().any(|mistake| matches!(mistake.origin, Origin::File { .. }));
        let subject = if in_file { &self.file } else { "the configuration" };
        match self.mistakes.len() {
            1 => write!(f, "{subject} has 1 mistake")?,
            many => write!(f, "{subject} has {many} mistakes")?,
        }
        self.lines().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for ConfigError {}

/// A value as messages show it: quoted, escaped, at most 60 characters.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// The candidate that `word` is probably a misspelling of: at most one edit in three characters.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        let words = ["ttl", "listen", "admin_listen", "max_session"];
        for (word, expected) in [
            ("tll", Some("ttl")),
            ("lsiten", Some("listen")),
            ("max_sesion", Some("max_session")),
            ("adminlisten", Some("admin_listen")),
            ("port", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
    }

    #[test]
    fn long_values_are_shown_in_part_and_without_control_characters() {
        assert_eq!(quoted("a\u{1b}[1m\n"), r#""a\u{1b}[1m\n""#);
        assert_eq!(quoted(&"é".repeat(61)), format!("\"{}\"...", "é".repeat(60)));
    }
}
