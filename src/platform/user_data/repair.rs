//! Users choose parts of their data, and platforms hand them on: nicknames with control characters, half characters, halves
//! of a pair. JSON has no place for these, so they are replaced.

use crate::secret::Zeroizing;

/// What stands for what was no character.
pub(super) const REPLACEMENT: char = '\u{fffd}';

/// `json` with everything inside its texts that no JSON text may hold replaced: bytes that are no UTF-8, control characters
/// as they are, halves of a surrogate pair. What is outside of texts stays as wrong as it is.
pub(super) fn repaired(json: &[u8]) -> Zeroizing<String> {
    let json = String::from_utf8_lossy(json);
    // A replaced byte becomes three, and an escape never grows.
    let mut repaired = Zeroizing::new(String::with_capacity(3 * json.len()));
    let mut rest = &*json;
    let mut is_in_text = false;
    while let Some(c) = rest.chars().next() {
        let (taken, kept) = match c {
            '\\' if is_in_text => escape(rest),
            c if is_in_text && c < ' ' => (c.len_utf8(), None),
            c => {
                is_in_text ^= c == '"';
                (c.len_utf8(), rest.get(..c.len_utf8()))
            }
        };
        match kept {
            Some(kept) => repaired.push_str(kept),
            None => repaired.push(REPLACEMENT),
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    repaired
}

/// How long the escape is that `text` begins with, and what is kept of it: all, unless it is half a pair.
fn escape(text: &str) -> (usize, Option<&str>) {
    const UNIT_LEN: usize = 6;
    let unit = |from: usize| {
        let digits = text.get(from..from + UNIT_LEN)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
    };
    let len = match unit(0) {
        Some(0xd800..=0xdbff) if matches!(unit(UNIT_LEN), Some(0xdc00..=0xdfff)) => 2 * UNIT_LEN,
        Some(0xd800..=0xdfff) => return (UNIT_LEN, None),
        Some(_) => UNIT_LEN,
        // The backslash and what it is before.
        None => 1 + text.chars().nth(1).map_or(0, char::len_utf8),
    };
    (len, text.get(..len))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn value(json: &[u8]) -> Option<Value> {
        serde_json::from_str(&repaired(json)).ok()
    }

    #[test]
    fn good_json_stays_as_it_is() {
        for good in [
            r#"{"a\\":"\"{\u00e9\\\"\n\/","b":[1.50,-0,1e5,true,null],"c":"\ud83d\ude00 \uD83D\uDE00"}"#,
            "{\n\t\"a\" : \"é\u{1f600}\u{2028}\"\r\n}",
            "",
            "\"\\",
        ] {
            assert_eq!(*repaired(good.as_bytes()), good);
        }
    }

    #[test]
    fn what_no_text_may_hold_is_replaced() {
        for (bad, expected) in [
            (&b"\"a\x14b\""[..], "a\u{fffd}b"),
            (b"\"a\nb\tc\0\"", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            (b"\"\xe4\xb8\"", "\u{fffd}"),
            (b"\"\xff\xe4\xb8\xad\"", "\u{fffd}\u{4e2d}"),
            (br#""\ud83d""#, "\u{fffd}"),
            (br#""\ude00\ud83d\u0041""#, "\u{fffd}\u{fffd}A"),
            (br#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (br#""\ud83d\\ude00""#, "\u{fffd}\\ude00"),
            (br#""\\ud83d""#, "\\ud83d"),
            (br#""\"\ud83d\"""#, "\"\u{fffd}\""),
        ] {
            assert_eq!(value(bad), Some(Value::from(expected)), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn outside_of_texts_nothing_is_mended() {
        for bad in [&b"{\x14}"[..], b"\xff", b"[1,\xff]", b"\"a", b"\"\\\x14\"", br#""\u+123""#, br#""\ud8""#, b"\"\\"]
        {
            assert_eq!(value(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_good_stays_and_whatever_is_mended_stays_mended(bytes: Vec<u8>, text: String) {
            let json = Value::from(text).to_string();
            proptest::prop_assert_eq!(&*repaired(json.as_bytes()), &json);
            let once = repaired(&bytes);
            proptest::prop_assert_eq!(&*repaired(once.as_bytes()), &*once);
        }
    }
}
