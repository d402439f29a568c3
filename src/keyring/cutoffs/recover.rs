//! What can be understood of a `cutoffs.json` that is not right. A cut-off takes power away, so one that stands whole in a
//! damaged list is still in force, and a command that rewrites the list keeps what it does not understand.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::list::{self, Cutoff, CutoffsError};

/// The member that holds the list.
const CUTOFFS: &str = "cutoffs";

/// The white space of JSON (RFC 8259 section 2).
const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A list of cut-offs as far as it can be understood.
///
/// Entries of version 1's shapes count whatever the text's `v` is. Of a text that is no JSON, the entries count that stand
/// whole before the fault.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// All entries that stand whole in the text, in its order.
    pub entries: Vec<Entry>,
    /// What is wrong with the text; the first thing if there are several.
    pub fault: Option<CutoffsError>,
    /// Whether the text is JSON of a list's shape to its end: then [`Recovered::encode`] loses nothing of it.
    pub is_whole: bool,
    /// Its `v` and whatever else stands beside the list.
    members: Vec<(String, Box<RawValue>)>,
}

/// One entry of a list.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "an entry is understood or it is not")]
pub enum Entry {
    /// A cut-off of version 1.
    Cutoff(Cutoff),
    /// Something else, kept as it stands.
    Other(Other),
}

/// An entry that this version does not understand.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Other {
    /// Its place in the list, counted from 1.
    pub number: usize,
    /// What is wrong with it.
    pub what: &'static str,
    text: Box<RawValue>,
}

impl Other {
    /// The entry's own JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.get()
    }
}

/// A right list without an entry, as where there is no file.
impl Default for Recovered {
    fn default() -> Self {
        Self { entries: Vec::new(), fault: None, is_whole: true, members: Vec::new() }
    }
}

impl Recovered {
    /// Understands as much of `text` as can be understood. An empty text is a list that was cut off at its beginning.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        let mut entries = Vec::new();
        let mut members = Vec::new();
        let whole = walk(
            valid_part(text),
            CUTOFFS,
            |number, entry| {
                entries.push(match list::entry(entry.get()) {
                    Ok(cutoff) => Entry::Cutoff(cutoff),
                    Err(what) => Entry::Other(Other { number, what, text: entry.to_owned() }),
                });
            },
            |name, value| members.push((name, value.to_owned())),
        );
        Self { entries, fault: fault(text), is_whole: whole.is_some() && str::from_utf8(text).is_ok(), members }
    }

    /// The cut-offs that were understood, in the order of the list.
    pub fn cutoffs(&self) -> impl Iterator<Item = &Cutoff> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Cutoff(cutoff) => Some(cutoff),
            Entry::Other(_) => None,
        })
    }

    /// The entries that were not.
    pub fn others(&self) -> impl Iterator<Item = &Other> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Other(other) => Some(other),
            Entry::Cutoff(_) => None,
        })
    }

    /// The text of a list with `entries` as they are now, with the `v` of the text that was read (1 where it had none),
    /// ended by a line feed. What was not understood stands in it as it stood.
    ///
    /// # Panics
    /// Never: texts and values that were read as JSON can be written as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        const JSON: &str = "texts are always JSON";
        let mut text = String::from("{");
        let is_version = |(name, _): &&(String, Box<RawValue>)| name == "v";
        text.push_str("\"v\":");
        text.push_str(self.members.iter().find(is_version).map_or("1", |(_, value)| value.get()));
        text.push_str(",\"cutoffs\":[");
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            match entry {
                Entry::Cutoff(cutoff) => text.push_str(&serde_json::to_string(cutoff).expect(JSON)),
                Entry::Other(other) => text.push_str(other.text()),
            }
        }
        text.push(']');
        for (name, value) in self.members.iter().filter(|member| !is_version(member)) {
            text.push(',');
            text.push_str(&serde_json::to_string(name).expect(JSON));
            text.push(':');
            text.push_str(value.get());
        }
        text.push_str("}\n");
        text
    }
}

