//! `[jwt.audience.NAME] claims`, and the type of tokens.

use auth_ticket::http::{ClaimTemplate, TokenType};
use serde_json::{Value, json};

use super::{APP, good, mistakes};

const HEAD: &str = "public_url = \"https://login.example.com\"\n";

/// What the server says itself, in a token or in the answer of an introspection.
const OWN: [&str; 28] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "azp",
    "scope",
    "act",
    "may_act",
    "cnf",
    "nonce",
    "auth_time",
    "acr",
    "amr",
    "sid",
    "events",
    "appid",
    "platform",
    "openid",
    "unionid",
    "phone_number",
    "login_id",
    "claims",
    "active",
    "token_type",
];

/// The claims stand from line 7 on.
fn with(lines: &str) -> String {
    format!("{HEAD}{APP}[jwt.audience.rest]\n{lines}\n")
}

fn template(claims: &Value) -> ClaimTemplate {
    ClaimTemplate::new(claims.as_object().unwrap().clone()).unwrap()
}

#[test]
fn values_of_toml_become_those_of_json() {
    let inline = "claims = { role = \"authenticated\", n = 0x1F, m = -1_000, f = 1.5, yes = true, ids = [\"$sub\", 1, \
                  [{ u = \"$unionid\" }]], \"https://hasura.io/jwt/claims\" = { x-hasura-user-id = \"$openid\" } }";
    let expected = json!({
        "role": "authenticated", "n": 31, "m": -1000, "f": 1.5, "yes": true, "ids": ["$sub", 1, [{ "u": "$unionid" }]],
        "https://hasura.io/jwt/claims": { "x-hasura-user-id": "$openid" },
    });
    let table = "[jwt.audience.rest.claims]\nrole = \"authenticated\"\nn = 31\nm = -1000\nf = 1.5\nyes = true\nids = [\n  \
                 \"$sub\", 1, [{ u = \"$unionid\" }]]\n[jwt.audience.rest.claims.\"https://hasura.io/jwt/claims\"]\n\
                 x-hasura-user-id = \"$openid\"";
    for lines in [inline, table] {
        let audiences = good(&with(lines)).settings.jwt.audiences;
        assert_eq!(audiences[0].claims, template(&expected), "{lines}");
    }
    assert_eq!(good(&with("")).settings.jwt.audiences[0].claims, ClaimTemplate::default());
}

