//! Single flight: of two requests with the same code at once, the second waits for the result of the first.
//!
//! A code works once, so a double tap or an impatient proxy would otherwise turn a good login into `code_used`. Nothing
//! is remembered once the exchange is over; then the platform refuses the code.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::http::error::ApiError;
use crate::keyring::AppId;
use crate::platform::{Code, FailedReason, PlatformError};

/// App, the user for whom the code counts (empty if for any), digest of the code.
type FlightKey = (AppId, String, [u8; 32]);
type Flight<T> = Shared<BoxFuture<'static, Result<T, ApiError>>>;
type Running<T> = Arc<Mutex<HashMap<FlightKey, Flight<T>>>>;

/// The exchanges of one kind of code that run now. What comes back is handed to everybody who waits.
pub(crate) struct Flights<T>(Running<T>);

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// Joins the running exchange of `code` at `app`, or starts `exchange`. Exchanges are shared only for the same `user` (an
    /// openid), so that one user never gets another's result.
    ///
    /// It runs to its end whether or not the client is still there: the code is spent by then, and others may wait.
    pub(crate) async fn join(
        &self,
        app: &AppId,
        user: Option<&str>,
        code: &Code,
        exchange: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        let key = (app.clone(), user.unwrap_or_default().to_owned(), code.digest());
        let flight = {
            let mut running = lock(&self.0);
            running.get(&key).cloned().unwrap_or_else(|| {
                let flight = self.start(key.clone(), exchange);
                running.insert(key, flight.clone());
                flight
            })
        };
        flight.await
    }

    fn start(&self, key: FlightKey, exchange: impl Future<Output = Result<T, ApiError>> + Send + 'static) -> Flight<T> {
        let flights = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            // Made when the task runs, not before: a runtime that ends drops new tasks on the spot, under our lock.
            let _landing = Landing { flights, key };
            exchange.await
        });
        task.map(|joined| joined.unwrap_or_else(|_| Err(PlatformError::Failed(FailedReason::CutOff).into())))
            .boxed()
            .shared()
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Running::default())
    }
}

fn lock<T>(running: &Running<T>) -> MutexGuard<'_, HashMap<FlightKey, Flight<T>>> {
    // The map is whole between any two statements, so a panic elsewhere leaves nothing half-done in it.
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes an exchange off the list when it ends, however it ends.
struct Landing<T> {
    flights: Running<T>,
    key: FlightKey,
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        lock(&self.flights).remove(&self.key);
    }
}
