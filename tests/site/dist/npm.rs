//! The npm packages, installed from their files without a network, as README.md says.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::{AT_MOST, VERSION, figure, made};
use crate::support::Server;
use crate::support::system::{needed, succeed, write};

#[test]
#[ignore = "make dist-test"]
fn npx_runs_a_demo_within_seconds_from_the_packages_alone() {
    let site = tempfile::tempdir().unwrap();
    // An npm that has never run: nothing is taken from its cache.
    let npm = |program: &str| {
        let mut command = Command::new(needed(program));
        command.current_dir(site.path()).env("npm_config_cache", site.path().join("cache"));
        command.env("npm_config_offline", "true").env("npm_config_update_notifier", "false");
        command
    };
    let packages = [format!("npm/auth-ticket-{VERSION}.tgz"), format!("npm/auth-ticket-linux-x64-{VERSION}.tgz")];
    let begin = Instant::now();
    let mut install = npm("npm");
    succeed(install.args(["install", "--no-audit", "--no-fund"]).args(packages.map(|package| made(&package))));
    let installed = begin.elapsed();
    // npx runs it below a shell, where no signal gets to it if this test fails.
    let mut npx = npm("npx");
    npx.args(["auth-ticket", "demo", "--listen", "127.0.0.1:0", "--until-stdin-closes"]).stdin(Stdio::piped());
    let demo = Server::start(&mut npx);
    assert_eq!(demo.verify(&demo.ticket("demo-alice-1")).status, 200);
    let took = begin.elapsed();
    figure(&format!("npm install: {installed:?}; from there to a login that was checked: {took:?}"));
    assert!(took < AT_MOST, "{took:?}");
    assert!(succeed(npm("npx").args(["auth-ticket", "--version"])).starts_with(&format!("auth-ticket {VERSION}")));
    drop(demo);

    write(
        &site.path().join("test.mjs"),
        "import { startSimulator } from 'auth-ticket'\n\
         const simulator = await startSimulator()\n\
         console.log(await simulator.code('alice', { appid: 'wx0123456789abcdef' }))\n\
         await simulator.stop()\n",
    );
    let code = succeed(Command::new(needed("node")).arg("test.mjs").current_dir(site.path()));
    assert!(code.trim().len() >= 20, "{code}");
}
