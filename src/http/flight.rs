//! The same code twice at once is one exchange: whoever comes second waits for the first one's result.
//!
//! A code works once, so a double tap or an impatient proxy would otherwise turn a good login into `code_used`. Nothing
//! is remembered once the exchange is over; then the platform refuses the code.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::keyring::AppId;
use crate::platform::{Code, FailedReason, PlatformError};
use crate::ticket::Session;

type Outcome = Result<Arc<Session>, PlatformError>;
type Key = (AppId, [u8; 32]);

/// The exchanges that run now.
#[derive(Clone, Debug, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Key, Shared<BoxFuture<'static, Outcome>>>>>);

impl Flights {
    /// Joins the exchange of `code` at `app` that runs, or starts `exchange`.
    ///
    /// It runs to its end whether or not the client is still there: the code is spent by then, and others may wait.
    pub(super) async fn join(
        &self,
        app: &AppId,
        code: &Code,
        exchange: impl Future<Output = Outcome> + Send + 'static,
    ) -> Outcome {
        let key = (app.clone(), code.digest());
        let flight = {
            let mut running = self.running();
            running.get(&key).cloned().unwrap_or_else(|| {
                let flight = self.start(key.clone(), exchange);
                running.insert(key, flight.clone());
                flight
            })
        };
        flight.await
    }

    fn start(
        &self,
        key: Key,
        exchange: impl Future<Output = Outcome> + Send + 'static,
    ) -> Shared<BoxFuture<'static, Outcome>> {
        let flights = self.clone();
        let task = tokio::spawn(async move {
            // Made when the task runs, not before: a runtime that ends drops new tasks on the spot, under our lock.
            let _landing = Landing { flights, key };
            exchange.await
        });
        task.map(|joined| joined.unwrap_or(Err(PlatformError::Failed(FailedReason::CutOff)))).boxed().shared()
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Key, Shared<BoxFuture<'static, Outcome>>>> {
        // The map is whole between any two statements, so a panic elsewhere leaves nothing half-done in it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an exchange off the list when it ends, however it ends.
struct Landing {
    flights: Flights,
    key: Key,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.running().remove(&self.key);
    }
}
