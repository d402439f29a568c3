//! Promises to the user that take other programs to show: web servers, gateways, shells, other languages, libfaketime, the
//! system's own tools. `make test` installs what is missing where it is root on Debian, and names it elsewhere.
//!
//! Here, too, is what needs no other program but more than a moment: the soak (`soak`), replicas through rotations and
//! trouble (`drill`, `trouble`), every command on every damaged directory (`process::matrix`), and builds of the packaged
//! crate (`package`) and with another platform (`toy`).

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

#[expect(dead_code, unused_imports, reason = "some of it is for tests/it")]
#[path = "../support/support.rs"]
mod support;

mod consumers;
mod deploy;
mod dist;
mod documents;
mod drill;
mod gateways;
mod memory;
mod package;
mod process;
mod soak;
mod toy;
mod trouble;
