//! Services of other hands: strict clients unchanged, the examples in other languages, and what neither may accept.
//!
//! Node's and Python's packages come from `make consumers-tools`, which also installs Go, Java, PHP and Apache.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "tests touch files and start processes as users do")]

pub(crate) mod clock;
mod description;
mod envoy;
mod examples;
mod forge;
mod front;
mod introspection;
mod matrix;
mod payment;
mod php;
mod postgres;
mod rotation;
mod strict;
mod tools;
mod world;
