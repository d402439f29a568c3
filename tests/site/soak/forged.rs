//! Floods of tickets, codes and data that are worth nothing: made up, changed, another app's, old, used.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::ledger::{ANY_WEATHER, Worth};
use super::worker::{Worker, login, login_from};
use crate::drill::clients::Dice;
use crate::drill::http::kid_of;
use crate::support::APPID;
use crate::support::{Call, OTHER_APPID};
use tokio::time::Instant;

/// The first byte and the one after the last of each part of a ticket; the ciphertext is between nonce and tag.
const KID: (usize, usize) = (1, 5);
const APP_TAG: (usize, usize) = (5, 9);
const NONCE: (usize, usize) = (9, 33);
const TAG_LEN: usize = 16;

/// A route where a ticket is shown, and the call that shows it.
fn show(dice: &mut Dice, ticket: &str) -> Call {
    let call = match dice.roll(6) {
        0 => Call::post("/v1/renew"),
        1 => Call::get("/v1/session"),
        2 => Call::get("/v1/ext-authz/a"),
        3 => Call::get(&format!("/v1/ext-authz-app/{APPID}/a")),
        4 => Call::get("/v1/verify"),
        _ => Call::get(&format!("/v1/verify/{APPID}")),
    };
    call.ticket(ticket)
}

/// A ticket under a key that nobody has. Each may have the server look at its keys, once a second in total.
pub(super) async fn unknown_kid(worker: &mut Worker) {
    let ticket = worker.anybodys_ticket().await;
    let mut bytes = URL_SAFE_NO_PAD.decode(ticket).unwrap();
    for byte in &mut bytes[KID.0..KID.1] {
        *byte = random_byte(&mut worker.dice);
    }
    refused(worker, &URL_SAFE_NO_PAD.encode(bytes)).await;
}

/// A genuine ticket that was changed somewhere.
pub(super) async fn changed(worker: &mut Worker) {
    let ticket = worker.anybodys_ticket().await;
    let mut bytes = URL_SAFE_NO_PAD.decode(&ticket).unwrap();
    let (len, dice) = (bytes.len(), &mut worker.dice);
    let bad = match dice.roll(9) {
        0 => flipped(dice, &mut bytes, (0, 1)),
        1 => flipped(dice, &mut bytes, KID),
        2 => flipped(dice, &mut bytes, APP_TAG),
        3 => flipped(dice, &mut bytes, NONCE),
        4 => flipped(dice, &mut bytes, (NONCE.1, len - TAG_LEN)),
        5 => flipped(dice, &mut bytes, (len - TAG_LEN, len)),
        6 => ticket[..dice.roll(ticket.len())].to_owned(),
        7 => format!("{ticket}{}", "A".repeat(1 + dice.roll(2000))),
        _ => {
            let other = worker.anybodys_ticket().await;
            if other == ticket {
                return;
            }
            let other = URL_SAFE_NO_PAD.decode(other).unwrap();
            bytes[NONCE.0..NONCE.1].copy_from_slice(&other[NONCE.0..NONCE.1]);
            URL_SAFE_NO_PAD.encode(bytes)
        }
    };
    refused(worker, &bad).await;
}

