//! A service that checks tickets by itself, with the servers' keys: no gateway, no call to a login server.
//!
//! ```toml
//! [dependencies]
//! auth-ticket = { version = "0.1", default-features = false, features = ["axum"] }
//! axum = "0.8"
//! futures-util = "0.3"
//! tokio = { version = "1", features = ["macros", "net", "rt-multi-thread", "time"] }
//! ```
//!
//! `cargo run --example axum keys wx0123456789abcdef 127.0.0.1:3000`, then
//! `curl -H "weixinauth: $TICKET" http://127.0.0.1:3000/orders`.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use auth_ticket::keyring::AppId;
use auth_ticket::keystore::Directory;
use auth_ticket::tower::{AppNotLoaded, AuthTicket, Verifier};
use axum::Router;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::time::interval;

/// `max_session` of the servers' configuration.
const MAX_SESSION: Duration = Duration::from_secs(30 * 86400);
/// How long a revocation takes at most, once its file is there.
const KEYS_POLL: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, keys, appid, address] = arguments.as_slice() else { return Err("usage: axum KEYS APPID ADDRESS".into()) };
    let app = AppId::parse(appid)?;

    let (verifier, watch) = Verifier::load(Directory::new(keys), [app.clone()], MAX_SESSION)?;
    // Without it the verifier refuses everything: it would not learn of a revocation.
    tokio::spawn(watch.run(KEYS_POLL));

    let listener = TcpListener::bind(address).await?;
    Ok(axum::serve(listener, router(&verifier, &app)?).await?)
}

/// Who has no good ticket gets 401 with the JSON of the login server, and never reaches a handler of `inside`.
///
/// # Errors
/// The keys were loaded for other apps.
pub(crate) fn router(verifier: &Verifier, app: &AppId) -> Result<Router, AppNotLoaded> {
    let layer = verifier.layer(app)?;
    let inside = Router::new().route("/orders", get(orders)).route("/events", get(events)).layer(layer.clone());
    let outside = Router::new().route("/", get(front_page)).layer(layer.optional());
    Ok(inside.merge(outside))
}

async fn orders(ticket: AuthTicket) -> String {
    format!("the orders of {}, logged in at {}\n", ticket.openid(), ticket.auth_time())
}

/// An event a second, until the ticket ends or is revoked: it was checked when the request came, which the stream outlives.
async fn events(ticket: AuthTicket) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let seconds = stream::unfold(interval(Duration::from_secs(1)), |mut interval| async {
        interval.tick().await;
        Some((Ok(Event::default().data("still here")), interval))
    });
    Sse::new(seconds.take_until(ticket.until_refused()))
}

async fn front_page(ticket: Option<AuthTicket>) -> String {
    match ticket {
        Some(ticket) => format!("welcome back, {}\n", ticket.openid()),
        None => "welcome\n".to_owned(),
    }
}
