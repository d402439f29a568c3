//! Every way we know in which a token can be wrong.

use std::process::Command;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::forge::{Signer, encode, signed_with, with_der_signature};

/// A text in the place of a token.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) why: String,
    pub(super) token: String,
}

/// What the cases are made of.
#[derive(Debug)]
pub(super) struct Material<'a> {
    /// One of each algorithm.
    pub(super) signers: [&'a Signer; 2],
    /// Of a token that is good.
    pub(super) claims: Value,
    pub(super) now: u64,
    pub(super) ticket: &'a str,
    pub(super) ticket_kid: &'a str,
    /// Where an attacker's keys are.
    pub(super) attacker: &'a str,
}

/// Of 2048 bits.
static RSA: LazyLock<EncodingKey> = LazyLock::new(|| {
    let key = Command::new("openssl").args(["genrsa", "-traditional", "2048"]).output().unwrap();
    let pem = String::from_utf8(key.stdout).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    EncodingKey::from_rsa_der(&STANDARD.decode(base64).unwrap())
});

/// `value` with some members changed; null takes one away.
fn with(value: &Value, changes: &Value) -> String {
    let mut value = value.clone();
    for (name, change) in changes.as_object().unwrap() {
        if change.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            value[name] = change.clone();
        }
    }
    value.to_string()
}

/// `object` with these members in front, although it may have members of their names.
fn with_first(object: &str, members: &str) -> String {
    format!("{{{members},{}", &object[1..])
}

/// The same, but behind.
fn with_last(object: &str, members: &str) -> String {
    format!("{},{members}}}", &object[..object.len() - 1])
}