#[test]
fn what_is_wrong_is_told_where_it_stands() {
    let own = "this claim is the server's own; write another name";
    let date = "is a date, and JSON has none; write it as text, in quotes";
    let infinite = "is not finite, and JSON has no such number; write another, or text in quotes";
    let known = "a text that begins with $ has to be one of $sub, $openid, $unionid, $appid, $platform, $login_id, $phone, \
                 $claims";
    let nested = |depth: usize| format!("claims = {{ a = {}1{} }}", "[".repeat(depth), "]".repeat(depth));
    let many: Vec<String> = (0..300).map(|number| format!("c{number} = {number}")).collect();
    let many = format!("claims = {{ {} }}", many.join(", "));
    for (lines, expected) in [
        ("claims = { \"\" = 1 }", "7: jwt.audience[rest].claims.\"\": this claim has no name; write one".into()),
        (&many, "7: jwt.audience[rest].claims: these claims have 3081 bytes as compact JSON; write at most 2048".into()),
        ("claims = 1", "7: jwt.audience[rest].claims: is an integer; write a table, for example claims = { role = \"authenticated\" }".into()),
        ("claims = []", "7: jwt.audience[rest].claims: is a list; write a table, for example claims = { role = \"authenticated\" }".into()),
        ("claims = { a = 9223372036854775808 }", "7: jwt.audience[rest].claims.a: is not a whole number of 64 bits; write it as text, in quotes".into()),
        ("claims = { sub = \"x\" }", format!("7: jwt.audience[rest].claims.sub: {own}")),
        ("[jwt.audience.rest.claims]\na = 1\nauth_time = 1", format!("9: jwt.audience[rest].claims.auth_time: {own}")),
        ("claims = { \"client_id\" = \"x\" }", format!("7: jwt.audience[rest].claims.client_id: {own}")),
        ("claims = { a = 2026-01-01 }", format!("7: jwt.audience[rest].claims.a: {date}")),
        ("claims = { a = [1, 07:32:00] }", format!("7: jwt.audience[rest].claims.a[1]: {date}")),
        ("[jwt.audience.rest.claims]\na = [\n1,\n2026-01-01T00:00:00Z]", format!("10: jwt.audience[rest].claims.a[1]: {date}")),
        ("claims = { a = inf }", format!("7: jwt.audience[rest].claims.a: {infinite}")),
        ("claims = { a = { b = -inf } }", format!("7: jwt.audience[rest].claims.a.b: {infinite}")),
        ("claims = { a = nan }", format!("7: jwt.audience[rest].claims.a: {infinite}")),
        ("claims = { a = 1e999 }", format!("7: jwt.audience[rest].claims.a: {infinite}")),
        ("claims = { a = \"$user\" }", format!("7: jwt.audience[rest].claims.a: \"$user\" is not: {known}")),
        (
            "claims = { \"https://a/b\" = [{ c = \"$\" }] }",
            format!("7: jwt.audience[rest].claims.\"https://a/b\"[0].c: \"$\" is not: {known}"),
        ),
        (
            "claims = { a = \"$phone\" }",
            "7: jwt.audience[rest].claims.a: tokens have no phone numbers; write phone = true in [jwt], or leave it out".into(),
        ),
        (
            "claims = \"role\"",
            "7: jwt.audience[rest].claims: is text; write a table, for example claims = { role = \"authenticated\" }".into(),
        ),
        (
            "claims = [{ role = 1 }]",
            "7: jwt.audience[rest].claims: is a list of tables; write a table, for example claims = { role = \
             \"authenticated\" }"
                .into(),
        ),
    ] {
        assert_eq!(mistakes(&with(lines)), [format!("login.toml:{expected}")], "{lines}");
    }
    for name in OWN {
        let told = mistakes(&with(&format!("claims = {{ {name} = 1 }}")));
        assert_eq!(told, [format!("login.toml:7: jwt.audience[rest].claims.{name}: {own}")]);
        good(&with(&format!("claims = {{ below = {{ {name} = 1 }} }}")));
    }
    good(&with(&nested(40)));
    assert!(!mistakes(&with(&nested(200))).is_empty());
    // All of them at once.
    let found = mistakes(&with("claims = { iss = 1, exp = 2, a = \"$b\", c = nan }"));
    assert_eq!(found.len(), 4, "{found:#?}");
    good(&with("claims = { a = \"$phone\" }\n[jwt]\nphone = true"));
}

#[test]
fn claims_have_2048_bytes_at_most() {
    let of_len = |len: usize| format!("claims = {{ a = \"{}\" }}", "x".repeat(len - r#"{"a":""}"#.len()));
    good(&with(&of_len(2048)));
    let expected =
        "login.toml:7: jwt.audience[rest].claims: these claims have 2049 bytes as compact JSON; write at most 2048";
    assert_eq!(mistakes(&with(&of_len(2049))), [expected]);
}

#[test]
fn a_token_calls_itself_one_of_two_things() {
    let typ = |line: &str| format!("{HEAD}{APP}[jwt]\n{line}\n");
    assert_eq!(good(&typ("")).settings.jwt.typ, TokenType::AtJwt);
    assert_eq!(good(&typ("typ = \"at+jwt\"")).settings.jwt.typ, TokenType::AtJwt);
    assert_eq!(good(&typ("typ = \"JWT\"")).settings.jwt.typ, TokenType::Jwt);
    for text in ["jwt", "AT+JWT", "", "application/at+jwt"] {
        let expected = format!(r#"login.toml:7: jwt.typ: "{text}" is not a type of JWT here; write "at+jwt" or "JWT""#);
        assert_eq!(mistakes(&typ(&format!("typ = \"{text}\""))), [expected]);
    }
}
