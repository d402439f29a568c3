//! The `session_key` has a seal of its own: no check takes it off, and who holds a verifier file learns nothing of it.

use std::collections::BTreeSet;

use auth_ticket::claims::SessionKey;
use auth_ticket::keyring::{AppId, Purpose};
use auth_ticket::ticket::OpenError;
use auth_ticket::verifier::{AppVerifier, encode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use xaes_256_gcm::aead::{AeadInOut, KeyInit};
use xaes_256_gcm::{Nonce, Xaes256Gcm};

use crate::support::{APPID, Answer, Call, MAX_SESSION_S, OTHER_APPID, Plan, START, TestServer, session};

const HEADER: usize = 9;
const NONCE: usize = 24;
const TAG: usize = 16;

/// Somebody with the verifier file of the first app, who has seen tickets.
struct Holder {
    file: String,
}

impl Holder {
    fn of(plan: &Plan) -> Self {
        let app = AppId::parse(APPID).unwrap();
        let ring = plan.ring(std::slice::from_ref(&app));
        Self { file: encode(&ring, &app, "weapp", MAX_SESSION_S, START).unwrap().to_string() }
    }

    fn cipher(&self) -> Xaes256Gcm {
        let file: Value = serde_json::from_str(&self.file).unwrap();
        let subkey = hex::decode(file["keys"][0]["subkey"].as_str().unwrap()).unwrap();
        Xaes256Gcm::new(&<[u8; 32]>::try_from(subkey).unwrap().into())
    }

    /// `ticket` with another header and other claims under the nonce that it has.
    fn bent(&self, ticket: &str, bend: impl FnOnce(&mut [u8], &mut Vec<u8>)) -> String {
        let mut bytes = URL_SAFE_NO_PAD.decode(ticket).unwrap();
        let tag: [u8; TAG] = bytes.split_off(bytes.len() - TAG).try_into().unwrap();
        let mut body = bytes.split_off(HEADER + NONCE);
        let nonce: [u8; NONCE] = bytes[HEADER..].try_into().unwrap();
        let aad = |header: &[u8]| [b"auth-ticket/v1", header].concat();
        let (cipher, nonce) = (self.cipher(), Nonce::from(nonce));
        let of_ticket = aad(&bytes[..HEADER]);
        cipher.decrypt_inout_detached(&nonce, &of_ticket, body.as_mut_slice().into(), &tag.into()).unwrap();
        bend(&mut bytes[..HEADER], &mut body);
        let header = aad(&bytes[..HEADER]);
        let tag = cipher.encrypt_inout_detached(&nonce, &header, body.as_mut_slice().into()).unwrap();
        URL_SAFE_NO_PAD.encode([&bytes[..], &body, &tag].concat())
    }
}

/// Where `head` ends in `claims`.
fn after(claims: &[u8], head: &[u8]) -> usize {
    claims.windows(head.len()).position(|found| found == head).unwrap() + head.len()
}

/// Lets the next question count for a login of its own: what one login may ask the platform is limited.
fn of_another_login(claims: &mut [u8], number: u8) {
    let at = after(claims, &[7, 0x48]);
    claims[at] = number;
}

/// What an answer tells, apart from the number of the request.
fn told(answer: &Answer) -> String {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    format!("{} {body}", answer.status)
}

fn form(ticket: &str, more: &str) -> String {
    format!("client_id=orders&client_secret=orders-secret&{more}={ticket}")
}

async fn exchanged(server: &TestServer, ticket: &str) -> Answer {
    let more = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
                &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token";
    server.call(Call::post("/v1/token").form(&form(ticket, more))).await
}

/// A ticket whose `session_key` does not come off passes wherever nobody needs it, and is refused where somebody does.
#[tokio::test]
async fn no_check_token_or_introspection_takes_the_inner_seal_off() {
    let builder = TestServer::builder().assertions("gateway").service("orders", "orders-secret").audience("orders");
    let server = builder.handover(&["https://h5.example.com"]).start().await;
    let mut claims = session("o-alice", START);
    claims.session_key = Some(SessionKey::parse("not-base64-at-all").unwrap());
    let good = server.sealed(&claims);
    let bad = Holder::of(&Plan::one_key()).bent(&good, |_, claims| *claims.last_mut().unwrap() ^= 1);

    server.verify(&bad).await.is_ok();
    server.call(Call::get("/v1/ext-authz/orders").ticket(&bad)).await.is_ok();
    server.session(&bad).await.is_ok();
    exchanged(&server, &bad).await.is_ok();
    let introspection = server.call(Call::post("/v1/introspect").form(&form(&bad, "token"))).await;
    assert_eq!(introspection.field("active"), true);
    let handover = Call::post("/v1/handover").ticket(&bad).json(&json!({ "origin": "https://h5.example.com" }));
    server.call(handover).await.is_ok();

    let body = json!({ "rawData": "{}", "signature": "00" });
    for call in [
        Call::post("/v1/renew"),
        Call::post("/v1/session/check"),
        Call::post("/v1/session/reset"),
        Call::post("/v1/userdata").json(&body),
        Call::post("/v1/phone").json(&json!({ "code": "demo-alice-phone" })),
    ] {
        server.call(call.ticket(&bad)).await.is_error("invalid_ticket");
    }
    server.call(Call::post("/v1/renew").ticket(&good)).await.is_ok();
    assert_eq!(server.calls("checksession").await, 0);
}

/// If a bit of a claim were a bit of the key, signatures made with guesses would tell which one it is.
#[tokio::test]
async fn who_changes_the_session_key_of_a_captured_ticket_learns_nothing_from_any_answer() {
    let server = TestServer::start().await;
    let holder = Holder::of(&Plan::one_key());
    let captured = server.ticket_for("alice").await;
    let mut answers = [const { BTreeSet::new() }; 4];
    for bit in (0..128).step_by(11) {
        let bent = holder.bent(&captured, |_, claims| {
            of_another_login(claims, u8::try_from(bit).unwrap());
            let at = after(claims, &[0x0a, 0x50]);
            claims[at + bit / 8] ^= 1 << (bit % 8);
        });
        let guess = hex::encode(Sha256::digest([bit.to_le_bytes()].concat()));
        let body = json!({ "rawData": "{}", "signature": guess });
        let encrypted = json!({ "encryptedData": "A".repeat(64), "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
        let calls = [
            Call::post("/v1/session/check"),
            Call::post("/v1/userdata").json(&body),
            Call::post("/v1/userdata").json(&encrypted),
            Call::get("/v1/verify"),
        ];
        for (call, seen) in calls.into_iter().zip(&mut answers) {
            let answer = server.call(call.ticket(&bent)).await;
            seen.insert(if answer.body.is_empty() { answer.status.to_string() } else { told(&answer) });
        }
        // A renewal seals what nobody knows, and nothing of what was there.
        let renewed = server.call(Call::post("/v1/renew").ticket(&bent)).await.ticket();
        let renewed = holder.bent(&renewed, |_, claims| of_another_login(claims, u8::try_from(bit + 1).unwrap()));
        let answer = server.call(Call::post("/v1/session/check").ticket(&renewed)).await;
        assert_eq!(answer.field("session_key_valid"), false);
    }
    let different: Vec<usize> = answers.iter().map(BTreeSet::len).collect();
    assert_eq!(different, [1; 4], "{answers:?}");
    assert_eq!(server.call(Call::post("/v1/session/check").ticket(&captured)).await.field("session_key_valid"), true);
}

#[tokio::test]
async fn a_verifier_file_opens_and_makes_nothing_but_tickets_of_its_app() {
    let builder = TestServer::builder().two_apps().any_app().handover(&["https://h5.example.com"]);
    let server = builder.start().await;
    let (plan, login) = (Plan::one_key(), session("o-alice", START));
    let holder = Holder::of(&plan);
    let verifier = AppVerifier::parse(holder.file.as_bytes(), START).unwrap();
    let ticket = server.sealed(&login);
    assert_eq!(verifier.open(&ticket, START).unwrap().session().openid.as_str(), "o-alice");
    for purpose in [Purpose::LoginHandle, Purpose::PhoneProof] {
        let other = server.sealed_by(&plan, &login, purpose);
        assert_eq!(verifier.open(&other, START).unwrap_err(), OpenError::Unauthentic);
    }

    // What it cannot prevent.
    let forged = holder.bent(&ticket, |_, claims| {
        let at = after(claims, b"o-alic");
        claims[at] = b'a';
    });
    server.verify(&forged).await.is_ok().is_openid("o-alica");
    let other_tag = Sha256::digest(OTHER_APPID);
    let of_other_app = holder.bent(&ticket, |header, _| header[5..].copy_from_slice(&other_tag[..4]));
    server.verify(&of_other_app).await.is_error("invalid_ticket");
    let redeem = Call::post("/v1/handover/redeem").header("origin", "https://h5.example.com");
    server.call(redeem.json(&json!({ "handover": ticket }))).await.is_error("invalid_ticket");
}
