//! What is no request, what is too large for one, and clients that break off.

use super::tally::{CLOSED, RESET};
use super::worker::{Worker, login};
use crate::support::APPID;
use crate::support::Call;

const JSON: &str = "application/json";
const BAD_REQUEST: &str = "400 invalid_request";
/// What a check says of whatever it cannot read.
const NO_TICKET: &str = "401 invalid_ticket";

/// Bytes of another protocol, or of none.
pub(super) async fn garbage(worker: &mut Worker) {
    const KNOWN: [&[u8]; 12] = [
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /v1/login HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"POST /v1/login HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/login HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /v1/verify HTTP/1.1\r\nweixinauth: a\r\n b\r\n\r\n",
        b"GET /v1/verify HTTP/1.1\r\nweixinauth: a\0b\r\n\r\n",
    ];
    let bytes: Vec<u8> = if worker.dice.roll(2) == 0 {
        KNOWN[worker.dice.roll(KNOWN.len())].to_vec()
    } else {
        let len = 1 + worker.dice.roll(4000);
        let random = |_| u8::try_from(worker.dice.roll(256)).unwrap();
        (0..len).map(random).chain(*b"\r\n\r\n").collect()
    };
    let mut connection = worker.stage.connect().await;
    connection.try_send(&bytes).await;
    let answer = connection.try_answer(&Call::get("/"), worker.stage.form.longest_head()).await;
    worker.told(answer.as_ref(), &[BAD_REQUEST, NO_TICKET, CLOSED], &bytes.escape_ascii().to_string());
}

/// More head than there may be.
pub(super) async fn head(worker: &mut Worker) {
    let path = ["/v1/verify", "/v1/session", "/healthz", "/openapi.json", "/no/such/route"][worker.dice.roll(5)];
    let is_check = path == "/v1/verify";
    let padded = |call: Call, kib: usize| call.header("x-padding", "x".repeat(kib << 10));
    let call = Call::get(path);
    let refused = if is_check { NO_TICKET } else { "431 headers_too_large" };
    // The last three are refused while they arrive, and more than is drained afterwards may be a reset.
    let (call, expected): (Call, &[&str]) = match worker.dice.roll(6) {
        0 => (padded(call, 17), &[refused]),
        1 => (padded(call, 64), &[refused]),
        2 => ((0..90).fold(call, |call, n| call.header(&format!("x-padding-{n}"), "x".repeat(200))), &[refused]),
        3 => (padded(call, 200), &[refused, CLOSED]),
        4 => ((0..150).fold(call, |call, n| call.header(&format!("x-{n}"), "x")), &[refused, CLOSED]),
        _ => (Call::get(&format!("{path}?{}", "x".repeat(70 << 10))), &[refused, CLOSED]),
    };
    let answer = worker.ask(&call).await;
    worker.told(answer.as_ref(), expected, &format!("{path} {expected:?}"));
}

/// More body than there may be.
pub(super) async fn body(worker: &mut Worker) {
    // Up to 2 MiB are read so that the client learns what is wrong. Beyond that the end of the connection may overtake
    // the answer.
    let (kib, expected): (usize, &[&str]) = match worker.dice.roll(3) {
        0 => (65, &["413 too_large"]),
        1 => (1024, &["413 too_large"]),
        _ => (4096, &["413 too_large", CLOSED]),
    };
    let call = if worker.dice.roll(2) == 0 {
        Call::post("/v1/login").body(JSON, vec![b' '; kib << 10])
    } else {
        let chunk = [format!("{:x}\r\n", 16 << 10).as_bytes(), &[b' '; 16 << 10], b"\r\n"].concat();
        let body = [&chunk.repeat(kib.div_ceil(16))[..], b"0\r\n\r\n"].concat();
        Call::post("/v1/login").header("transfer-encoding", "chunked").body(JSON, body)
    };
    let answer = worker.ask(&call).await;
    worker.told(answer.as_ref(), expected, &format!("{kib} KiB"));
    worker.hang_up();
}

/// A check that announces a body, which never comes: it is not waited for.
pub(super) async fn body_of_a_check(worker: &mut Worker) {
    let call = Call::post("/v1/verify").header("content-length", "3").header("expect", "100-continue");
    let answer = worker.ask(&call).await;
    worker.told(answer.as_ref(), &["401 invalid_ticket"], &call);
    worker.hang_up();
}

/// Requests one after the other without waiting; the answers come in the same order.
pub(super) async fn pipeline(worker: &mut Worker) {
    let choices = [
        (Call::get("/healthz"), "200"),
        (Call::get("/v1/verify"), "401 invalid_ticket"),
        (Call::get(&format!("/v1/verify/{APPID}")).ticket("AQ"), "401 invalid_ticket"),
        (Call::get("/v1/nothing"), "404 not_found"),
        (Call::get("/v1/renew"), "405 method_not_allowed"),
        (Call::post("/v1/login").body("text/plain", "x"), "415 unsupported_media_type"),
        (Call::get("/openapi.json"), "200"),
    ];
    let chosen: Vec<_> = (0..8).map(|_| &choices[worker.dice.roll(choices.len())]).collect();
    let mut connection = worker.stage.connect().await;
    connection.try_send(chosen.iter().flat_map(|(call, _)| call.to_bytes()).collect::<Vec<_>>()).await;
    for (call, expected) in chosen {
        let answer = connection.try_answer(call, super::form::MARGIN).await;
        worker.told(answer.as_ref(), &[expected], call);
    }
}

/// A connection that is reset, wherever it is.
pub(super) async fn reset(worker: &mut Worker) {
    let ticket = worker.anybodys_ticket().await;
    let check = Call::get("/v1/verify").ticket(&ticket).to_bytes();
    let body = Call::post("/v1/login").header("content-length", "1000").body(JSON, "{\"code\":");
    let sent = match worker.dice.roll(6) {
        0 => Vec::new(),
        1 => check[..worker.dice.roll(check.len())].to_vec(),
        2 => body.to_bytes(),
        3 => check,
        4 => check.repeat(50),
        _ => login(&worker.stage.code_for("mallory"), APPID).to_bytes(),
    };
    let mut connection = worker.stage.connect().await;
    connection.try_send(sent).await;
    if worker.dice.roll(2) == 0 {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(std::time::Duration::from_millis(worker.dice.roll(10) as u64)).await;
    }
    connection.reset();
    worker.stage.tally.count(worker.kind, RESET);
}
