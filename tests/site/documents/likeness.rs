//! Whether what was printed is what a document shows: ids, times and versions may differ, and nothing else.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A ticket or JWT, a time, a time from now, Unix seconds, an id in hex digits, a version or an address.
static CHANGING: LazyLock<Regex> = LazyLock::new(|| {
    let patterns = [
        r#"(?<sealed>"(?:A[Q-Za-f]|eyJ)[\w.-]*(?:\.\.\.|…|[\w.-]{100})")"#,
        r"(?<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\b\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT)",
        r"(?<when>\bnow\b|\bin \d+[dhms](?: \d+[dhms])?\b|\b\d+[dhms](?: \d+[dhms])? ago\b)",
        r"\b(?<unix>1[789]\d{8})\b",
        r"\b(?<id>[0-9a-f]{16}|[0-9a-f]{8})\b",
        r"\b(?<dotted>\d+(?:\.\d+){2,3})\b",
    ];
    Regex::new(&patterns.join("|")).unwrap()
});

/// What the ids of a document are here, found by comparing.
pub(super) type Ids = BTreeMap<String, String>;

/// `text` without what may differ and without white space, and its ids in their order.
fn plain(text: &str) -> (String, Vec<String>) {
    let mut ids = Vec::new();
    let replaced = CHANGING.replace_all(text, |found: &Captures<'_>| {
        let kind = ["sealed", "time", "when", "unix", "id"].into_iter().find(|kind| found.name(kind).is_some());
        match kind {
            Some(kind) => {
                ids.extend(found.name("id").map(|id| id.as_str().to_owned()));
                format!("<{kind}>")
            }
            // 127.0.0.1 is no version.
            None if found[0].matches('.').count() == 3 => found[0].to_owned(),
            None => "<version>".to_owned(),
        }
    });
    (replaced.replace("...", "…").split_whitespace().collect(), ids)
}

/// Whether `text` is `pattern`, in which `…` stands for some text.
fn fits(text: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('…') else { return text == pattern };
    let Some(text) = text.strip_prefix(head) else { return false };
    text.char_indices().map(|(at, _)| at).skip(1).chain([text.len()]).any(|end| end > 0 && fits(&text[end..], rest))
}

/// Whether `printed` is what is `shown`, and each id stands for the same one as before. Learns new ones.
pub(super) fn is_like(printed: &str, shown: &str, ids: &mut Ids) -> bool {
    let ((printed, here), (shown, there)) = (plain(printed), plain(shown));
    if !fits(&printed, &shown) {
        return false;
    }
    // With an ellipsis nobody knows which is which.
    if here.len() != there.len() {
        return true;
    }
    there.into_iter().zip(here).all(|(there, here)| *ids.entry(there).or_insert_with(|| here.clone()) == here)
}

#[test]
fn an_ellipsis_stands_for_some_text() {
    for (text, pattern, expected) in [
        ("abc", "abc", true),
        ("abc", "a…c", true),
        ("abc", "…", true),
        ("abxbc", "a…b…c", false),
        ("abxbyc", "a…b…c", true),
        ("ac", "a…c", false),
        ("abcd", "a...c", false),
        ("abcd", "a...d", true),
    ] {
        assert_eq!(is_like(text, pattern, &mut Ids::new()), expected, "{text} {pattern}");
    }
}

#[test]
fn ids_times_and_versions_may_differ_and_nothing_else() {
    let shown = "made ticket-edb49224, in 1h (2026-11-23T02:43:11Z) 1795398191 0.1.0 at 127.0.0.1";
    let like = |printed: &str| is_like(printed, shown, &mut Ids::new());
    assert!(like("made  ticket-00000000, 1m 2s ago (2027-01-01T00:00:00Z)\n1800000000 12.0.3 at 127.0.0.1"));
    for printed in [
        shown.replace("made", "added"),
        shown.replace("edb49224", "edb4922"),
        shown.replace("127.0.0.1", "127.0.0.2"),
        shown.replace("in 1h", "later"),
        format!("{shown} more"),
    ] {
        assert!(!like(&printed), "{printed}");
    }
}

#[test]
fn an_id_stands_for_the_same_one_all_along() {
    let mut ids = Ids::new();
    assert!(is_like("a 00000001 b 00000002", "a edb49224 b 57b6db88", &mut ids));
    assert!(is_like("00000002", "57b6db88", &mut ids) && !is_like("00000001", "57b6db88", &mut ids));
    assert_eq!(ids["edb49224"], "00000001");
}