/// Gives each cut-off that can be understood in `text`, one after the other, and says what is wrong with it. No list of
/// entries is kept: there may be a million of them.
pub(super) fn each(text: &[u8], mut take: impl FnMut(Cutoff)) -> Option<CutoffsError> {
    let (mut versions, mut others) = (Vec::new(), 0);
    let whole = walk(
        valid_part(text),
        CUTOFFS,
        |_, entry| match list::entry(entry.get()) {
            Ok(cutoff) => take(cutoff),
            Err(_) => others += 1,
        },
        |name, value| versions.extend((name == "v").then(|| value.get().to_owned())),
    );
    // Read once more only where that is needed to say what is wrong.
    let is_right =
        whole == Some(1) && others == 0 && versions == ["1"] && text.starts_with(valid_part(text).as_bytes());
    if is_right { None } else { fault(text) }
}

/// Gives the JSON of each entry that stands whole in the list `name` of the object `text`, whatever else is wrong with it.
pub(crate) fn each_entry(text: &[u8], name: &str, mut take: impl FnMut(&str)) {
    walk(valid_part(text), name, |_, entry| take(entry.get()), |_, _| {});
}

/// What is wrong with `text`.
fn fault(text: &[u8]) -> Option<CutoffsError> {
    let Ok(text) = str::from_utf8(text) else { return Some(CutoffsError::NotText) };
    match list::entries(text) {
        Ok(mut entries) => entries.find_map(Result::err),
        Err(error) => Some(error),
    }
}

/// The longest beginning of `text` that is UTF-8, without a byte order mark.
fn valid_part(text: &[u8]) -> &str {
    let part = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    part.strip_prefix('\u{feff}').unwrap_or(part)
}

