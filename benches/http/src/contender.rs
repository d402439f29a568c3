//! The servers that `/v1/verify` is measured beside. Each is what its library's own examples show, and no more; each listens
//! on a free port of the loopback interface and says where; some on a Unix socket, too.
//!
//! `POST /login` makes a session and answers with its cookie; `/v1/verify` tells who the session belongs to, in the same
//! headers as the program does. The bare ones answer without looking.

mod actix;
mod axum_cookie;
mod axum_redis;
mod bare;

use std::env;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// What the variable is called that says where redis-server listens.
pub(crate) const REDIS_URL: &str = "BENCH_REDIS_URL";
/// The same of the path of a Unix socket to listen on.
pub(crate) const SOCKET: &str = "BENCH_SOCKET";

const SESSION_COOKIE: &str = "session";

/// What a session holds: what a ticket holds, with values as long as the simulator's.
#[derive(Debug, Deserialize, Serialize)]
#[expect(clippy::struct_field_names, reason = "WeChat calls it session_key")]
struct Session {
    appid: String,
    platform: String,
    openid: String,
    unionid: String,
    phone: String,
    claims: String,
    login_id: String,
    expires_at: u64,
    session_key: String,
}

impl Session {
    fn usual() -> Self {
        Self {
            appid: "wx0123456789abcdef".to_owned(),
            platform: "weapp".to_owned(),
            openid: "oGZUI0egBJY1zhBYw2KhdUfwVJJE".to_owned(),
            unionid: "ocMvos6NjeKLIBqg5Mr9QjxrP1FA".to_owned(),
            phone: String::new(),
            claims: String::new(),
            login_id: "0123456789abcdef".to_owned(),
            expires_at: 1_800_000_000,
            session_key: "tiihtNczf5v6AKRyjwEUhQ==".to_owned(),
        }
    }

    /// The headers that tell who it is.
    fn headers(&self) -> [(&'static str, String); 9] {
        [
            ("x-auth-appid", self.appid.clone()),
            ("x-auth-platform", self.platform.clone()),
            ("x-auth-openid", self.openid.clone()),
            ("x-auth-unionid", self.unionid.clone()),
            ("x-auth-phone", self.phone.clone()),
            ("x-auth-claims", self.claims.clone()),
            ("x-auth-login-id", self.login_id.clone()),
            ("x-auth-expires-at", self.expires_at.to_string()),
            ("cache-control", "no-store".to_owned()),
        ]
    }
}

/// Serves until it is killed.
pub(crate) fn serve(name: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    listener.set_nonblocking(true)?;
    let socket = env::var_os(SOCKET).map(UnixListener::bind).transpose().context("cannot listen on a Unix socket")?;
    println!("{name} on http://{}", listener.local_addr()?);
    match name {
        "axum" => in_tokio(bare::axum(listener, socket)),
        "axum-headers" => in_tokio(bare::axum_with_headers(listener)),
        "hyper" => in_tokio(bare::hyper(listener)),
        "axum-redis" => in_tokio(axum_redis::serve(listener)),
        "axum-cookie" => in_tokio(axum_cookie::serve(listener)),
        "actix-session" => actix::serve(listener),
        _ => bail!("there is no such contender"),
    }
}

/// What `#[tokio::main]` does: one worker for each core that the process may run on, which is one.
fn in_tokio(server: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(server)
}
