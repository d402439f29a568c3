//! What arrives at a service as an identity, and what a client may try.

use super::files::IDENTITY;
use super::service::Seen;

/// The value of everything that a client makes up.
pub(super) const FORGED: &str = "forged";

/// What may stand in a header's name beside letters and digits (RFC 9110 section 5.6.2).
const MARKS: &str = "-_.!#$%&'*+^`|~";

/// Which of them a gateway is asked to see through.
#[derive(Clone, Copy, Debug)]
pub(super) enum Marks {
    All,
    /// The three that frameworks are known to fold into one: `-`, `_`, `.`.
    Common,
}

/// Names that some service might take for one of ours; `future` for those that are nobody's yet.
pub(super) fn spellings(marks: Marks, future: bool) -> Vec<String> {
    let mut spellings = Vec::new();
    let suffixes = IDENTITY.iter().map(|name| &name["x-auth-".len()..]).chain(["future", "roles"]);
    for suffix in suffixes {
        for (at, first) in MARKS.chars().enumerate() {
            for (other_at, second) in MARKS.chars().enumerate() {
                let is_common = at < 3 && other_at < 3;
                let is_future = (first, second) == ('-', '-') && matches!(suffix, "future" | "roles");
                if (matches!(marks, Marks::Common) && !is_common) || (is_future && !future) {
                    continue;
                }
                let plain = format!("x{first}auth{second}{suffix}");
                if is_common {
                    let folded = format!("x{first}auth{second}{}", suffix.replace('-', &second.to_string()));
                    let odd: String = (0..)
                        .zip(plain.chars())
                        .map(|(at, c)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c })
                        .collect();
                    spellings.extend([plain.to_uppercase(), odd, folded]);
                }
                spellings.push(plain);
            }
        }
    }
    spellings
}

/// The identity that a service sees, whatever it folds: names as [`IDENTITY`] has them, and empty values left out.
#[track_caller]
pub(super) fn identity(seen: &Seen) -> Vec<(String, String)> {
    let mut identity = Vec::new();
    for (name, value) in &seen.headers {
        let folded: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        if folded.starts_with("x-auth-") {
            assert_eq!(*name, folded, "{seen:?}");
            assert_eq!(seen.all(name).len(), 1, "{seen:?}");
            if !value.is_empty() {
                identity.push((name.clone(), value.clone()));
            }
        }
        assert!(!value.contains(FORGED), "{name} in {seen:?}");
    }
    identity.sort();
    identity
}

/// The same of headers that a check was answered with.
pub(super) fn expected(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers.retain(|(_, value)| !value.is_empty());
    headers.sort();
    headers
}
