//! Strict clients, as their authors release them, against the running server.

use std::process::Command;

use super::tools::{NodeScript, python};
use super::world::{SECRET, World};

/// Runs `command`, which has to end well, in a world whose JWTs are signed by `alg`.
#[track_caller]
fn runs(alg: &str, mut command: Command) {
    let world = World::start(&["--jwt-alg", alg]);
    command.env("ISSUER", world.front.url()).env("TICKET", world.ticket()).env("SECRET", SECRET);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.trim() == "all good",
        "{alg}: {said}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        world.server.stderr()
    );
}

#[test]
fn oauth4webapi_and_jose_find_nothing_wrong() {
    for alg in ["ES256", "EdDSA"] {
        let script = NodeScript::new("tests/consumers/oauth4webapi.mjs");
        runs(alg, script.command());
    }
}

#[test]
fn what_looks_at_openids_address_finds_all_it_needs() {
    for alg in ["ES256", "EdDSA"] {
        let script = NodeScript::new("tests/consumers/discovery.mjs");
        runs(alg, script.command());
    }
}

#[test]
fn pyjwt_and_authlib_find_nothing_wrong() {
    for alg in ["ES256", "EdDSA"] {
        runs(alg, python("tests/consumers/clients.py"));
    }
}