/// Gives each whole entry of the list of this name, with its number, and each other whole member. `None` if the text ends or goes wrong before
/// the end of the object, or goes on after it; otherwise the number of lists in it.
fn walk<'a>(
    text: &'a str,
    list: &str,
    mut entry: impl FnMut(usize, &'a RawValue),
    mut member: impl FnMut(String, &'a RawValue),
) -> Option<usize> {
    let mut rest = Rest(text);
    let (mut number, mut lists) = (0, 0);
    rest.eat('{')?;
    if rest.eat('}').is_some() {
        return rest.end().map(|()| lists);
    }
    loop {
        let name: String = rest.value()?;
        rest.eat(':')?;
        if name == list && rest.eat('[').is_some() {
            lists += 1;
            let mut ended = rest.eat(']');
            while ended.is_none() {
                number += 1;
                entry(number, rest.raw()?);
                ended = rest.eat(']');
                if ended.is_none() {
                    rest.eat(',')?;
                }
            }
        } else {
            member(name, rest.raw()?);
        }
        if rest.eat('}').is_some() {
            return rest.end().map(|()| lists);
        }
        rest.eat(',')?;
    }
}

/// What is left to read of a text.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Takes `sign` if it comes next.
    fn eat(&mut self, sign: char) -> Option<()> {
        self.0 = self.0.trim_start_matches(WHITE_SPACE).strip_prefix(sign)?;
        Some(())
    }

    /// Whether nothing more comes.
    fn end(&self) -> Option<()> {
        self.0.trim_start_matches(WHITE_SPACE).is_empty().then_some(())
    }

    fn raw(&mut self) -> Option<&'a RawValue> {
        self.next()
    }

    fn value<T: DeserializeOwned>(&mut self) -> Option<T> {
        self.next()
    }

    /// Takes the value that comes next, if it stands whole.
    fn next<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter();
        let value = values.next()?.ok()?;
        self.0 = self.0.get(values.byte_offset()..)?;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::UnixSeconds;
    use crate::keyring::LoginId;
    use crate::keyring::cutoffs::Who;

    const LOGIN: &str = r#"{"scope":"login","login_id":"60c7e322d1691070","created":"2026-11-22T21:00:00Z"}"#;
    const ALL: &str = r#"{"scope":"all","before":"1970-01-01T00:01:40Z","created":"2026-11-22T21:00:00Z"}"#;

    /// `text`, with what was read of it: numbers of cut-offs and of others.
    #[track_caller]
    fn counts(text: &str, cutoffs: usize, others: usize) -> Recovered {
        let recovered = Recovered::read(text.as_bytes());
        assert_eq!((recovered.cutoffs().count(), recovered.others().count()), (cutoffs, others), "{text}");
        let mut each_one = Vec::new();
        assert_eq!(each(text.as_bytes(), |cutoff| each_one.push(cutoff)), recovered.fault, "{text}");
        assert!(recovered.cutoffs().eq(&each_one), "{text}");
        recovered
    }

    #[test]
    fn entries_that_are_understood_count_beside_others() {
        for other in [r#"{"scope":"nobody"}"#, "null", "7", r#""all""#, "[{}]", &ALL.replace('{', "{\"why\":1,")] {
            let text = format!(r#"{{"v":1,"cutoffs":[{other}, {ALL} ,{LOGIN}]}}"#);
            let recovered = counts(&text, 2, 1);
            assert!(matches!(recovered.fault, Some(CutoffsError::Entry { number: 1, .. })), "{other}");
            assert!(recovered.is_whole, "{other}");
            let rewritten = recovered.encode();
            assert_eq!(rewritten, format!("{{\"v\":1,\"cutoffs\":[{other},{ALL},{LOGIN}]}}\n"));
        }
    }

    #[test]
    fn entries_of_another_version_count() {
        for head in [r#""v":2"#, r#""v":"1""#, r#""note":"by hand""#, r#""v":99999999999999999999,"a":{"b":[]}"#] {
            for text in
                [format!(r#"{{{head},"cutoffs":[{ALL}]}}"#), format!(" {{ \"cutoffs\" :[ {ALL}\r\n]\t, {head} }} ")]
            {
                let recovered = counts(&text, 1, 0);
                assert!(recovered.fault.is_some() && recovered.is_whole, "{text}");
                let again = counts(&recovered.encode(), 1, 0);
                assert_eq!(again.encode(), recovered.encode(), "{text}");
                assert!(recovered.encode().contains(head.split(',').next_back().unwrap()), "{}", recovered.encode());
            }
        }
        let mut recovered = counts(r#"{"v":2,"cutoffs":[]}"#, 0, 0);
        recovered
            .entries
            .push(Entry::Cutoff(list::parse(&format!(r#"{{"v":1,"cutoffs":[{ALL}]}}"#)).unwrap().remove(0)));
        assert_eq!(recovered.encode(), format!("{{\"v\":2,\"cutoffs\":[{ALL}]}}\n"));
    }

    #[test]
    fn whole_entries_before_the_fault_count() {
        for end in ["", ",", "},", ",{\"scope\":\"all\"", "\0\0\0", "]]", "]}]}", "]}{}"] {
            let recovered = counts(&format!(r#"{{"v":1,"cutoffs":[{ALL},{LOGIN}{end}"#), 2, 0);
            assert!(matches!(recovered.fault, Some(CutoffsError::Shape { .. })) && !recovered.is_whole, "{end}");
            assert_eq!(recovered.encode(), format!("{{\"v\":1,\"cutoffs\":[{ALL},{LOGIN}]}}\n"));
        }
        let garbled =
            [format!(r#"{{"v":1,"cutoffs":[{ALL},"#).as_bytes(), b"\xff\xfe", LOGIN.as_bytes(), b"]}"].concat();
        let recovered = Recovered::read(&garbled);
        assert_eq!((recovered.cutoffs().count(), &recovered.fault), (1, &Some(CutoffsError::NotText)));
        assert!(!recovered.is_whole);
        for text in ["", "null", "[]", "{", "\u{feff}", "{\"cutoffs\":7}", "{\"cutoffs\":"] {
            assert!(counts(text, 0, 0).fault.is_some(), "{text}");
        }
        assert_eq!(counts(&format!("\u{feff}{{\"v\":1,\"cutoffs\":[{ALL}]}}"), 1, 0).cutoffs().count(), 1);
        // A list that two programs have written to: all that stands in either.
        counts(&format!(r#"{{"v":1,"cutoffs":[{ALL}],"cutoffs":[{LOGIN}]}}"#), 2, 0);
    }

    #[test]
    fn a_right_list_is_written_as_it_was() {
        for text in [
            "{\"v\":1,\"cutoffs\":[]}\n".to_owned(),
            format!("{{\"v\":1,\"cutoffs\":[{ALL},{LOGIN}]}}\n"),
            format!("{{\"v\":1,\"cutoffs\":[{ALL}],\"note\":\"kept \\u00e4\"}}\n"),
        ] {
            let recovered = Recovered::read(text.as_bytes());
            assert_eq!((recovered.fault.clone(), recovered.is_whole, recovered.encode()), (None, true, text));
        }
        assert_eq!(Recovered::default().encode(), "{\"v\":1,\"cutoffs\":[]}\n");
    }

    fn cutoff() -> impl Strategy<Value = Cutoff> {
        let who = prop_oneof![
            any::<[u8; 8]>().prop_map(|id| Who::Login(LoginId(id))),
            (0..=UnixSeconds::MAX.as_u64()).prop_map(|at| Who::Everybody(UnixSeconds::new(at))),
            // An openid is any text here: quotes, brackets and what is more than a byte long.
            ("\\PC{0,9}", any::<u32>()).prop_map(|(openid, at)| {
                let app = crate::keyring::AppId::parse("wx1").unwrap();
                Who::Openid(app, openid.into(), UnixSeconds::new(u64::from(at)))
            }),
        ];
        (who, any::<u32>()).prop_map(|(who, at)| Cutoff { who, created: UnixSeconds::new(u64::from(at)) })
    }

    proptest! {
        #[test]
        fn of_a_text_cut_at_any_byte_every_whole_entry_is_found(
            cutoffs in proptest::collection::vec(cutoff(), 0..6),
            cut: prop::sample::Index,
        ) {
            let text = list::encode(&cutoffs);
            let text = &text.as_bytes()[..cut.index(text.len() + 1)];
            let mut end = "{\"v\":1,\"cutoffs\":[".len();
            let mut whole = 0;
            for cutoff in &cutoffs {
                end += serde_json::to_string(cutoff).unwrap().len();
                whole += usize::from(end <= text.len());
                end += 1;
            }
            let recovered = Recovered::read(text);
            prop_assert!(recovered.cutoffs().eq(cutoffs.iter().take(whole)));
            prop_assert_eq!(recovered.others().count(), 0);
            prop_assert_eq!(recovered.fault.is_none(), recovered.is_whole);
            let rewritten = Recovered::read(recovered.encode().as_bytes());
            prop_assert!(rewritten.fault.is_none() && rewritten.cutoffs().eq(recovered.cutoffs()));
        }

        #[test]
        fn any_text_at_all_is_read_to_some_end(
            text in "(\\{\"v\":1,\"cutoffs\":\\[|\\]\\}|\\{|\\}|\\[|\\]|,|:|\"cutoffs\"|\"v\"|1|\"|\\\\|\\{\"scope\":\"all\"|x| |ä){0,40}",
        ) {
            let recovered = Recovered::read(text.as_bytes());
            prop_assert_eq!(recovered.fault.is_none(), list::parse(&text).is_ok());
            prop_assert_eq!(each(text.as_bytes(), drop), recovered.fault.clone());
            if let Ok(cutoffs) = list::parse(&text) {
                prop_assert!(recovered.cutoffs().eq(&cutoffs) && recovered.is_whole);
            }
        }

        #[test]
        fn any_bytes_at_all_are_read_to_some_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Recovered::read(&bytes).fault.is_some());
        }
    }
}
