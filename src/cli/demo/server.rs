//! One of the servers of the demo: they share the directory of keys, and nothing else.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use auth_ticket::claims::WebOrigin;
use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::http::{self, App, AppState, CompatSettings, ConnectionCount, ConnectionLimits, Routes, Settings};
use auth_ticket::keyring::AppId;
use auth_ticket::keystore::{Directory, Reloader};
use axum::Router;

use crate::cli::reload::ReloadTask;
use crate::cli::report;
use crate::cli::servers::{Bound, Servers};

/// Quick, for somebody who rotates the key and looks.
const KEYS_POLL: Duration = Duration::from_secs(1);

/// A server that is not listening yet.
pub(super) struct DemoServer {
    /// Where programs on this machine reach it.
    pub(super) address: SocketAddr,
    pub(super) clients: Routes,
    pub(super) operators: Routes,
    listener: Bound,
    admin: Bound,
    client_count: ConnectionCount,
    operator_count: ConnectionCount,
}

impl DemoServer {
    /// Loads the keys and begins to follow the directory.
    pub(super) fn start(
        directory: Directory,
        apps: Vec<App>,
        handover_origins: &[WebOrigin],
        (listener, admin): (Bound, Bound),
    ) -> anyhow::Result<Self> {
        let ids: Vec<AppId> = apps.iter().map(|app| app.id.clone()).collect();
        let settings = Settings {
            compat: CompatSettings { enabled: true, require_phone: false },
            // The first: WeChat's.
            default_app: ids.first().cloned(),
            handover_origins: handover_origins.to_vec(),
            ..Settings::default()
        };
        let (reloader, ring, _) = Reloader::start(directory, ids, SystemClock.now()).map_err(report::load_failed)?;
        let state = AppState::new(settings, apps, Vec::new(), ring, Arc::new(SystemClock))?;
        tokio::spawn(ReloadTask::new(Arc::clone(&state), reloader, KEYS_POLL)?.run());
        Ok(Self {
            address: reachable(listener.address()?),
            operators: http::admin_routes(Arc::clone(&state), Vec::new()),
            client_count: state.client_connections(),
            operator_count: state.connection_count("operators"),
            clients: http::routes(state),
            listener,
            admin,
        })
    }

    /// Listens, with `more` in front of the routes for clients.
    pub(super) fn listen(self, running: &mut Servers, limits: ConnectionLimits, more: Router) {
        running.add(limits, self.admin, &self.operators, &self.operator_count);
        running.add(limits, self.listener, &self.clients.with(more), &self.client_count);
    }
}

/// Where programs on this machine reach what listens on `own`: a wildcard is no address to connect to.
pub(super) fn reachable(own: SocketAddr) -> SocketAddr {
    match own.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), own.port()),
        _ => own,
    }
}
