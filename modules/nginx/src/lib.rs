//! auth-ticket's check as a module of nginx.
//!
//! A request is checked in nginx's access phase, with a verifier file that `auth-ticket keys export` writes: no request to a
//! server, no store, no lock. What decides is a pure function, [`check::check`] of (verifiers, headers, now). Files are
//! read by the library, counters are safe Rust as well; `edge` is the only module that talks to nginx, and the only one with `unsafe`.
//!
//! | module | contains |
//! | --- | --- |
//! | [`check`] | the decision, its refusals, the headers that a service gets |
//! | [`counters`] | numbers that all workers share, and their text |
//! | `edge` | directives, phases, filters, variables, the timer |

pub mod check;
pub mod counters;
#[cfg(feature = "edge")]
pub mod edge;