fn flipped(dice: &mut Dice, bytes: &mut [u8], (from, to): (usize, usize)) -> String {
    bytes[from + dice.roll(to - from)] ^= 1 << dice.roll(8);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn random_byte(dice: &mut Dice) -> u8 {
    u8::try_from(dice.roll(256)).unwrap()
}

async fn refused(worker: &mut Worker, ticket: &str) {
    let call = show(&mut worker.dice, ticket);
    let answer = worker.ask(&call).await;
    worker.told(answer.as_ref(), &["401 invalid_ticket"], &call);
}

/// A genuine ticket whose time is over.
pub(super) async fn expired(worker: &mut Worker) {
    let ticket = worker.stage.expired[worker.dice.roll(worker.stage.expired.len())].clone();
    let call = show(&mut worker.dice, &ticket);
    let answer = worker.ask(&call).await;
    worker.told(answer.as_ref(), &["401 ticket_expired"], &call);
}

/// A good ticket where another app's is wanted.
pub(super) async fn wrong_app(worker: &mut Worker) {
    let ticket = worker.anybodys_ticket().await;
    let call = match worker.dice.roll(2) {
        0 => Call::get(&format!("/v1/verify/{OTHER_APPID}")),
        _ => Call::get(&format!("/v1/ext-authz-app/{OTHER_APPID}/{APPID}")),
    };
    refused_at_last(worker, &ticket, call, "403 wrong_app").await;
}

/// What the platform never encrypted, with a genuine ticket. It may have the server ask about the `session_key`, a few times
/// a minute for each login.
pub(super) async fn wrong_data(worker: &mut Worker) {
    let ticket = worker.anybodys_ticket().await;
    let mut base64 = |len| STANDARD.encode((0..len).map(|_| random_byte(&mut worker.dice)).collect::<Vec<_>>());
    let body = json!({ "encryptedData": base64(64), "iv": base64(16) });
    let path = ["/v1/userdata", "/v1/phone"][worker.dice.roll(2)];
    refused_at_last(worker, &ticket, Call::post(path).json(&body), "400 bad_user_data").await;
}

/// Shows `ticket`, which is good, so that it comes to what is `wrong` about `call`; unless its key has been revoked meanwhile.
async fn refused_at_last(worker: &mut Worker, ticket: &str, call: Call, wrong: &str) {
    let (call, shown) = (call.ticket(ticket), Instant::now());
    let answer = worker.ask(&call).await;
    let is_good = worker.stage.ledger.worth(&kid_of(ticket), shown) == Worth::Good;
    let expected = if is_good { &[wrong][..] } else { &[wrong, "401 invalid_ticket"] };
    worker.told(answer.as_ref(), expected, &call);
}

/// What is no login handle: an openid, a ticket, anything.
pub(super) async fn no_handle(worker: &mut Worker) {
    let ticket = worker.anybodys_ticket().await;
    let handle = ["o-alice", "null", "%00", "", &ticket, &ticket[1..]][worker.dice.roll(6)];
    let call = Call::post("/miniLogin/loginCheck.ajax").form(&format!("openid={handle}&unionid=&phoneNo="));
    let answer = worker.ask(&call).await;
    worker.told(answer.as_ref(), &["401"], &call);
}

/// A code that has logged somebody in.
pub(super) async fn used_code(worker: &mut Worker) {
    let Some(code) = worker.stage.ledger.spent_code(&mut worker.dice) else { return };
    let before = worker.stage.ledger.weather();
    let address = format!("198.51.100.{}", worker.dice.roll(256));
    let call = login_from(&address, &code, APPID);
    let answer = worker.ask(&call).await;
    // In bad weather nobody is told that it was used, since the platform is not asked.
    let mut expected = vec!["401 code_used"];
    let is_fine = before == worker.stage.ledger.weather() && before.logins() == ["200"];
    expected.extend(if is_fine { &[] } else { &ANY_WEATHER[1..] });
    worker.told(answer.as_ref(), &expected, &call);
}

/// Logins by somebody who has endless new codes, and who gives up on some of them before there is an answer.
pub(super) async fn impatient_login(worker: &mut Worker) {
    if worker.dice.roll(4) > 0 {
        worker.log_in("mallory", APPID).await;
        return;
    }
    let call = login(&worker.stage.code_for("mallory"), APPID);
    let mut connection = worker.stage.connect().await;
    connection.try_send(call.to_bytes()).await;
    tokio::time::sleep(std::time::Duration::from_millis(worker.dice.roll(20) as u64)).await;
    connection.reset();
    worker.stage.tally.count(worker.kind, super::tally::RESET);
}

/// More logins from one address than it may have.
pub(super) async fn too_many_logins(worker: &mut Worker) {
    let code = worker.stage.code_for("mallory");
    let call = login_from("203.0.113.7", &code, APPID);
    let answer = worker.ask(&call).await;
    let expected = [ANY_WEATHER, &["429 rate_limited"]].concat();
    worker.told(answer.as_ref(), &expected, &call);
    if let Some(refused) = answer.filter(|answer| answer.status == 429) {
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
    }
}

/// Codes that no platform ever made, and bodies that are no login.
pub(super) async fn no_login(worker: &mut Worker) {
    let calls = [
        Call::post("/v1/login").body("application/json", "{\"code\":"),
        Call::post("/v1/login").json(&json!({ "code": "x".repeat(513), "appid": APPID })),
        Call::post("/v1/login").json(&json!({ "code": "demo-a-1" })),
        Call::post("/v1/login").json(&json!({ "code": "demo-a-1", "appid": "wx0000000000000000" })),
        Call::post("/v1/login").form("code=demo-a-1"),
        Call::get("/v1/login"),
    ];
    let call = &calls[worker.dice.roll(calls.len())];
    let answer = worker.ask(call).await;
    let expected = [
        "400 invalid_request",
        "403 app_required",
        "403 wrong_app",
        "415 unsupported_media_type",
        "405 method_not_allowed",
    ];
    worker.told(answer.as_ref(), &expected, call);
}
