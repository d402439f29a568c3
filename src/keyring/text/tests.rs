//! Key files: what is taken, what is passed over, what is refused and why.

use super::*;
use crate::clock::UnixSeconds;

const GOOD: &str = r#"{"v":1, "use":"ticket", "alg":"XAES-256-GCM", "kid":"ac1dba1c",
 "created":"2026-11-22T21:00:00Z", "seal_from":"2026-11-22T21:15:00Z", "seal_until":"2027-02-20T21:15:00Z",
 "max_ttl_s":86400, "secret":"023f5198881dab46c18253821a617891a18b3fd99f3b44715c6bdb964a8e9441"}
"#;
const SECRET: &str = "023f5198881dab46c18253821a617891a18b3fd99f3b44715c6bdb964a8e9441";

fn name(text: &str) -> KeyName {
    let (key_use, kid) = text.split_once('-').unwrap();
    KeyName { key_use: key_use.parse().unwrap(), kid: KeyId::parse(kid).unwrap() }
}

fn parse_good_with(from: &str, to: &str) -> Result<Parsed, TextError> {
    assert!(GOOD.contains(from));
    parse(name("ticket-ac1dba1c"), &GOOD.replace(from, to))
}

#[test]
fn a_key_file_reads_and_writes_the_same_text() {
    let Ok(Parsed::Key(key)) = parse(name("ticket-ac1dba1c"), GOOD) else { panic!("a good file is refused") };
    assert_eq!(*encode(&key), GOOD);
    assert_eq!(key.spec().max_ttl_s, 86400);
    assert_eq!(key.spec().seal_from, UnixSeconds::parse_rfc3339("2026-11-22T21:15:00Z").unwrap());
}

#[test]
fn a_generated_key_survives_its_file() {
    for (key_use, alg) in [(KeyUse::Ticket, Alg::Xaes256Gcm), (KeyUse::Jwt, Alg::Es256), (KeyUse::Jwt, Alg::EdDsa)] {
        let now = UnixSeconds::new(1_795_000_000);
        let spec =
            KeySpec { key_use, alg, created: now, seal_from: now.minus(60), seal_until: now.plus(1), max_ttl_s: 60 };
        let key = Key::generate(spec).unwrap();
        let Ok(Parsed::Key(again)) = parse(key.name(), &encode(&key)) else { panic!("{alg}: refused") };
        assert_eq!((again.kid(), *again.spec()), (key.kid(), spec));
    }
}

#[test]
fn files_of_a_newer_version_are_passed_over() {
    for (from, to) in [
        ("\"v\":1", "\"v\":2"),
        ("\"ticket\"", "\"macaroon\""),
        ("XAES-256-GCM", "XAES-512-GCM"),
        ("XAES-256-GCM", "ES256"),
    ] {
        let parsed = parse_good_with(from, to);
        assert!(matches!(parsed, Ok(Parsed::Unsupported(_))), "{to}: {parsed:?}");
    }
}

#[test]
fn a_field_of_a_newer_version_is_ignored() {
    assert!(matches!(parse_good_with("\"v\":1", "\"v\":1, \"note\":[{}]"), Ok(Parsed::Key(_))));
}

#[test]
fn a_key_file_that_is_not_right_is_refused_with_the_field_and_without_the_secret() {
    for (from, to, what) in [
        ("\"v\":1,", "", "`v` is missing"),
        ("\"v\":1", "\"v\":\"1\"", "`v` is not a whole number"),
        ("\"v\":1", "\"v\":1, \"v\":1", "each field once"),
        ("\"use\":\"ticket\",", "", "`use` is missing"),
        ("\"use\":\"ticket\"", "\"use\":7", "`use` is not a text"),
        ("\"kid\":\"ac1dba1c\"", "\"kid\":\"AC1DBA1C\"", "`kid` is not 8 lower-case hex digits"),
        ("\"kid\":\"ac1dba1c\"", "\"kid\":\"ac1dba1d\"", "the file is named ticket-ac1dba1c, but says ticket-ac1dba1d"),
        ("2026-11-22T21:15:00Z", "2026-11-22 21:15", "`seal_from` is not a time like"),
        ("2026-11-22T21:15:00Z", "2026-11-22T20:58:59Z", "created - 60 s <= seal_from < seal_until"),
        ("2027-02-20T21:15:00Z", "2026-11-22T21:15:00Z", "created - 60 s <= seal_from < seal_until"),
        ("86400", "59", "max_ttl_s is 59, outside 60 to 7776000"),
        ("86400", "7776001", "max_ttl_s is 7776001"),
        ("86400", "-1", "`max_ttl_s` is not a whole number"),
        ("86400", "1e400", "`max_ttl_s` is not a whole number"),
        (SECRET, &SECRET[1..], "63 characters instead of 64"),
        (SECRET, &SECRET.to_uppercase(), "other than lower-case hex digits"),
        (SECRET, &"00".repeat(32), "one byte repeated"),
        (SECRET, &SECRET.replace("023f", "023e"), "the secret belongs to kid"),
        (&format!("\"{SECRET}\""), "5", "`secret` is not a text"),
        ("}\n", "", "no JSON object"),
        ("}\n", "} {}", "no JSON object"),
        ("{", "[", "no JSON object"),
    ] {
        let error = parse_good_with(from, to).unwrap_err().to_string();
        assert!(error.contains(what), "{error} should say {what}");
        assert!(!error.to_lowercase().contains("5198881dab46"), "{error} quotes the secret");
    }
    assert!(parse(name("jwt-ac1dba1c"), GOOD).unwrap_err().to_string().contains("but says ticket-ac1dba1c"));
    assert!(parse(name("ticket-ac1dba1c"), "").is_err());
}

/// Source of the order: SEC 2, section 2.4.2.
#[test]
fn an_es256_secret_is_a_scalar_of_its_group() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let below = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550";
    let now = UnixSeconds::new(1_795_000_000);
    let spec = KeySpec {
        key_use: KeyUse::Jwt,
        alg: Alg::Es256,
        created: now,
        seal_from: now,
        seal_until: now.plus(1),
        max_ttl_s: 60,
    };
    let key = |spec, secret| Key::new(spec, KeyBytes::parse_hex(secret).unwrap());
    assert_eq!(key(spec, order).unwrap_err(), KeyError::ScalarOutOfRange);
    assert!(key(spec, below).is_ok());
    assert!(key(KeySpec { alg: Alg::EdDsa, ..spec }, order).is_ok());
}
