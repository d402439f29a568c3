//! What the process asks of the operating system: that nobody reads its memory, and descriptors for its connections.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use anyhow::anyhow;
use auth_ticket::http::ConnectionLimits;
#[cfg(unix)]
pub(super) use unix::{protect_memory, raise_soft_limit};
#[cfg(windows)]
pub(super) use windows::{protect_memory, raise_soft_limit};

use super::report::WithHint;

/// Connections of operators: probes, scrapers, `keys check`. Clients cannot use them up.
pub(super) const MOST_OPERATORS: usize = 128;
/// For standard streams, listeners, the runtime, looks at the keys, name resolution.
const OWN_DESCRIPTORS: u64 = 32;
/// With fewer, nothing would be left for clients.
const LEAST_DESCRIPTORS: u64 = 2 * OWN_DESCRIPTORS;

/// Raises the soft limit of file descriptors to the hard one. How many there may be now; nothing where there is no limit.
///
/// # Errors
/// They are too few for a server.
pub(super) fn raise_descriptor_limit() -> anyhow::Result<Option<u64>> {
    let available = raise_soft_limit();
    match available.filter(|available| *available < LEAST_DESCRIPTORS) {
        None => Ok(available),
        Some(few) => Err(anyhow!("{few} file descriptors are too few: a server needs {LEAST_DESCRIPTORS} at least"))
            .hint("allow the process more: ulimit -n 1024, or LimitNOFILE= in its unit"),
    }
}

/// How descriptors are shared out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Descriptors {
    /// Connections of clients.
    pub(super) clients: usize,
    /// Connections of operators.
    pub(super) operators: usize,
}

impl Descriptors {
    /// Of `available` descriptors, when `clients` connections are configured and `outbound` go to platforms and the owner's
    /// service at most.
    ///
    /// What clients hold open must leave room for a look at the keys, which takes a revoked ticket's power away, and for
    /// operators, who find out.
    pub(super) fn of(available: Option<u64>, clients: usize, outbound: usize) -> Self {
        let Some(available) = available else { return Self { clients, operators: MOST_OPERATORS } };
        let operators = (available / 8).min(MOST_OPERATORS as u64);
        // Few are in use at a time; those of many apps together must not turn everybody away.
        let outbound = (outbound as u64).min(available / 4);
        let left = available.saturating_sub(OWN_DESCRIPTORS + operators + outbound).max(1);
        let number = |count| usize::try_from(count).unwrap_or(usize::MAX);
        Self { clients: clients.min(number(left)), operators: number(operators.max(1)) }
    }

    /// What to tell operators if `configured` connections are more than there can be.
    pub(super) fn warning(self, configured: usize, available: Option<u64>) -> Option<String> {
        let available = available.filter(|_| self.clients < configured)?;
        Some(format!(
            "limits.max_connections is {configured}, but with {available} file descriptors there can be {}; allow \
             the process more (ulimit -n, LimitNOFILE=) or lower limits.max_connections",
            self.clients
        ))
    }
}

/// `limits` for a server with no connections of its own to others, as far as descriptors allow.
///
/// # Errors
/// There are too few.
pub(super) fn fit(limits: ConnectionLimits) -> anyhow::Result<ConnectionLimits> {
    let shares = Descriptors::of(raise_descriptor_limit()?, limits.max_connections, 0);
    Ok(ConnectionLimits { max_connections: shares.clients, ..limits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        for (available, configured, outbound, clients, operators) in [
            (None, 10_000, 64, 10_000, 128),
            (Some(1_048_576), 10_000, 64, 10_000, 128),
            (Some(1024), 10_000, 64, 800, 128),
            (Some(1024), 100, 64, 100, 128),
            // 1,500 apps of which each may have 64 calls out.
            (Some(1024), 10_000, 96_000, 608, 128),
            (Some(128), 10_000, 64, 48, 16),
            (Some(LEAST_DESCRIPTORS), 10_000, 64, 8, 8),
        ] {
            let shares = Descriptors::of(available, configured, outbound);
            assert_eq!(shares, Descriptors { clients, operators }, "{available:?} {configured} {outbound}");
            if let Some(available) = available {
                assert!(shares.clients + shares.operators < usize::try_from(available).unwrap());
            }
        }
    }

    #[test]
    fn the_warning_names_both_numbers_and_what_to_do() {
        let told = Descriptors::of(Some(1024), 10_000, 64).warning(10_000, Some(1024)).unwrap();
        for part in ["10000", "1024", "800", "LimitNOFILE", "max_connections"] {
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(Descriptors::of(Some(1024), 800, 64).warning(800, Some(1024)), None);
        assert_eq!(Descriptors::of(None, 800, 64).warning(800, None), None);
    }
}
