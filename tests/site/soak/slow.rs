//! Clients that take their time: with a head, with a body, with nothing at all, or with reading the answers.

use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};

use super::form::MARGIN;
use super::tally::CLOSED;
use super::worker::Worker;
use crate::support::APPID;
use crate::support::{Call, Connection, connection};

const DRIP: Duration = Duration::from_millis(200);
const PORTION_EVERY: Duration = Duration::from_millis(10);
/// So many answers of [`LONG_ANSWER`], some 10 MB, fit neither into the buffers of both sockets (the sender's grows to
/// 4 MiB) nor into the server's own.
const PIPELINED: usize = 150;
const LONG_ANSWER: &str = "/openapi.json";

/// A head, byte by byte. It has no answer, and an end in time.
pub(super) async fn head(worker: &mut Worker) {
    let ticket = worker.anybodys_ticket().await;
    let call = Call::get(&format!("/v1/verify/{APPID}")).ticket(&ticket);
    let mut head = call.to_bytes();
    head.truncate(head.len() - 2);
    let began = Instant::now();
    let mut connection = worker.stage.connect().await;
    for byte in head.iter().chain(std::iter::repeat(&b'x')) {
        connection.try_send([*byte]).await;
        if !connection.is_silent_for(DRIP).await {
            break;
        }
        assert!(began.elapsed() < worker.stage.form.longest_head(), "a slow head is still waited for");
    }
    is_closed(worker, connection).await;
}

/// A part of a head, or nothing, and then silence.
pub(super) async fn silence(worker: &mut Worker) {
    let heads =
        ["", "G", "POST /v1/login HTTP/1.1\r\nHost: a\r\n", "GET /v1/verify HTTP/1.1\r\nHost: a\r\nweixinauth: AQ"];
    let mut connection = worker.stage.connect().await;
    connection.try_send(heads[worker.dice.roll(heads.len())]).await;
    is_closed(worker, connection).await;
}

/// One answer, and then silence.
pub(super) async fn idleness(worker: &mut Worker) {
    let mut connection = worker.stage.connect().await;
    let call = Call::get("/healthz");
    connection.try_send(call.to_bytes()).await;
    let answer = connection.try_answer(&call, MARGIN).await;
    worker.told(answer.as_ref(), &["200"], &"before idleness");
    is_closed(worker, connection).await;
}

async fn is_closed(worker: &Worker, mut connection: Connection) {
    let form = &worker.stage.form;
    let patience = form.longest_head().max(form.idle_timeout + form.header_timeout + MARGIN);
    let answer = connection.try_answer(&Call::get("/"), patience).await;
    worker.told(answer.as_ref(), &[CLOSED], &"nothing whole was sent");
}

/// A body that stops or trickles. It is answered when its time is up, and that is the end of the connection.
pub(super) async fn body(worker: &mut Worker) {
    let mut connection = worker.stage.connect().await;
    let call = Call::post("/v1/login");
    let call = match worker.dice.roll(2) {
        0 => call.header("content-length", "60000").body("application/json", "{\"code\":\""),
        _ => call.header("transfer-encoding", "chunked").body("application/json", "5\r\n{\"cod"),
    };
    connection.try_send(call.to_bytes()).await;
    let (began, trickles) = (Instant::now(), worker.dice.roll(2) == 0);
    while trickles && connection.is_silent_for(DRIP).await {
        connection.try_send("x").await;
        assert!(began.elapsed() < worker.stage.form.body_timeout + MARGIN, "a slow body is still waited for");
    }
    let patience = worker.stage.form.body_timeout + MARGIN;
    let answer = connection.try_answer(&call, patience).await;
    // What trickles in after the answer makes the end of the connection a reset, which may overtake the answer.
    worker.told(
        answer.as_ref(),
        if trickles { &["400 invalid_request", CLOSED] } else { &["400 invalid_request"] },
        &call,
    );
    if answer.is_some() {
        assert!(connection.try_answer(&call, MARGIN).await.is_none(), "one answer, and then the end");
    }
}

/// Many requests at once, and no answer is read before the server has given up. What it had said until then is whole.
pub(super) async fn reader(worker: &mut Worker) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut connection = connection(socket.connect(worker.stage.server.address).await.unwrap());
    let (form, call) = (&worker.stage.form, Call::get(LONG_ANSWER));
    // In portions: nobody else is to wait for all of them.
    let portion = call.to_bytes().repeat(5);
    for _ in 0..PIPELINED / 5 {
        connection.try_send(&portion).await;
        sleep(PORTION_EVERY).await;
    }
    sleep(form.idle_timeout + form.header_timeout + MARGIN / 4).await;
    let mut answers = 0;
    while let Some(answer) = connection.try_answer(&call, MARGIN).await {
        answer.is_ok();
        answers += 1;
    }
    // Of what the server has said, only what this side's small buffer holds may be left.
    assert!(answers < PIPELINED, "all answers were written to somebody who did not read");
    worker.told(None, &[CLOSED], &"a slow reader");
}