impl Material<'_> {
    fn claims(&self) -> String {
        self.claims.to_string()
    }

    /// Everything that has to pass.
    pub(super) fn good(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for signer in self.signers {
            let mut add = |why: &str, header: Value, claims: Value| {
                let token = signer.sign(&with(&signer.header(), &header), &with(&self.claims, &claims));
                cases.push(Case { why: format!("{}: {why}", signer.alg()), token });
            };
            add("as the server makes it", json!({}), json!({}));
            add("several audiences, ours among them", json!({}), json!({ "aud": ["others", "orders"] }));
            add("an unknown member of the header", json!({ "x": 1 }), json!({}));
            add("no unionid", json!({}), json!({ "unionid": null }));
            add("over for less than clocks may differ", json!({}), json!({ "exp": self.now - 20 }));
            add("made a little in the future", json!({}), json!({ "iat": self.now + 30, "nbf": self.now + 30 }));
        }
        cases
    }

    /// Everything that must not.
    pub(super) fn bad(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (signer, other) in [(self.signers[0], self.signers[1]), (self.signers[1], self.signers[0])] {
            let mut of_signer = Vec::new();
            self.headers(signer, other, &mut of_signer);
            self.claim_sets(signer, &mut of_signer);
            self.signatures(signer, &mut of_signer);
            cases.extend(
                of_signer.into_iter().map(|case| Case { why: format!("{}: {}", signer.alg(), case.why), ..case }),
            );
        }
        let ticket = self.ticket.to_owned();
        let mut add = |why: &str, token: String| cases.push(Case { why: why.to_owned(), token });
        add("a ticket", ticket.clone());
        add("a ticket in three parts", format!("{}.{}.{}", &ticket[..60], &ticket[60..120], &ticket[120..]));
        add("nothing", String::new());
        add("two dots", "..".to_owned());
        add("not base64url", "!.!.!".to_owned());
        add("parts that are no JSON", format!("{}.{}.{}", encode("x"), encode("y"), encode("z")));
        add("a header that is a list", format!("{}.{}.{}", encode("[]"), encode("{}"), encode("z")));
        add("a header that is null", format!("{}.{}.{}", encode("null"), encode("{}"), encode("z")));
        let nested = "[".repeat(5000);
        add("a header as deep as a well", format!("{}.{}.{}", encode(&nested), encode("{}"), encode("z")));
        add("8 KiB of A", "A".repeat(8 * 1024));
        cases
    }

    fn headers(&self, signer: &Signer, other: &Signer, cases: &mut Vec<Case>) {
        let (good, claims) = (signer.header(), self.claims());
        let mut add = |why: &str, token: String| cases.push(Case { why: why.to_owned(), token });
        for none in ["none", "None", "NONE", ""] {
            let header = with(&good, &json!({ "alg": none }));
            add(&format!("alg {none:?}, not signed"), format!("{}.{}.", encode(&header), encode(&claims)));
            add(&format!("alg {none:?}, signed"), signer.sign(&header, &claims));
        }
        for (form, secret) in signer.as_shared_secrets() {
            let header = with(&good, &json!({ "alg": "HS256" }));
            let key = EncodingKey::from_secret(&secret);
            add(&format!("HS256 by the public key, {form}"), signed_with(&header, &claims, &key, Algorithm::HS256));
        }
        let header = with(&good, &json!({ "alg": "RS256" }));
        add("RS256 by an attacker's key", signed_with(&header, &claims, &RSA, Algorithm::RS256));
        for alg in ["ES384", "ES256K", "RS256", "HS256", other.alg(), "es256", "eddsa"] {
            add(&format!("alg {alg}, signed by the key"), signer.sign(&with(&good, &json!({ "alg": alg })), &claims));
        }
        add("no alg", signer.sign(&with(&good, &json!({ "alg": null })), &claims));
        add("alg is a list", signer.sign(&with(&good, &json!({ "alg": [signer.alg()] })), &claims));
        let others = json!({ "kid": other.jwk["kid"] });
        add("the kid of the other key", signer.sign(&with(&good, &others), &claims));
        let mixed = json!({ "kid": other.jwk["kid"], "alg": other.alg() });
        add("kid and alg of the other key", signer.sign(&with(&good, &mixed), &claims));

        let long = "k".repeat(64 * 1024);
        for kid in ["", "00000000", self.ticket_kid, "../../etc/passwd", "/dev/null", "' or 1=1 --", "__proto__", &long]
        {
            let (header, short) = (with(&good, &json!({ "kid": kid })), &kid[..kid.len().min(20)]);
            add(&format!("kid {short:?}"), signer.sign(&header, &claims));
        }
        for kid in [json!(null), json!(7), json!([signer.jwk["kid"]]), json!({})] {
            add(&format!("kid is {kid}"), signer.sign(&with(&good, &json!({ "kid": kid })), &claims));
        }
        for typ in [json!(null), json!("JWT"), json!("claims-hook+jwt"), json!("at+jwt2"), json!(["at+jwt"]), json!("")]
        {
            add(&format!("typ is {typ}"), signer.sign(&with(&good, &json!({ "typ": typ })), &claims));
        }
        for crit in [json!(["x"]), json!(["exp"]), json!([]), json!("x"), json!(["b64"])] {
            let header = json!({ "crit": crit, "x": 1, "b64": true });
            add(&format!("crit is {crit}"), signer.sign(&with(&good, &header), &claims));
        }
        self.attackers_keys(signer, cases);
        let mut add = |why: &str, token: String| cases.push(Case { why: why.to_owned(), token });
        let text = good.to_string();
        add("typ twice, the last is wrong", signer.sign(&with_last(&text, r#""typ":"JWT""#), &claims));
        add("alg twice, the last is none", signer.sign(&with_last(&text, r#""alg":"none""#), &claims));
        add("kid twice, the last is unknown", signer.sign(&with_last(&text, r#""kid":"00000000""#), &claims));
        let upper = text.replace("\"alg\"", "\"ALG\"").replace("\"kid\"", "\"Kid\"").replace("\"typ\"", "\"TYP\"");
        add("a header in another case", signer.sign(&upper, &claims));
        add("a header with something behind", signer.sign(&format!("{text}{{}}"), &claims));
        add("a header with something in front", signer.sign(&with_first(&text, "x"), &claims));
    }

    /// Signed by an attacker, who says where his key is.
    fn attackers_keys(&self, signer: &Signer, cases: &mut Vec<Case>) {
        let attacker = Signer::of_attacker(signer.alg());
        let (good, claims) = (signer.header(), self.claims());
        let mut add = |why: &str, header: Value| {
            cases.push(Case { why: why.to_owned(), token: attacker.sign(&with(&good, &header), &claims) });
        };
        let url = |path: &str| format!("{}{path}", self.attacker);
        add("an attacker's key", json!({}));
        add("an attacker's jwk", json!({ "jwk": attacker.jwk }));
        add("an attacker's jwk and no kid", json!({ "jwk": attacker.jwk, "kid": null }));
        add("an attacker's jku", json!({ "jku": url("/jwks.json") }));
        add("an attacker's jku and kid", json!({ "jku": url("/jwks.json"), "kid": "attacker" }));
        add("an attacker's x5u", json!({ "x5u": url("/chain.pem"), "kid": "attacker" }));
        add("an attacker's URL as kid", json!({ "kid": url("/jwks.json") }));
    }

    fn claim_sets(&self, signer: &Signer, cases: &mut Vec<Case>) {
        let header = signer.header().to_string();
        let mut add = |why: String, claims: &str| cases.push(Case { why, token: signer.sign(&header, claims) });
        for name in ["aud", "iss", "exp", "sub", "iat"] {
            add(format!("no {name}"), &with(&self.claims, &json!({ name: null })));
            let null = with_last(&with(&self.claims, &json!({ name: null })), &format!("\"{name}\":null"));
            add(format!("{name} is null"), &null);
            let upper = self.claims().replace(&format!("\"{name}\""), &format!("\"{}\"", name.to_uppercase()));
            add(format!("{name} in upper case"), &upper);
        }
        let issuer = self.claims["iss"].as_str().unwrap();
        let now = self.now;
        for (name, values) in [
            ("aud", vec![json!("others"), json!("Orders"), json!("orders "), json!(["others"]), json!([]), json!("")]),
            ("aud", vec![json!({ "orders": "orders" }), json!([["orders"]]), json!(true), json!(0)]),
            ("iss", vec![json!(format!("{issuer}/")), json!([issuer]), json!(""), json!("https://login.example.com")]),
            ("sub", vec![json!(""), json!(7), json!(["o"]), json!({})]),
            ("exp", vec![json!(now - 90), json!(0), json!(-1), json!(format!("{}", now + 200)), json!([now + 200])]),
            ("exp", vec![json!(1e300), json!(now + 90 * 86400), json!(true), json!({})]),
            ("iat", vec![json!(now + 120), json!(format!("{now}")), json!(1e300), json!(true), json!({})]),
            ("nbf", vec![json!(now + 120), json!(format!("{now}")), json!([]), json!(true), json!({})]),
        ] {
            for value in values {
                add(format!("{name} is {value}"), &with(&self.claims, &json!({ name: value })));
            }
        }
        let last = |members: &str| with_last(&self.claims(), members);
        add("aud twice, the last is wrong".to_owned(), &last(r#""aud":"others""#));
        add("exp twice, the last is over".to_owned(), &last(r#""exp":1"#));
        add("sub twice, the last is empty".to_owned(), &last(r#""sub":"""#));
        let infinite = self.claims().replace(&format!("\"exp\":{}", self.claims["exp"]), "\"exp\":1e999");
        add("exp is 1e999".to_owned(), &infinite);
        for claims in ["[]", "null", "\"x\"", "", "{", "{}"] {
            add(format!("the claims are {claims:?}"), claims);
        }
    }

    fn signatures(&self, signer: &Signer, cases: &mut Vec<Case>) {
        let mut add = |why: &str, token: String| cases.push(Case { why: why.to_owned(), token });
        let good = signer.sign(&signer.header().to_string(), &self.claims());
        let parts: Vec<&str> = good.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("not three parts") };
        let forged = encode(with(&self.claims, &json!({ "sub": "somebody-else" })));
        add("claims of somebody else", format!("{header}.{forged}.{signature}"));
        let wider = encode(with(&signer.header(), &json!({ "x": 1 })));
        add("a header that was not signed", format!("{wider}.{claims}.{signature}"));
        for (why, part) in [("no signature", ""), ("a signature of one byte", "AA"), ("half", &signature[..40])] {
            add(why, format!("{header}.{claims}.{part}"));
        }
        add("no third part", format!("{header}.{claims}"));
        add("four parts", format!("{good}.{signature}"));
        add("a part in front", format!(".{good}"));
        add("a signature of zeros", format!("{header}.{claims}.{}", encode([0; 64])));
        add("a signature of ones", format!("{header}.{claims}.{}", encode([0xff; 64])));
        let mut one_and_one = [0; 64];
        (one_and_one[31], one_and_one[63]) = (1, 1);
        add("r and s are 1", format!("{header}.{claims}.{}", encode(one_and_one)));
        add("a signature with a byte more", format!("{header}.{claims}.{signature}AAAA"));
        for (why, change) in
            [("padding", "="), ("two of padding", "=="), ("a line break, encoded", "%0A"), ("a dot", ".")]
        {
            add(&format!("{why} at the end"), format!("{good}{change}"));
        }
        // The last digit of 86 has four bits that mean nothing.
        let last = char::from(signature.as_bytes()[85] + 1);
        add("a signature spelt in another way", format!("{header}.{claims}.{}{last}", &signature[..85]));
        add("padding in the header", format!("{header}=.{claims}.{signature}"));
        add("padding in the claims", format!("{header}.{claims}==.{signature}"));
        if signer.alg() == "ES256" {
            add("a signature in ASN.1", with_der_signature(&good));
        }
    }
}
