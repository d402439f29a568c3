//! The steps that `deploy/README.md` has for a machine, done on Debian in a root file system of their own.
//!
//! Not executed, because they need systemd as process 1: `systemctl`, and `systemd-run` itself. What it would run is run as
//! the user and with the credential that its properties name, and these are compared with the unit's.

use std::process::Command;

use crate::support::bare;
use crate::support::system::{needed, read, shipped, start, succeed, told, url, write};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Lays a file system over the machine's own, which nothing gets through to, and does the steps in it.
const IN_A_ROOT_OF_ITS_OWN: &str = r#"
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
rm -rf "$1/root/etc/sysusers.d" "$1/root/usr/local/share/man" "$1/root/usr/local/share/bash-completion"
mount --rbind /dev "$1/root/dev" && mount --rbind /proc "$1/root/proc" && mount -t tmpfs none "$1/root/run"
mkdir "$1/root/source" && cp -r "$2"/. "$1/root/source"
cd "$1/root/source" && exec chroot "$1/root" sh -c 'cd /source && exec sh -eu steps.sh'
"#;

/// What stands for `ssh -l root replica2 COMMAND...`: the command, where the keys are another directory.
const REPLICA: &str = r#"#!/bin/sh
shift 3
exec unshare -m sh -c 'mount --bind /replica /var/lib/auth-ticket/keys && exec sh -c "$1"' sh "$*"
"#;

/// The lines of the `console` block below `heading`, each whole.
fn steps(text: &str, heading: &str) -> Vec<String> {
    let (_, section) = text.split_once(heading).unwrap();
    let block = section.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    block.replace("\\\n", "").lines().map(str::to_owned).collect()
}

/// `systemd-run OPTIONS sh -c LINE`, without systemd: as the user, with the credential in a directory that is named.
fn as_systemd_would(line: &str, unit: &str) -> String {
    let (options, command) = line.split_once(" sh -c ").unwrap();
    let properties: Vec<&str> = options.split(" -p ").skip(1).map(str::trim).collect();
    for property in ["User=", "LoadCredential="] {
        let given = properties.iter().find(|given| given.starts_with(property)).expect(property);
        assert!(unit.lines().any(|line| line == *given), "the unit has another {given}");
    }
    let credential = properties.iter().find_map(|given| given.strip_prefix("LoadCredential=")).unwrap();
    let user = properties.iter().find_map(|given| given.strip_prefix("User=")).unwrap();
    let (name, file) = credential.split_once(':').unwrap();
    format!(
        "install -d -m 700 -o {user} /run/credentials\ninstall -m 400 -o {user} {file} /run/credentials/{name}\n\
         CREDENTIALS_DIRECTORY=/run/credentials runuser -u {user} -- sh -c {command}"
    )
}

#[test]
fn the_steps_for_a_machine_lead_to_one_that_is_in_order() {
    if !rustix::process::geteuid().is_root() {
        return; // nothing to install would help: a root file system of one's own takes root
    }
    for tool in ["systemd-sysusers", "systemd-tmpfiles", "runuser", "unshare", "rsync"] {
        needed(tool);
    }
    let (_simulator, lines) = start(bare(&[]).args(["simulator", "--listen", "127.0.0.1:0"]), 1);
    let source = tempfile::tempdir().unwrap();
    succeed(Command::new("cp").arg("-r").arg(shipped("deploy")).arg(source.path()));
    succeed(Command::new("cp").arg(env!("CARGO_BIN_EXE_auth-ticket")).arg(source.path().join("auth-ticket")));
    crate::support::system::write_script(&source.path().join("replica"), REPLICA);

    let readme = read(&shipped("deploy/README.md"));
    let unit = read(&shipped("deploy/systemd/auth-ticket.service"));
    let mut script = vec![format!(
        "export AUTH_TICKET_UPSTREAM__ALLOW_SIMULATOR=true AUTH_TICKET_APP__0__BASE_URL={}",
        url(&lines[0])
    )];
    for line in steps(&readme, "\n## systemd\n") {
        if line.starts_with("systemctl ") {
            continue;
        }
        let line = if line.starts_with("systemd-run ") { as_systemd_would(&line, &unit) } else { line };
        // Nobody types here.
        let typed =
            if line.contains("/dev/stdin /etc/auth-ticket") { format!("echo {SECRET} | ") } else { String::new() };
        script.push(format!("echo '# step {}'\n{typed}{line}", script.len()));
    }
    // Then copies to a replica, whose user has no shell to log in with.
    let copy = steps(&read(&shipped("docs/OPERATING.md")), "\n## Copying keys\n").concat();
    assert!(copy.starts_with("rsync ") && copy.contains(" root@replica2:/var/lib/auth-ticket/keys/"), "{copy}");
    script.push("install -d -m 700 -o auth-ticket -g auth-ticket /replica".to_owned());
    script.push(format!("export RSYNC_RSH=/source/replica\ncd /var/lib/auth-ticket\n{copy}\n{copy}"));
    script.push("getent passwd auth-ticket; stat -c '%U %a %n' /replica/*".to_owned());
    let list =
        |keys: &str| format!("runuser -u auth-ticket -- auth-ticket keys list --keys {keys} | grep fingerprint:");
    script.push(format!("{}\n{}", list("/var/lib/auth-ticket/keys"), list("/replica")));
    write(&source.path().join("steps.sh"), &script.join("\n"));

    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-eu", "-c", IN_A_ROOT_OF_ITS_OWN, "sh"]).arg(place.path()).arg(source.path());
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let output = command.output().unwrap();
    let shown = told(&output);
    assert!(output.status.success(), "{}\n{shown}", script.join("\n"));
    assert!(shown.contains("the platform accepts appid and secret") && !shown.contains("FAIL"), "{shown}");
    assert!(shown.contains("/usr/sbin/nologin"), "{shown}");
    let copied = shown.lines().filter(|line| line.starts_with("auth-ticket 600 /replica/")).count();
    assert_eq!(copied, 2, "{shown}");
    let fingerprints: Vec<&str> = shown.lines().filter(|line| line.starts_with("fingerprint: ")).collect();
    assert!(fingerprints.len() == 2 && fingerprints[0] == fingerprints[1], "{shown}");
}

/// What rotates by itself copies as the manual says.
#[test]
fn the_rotation_unit_copies_as_the_manual_does() {
    let unit = read(&shipped("deploy/systemd/auth-ticket-rotate.service"));
    let copy = steps(&read(&shipped("docs/OPERATING.md")), "\n## Copying keys\n").concat();
    let in_unit = unit.lines().find_map(|line| line.strip_prefix("#   ExecStartPost=+/usr/bin/")).unwrap();
    let plain = |text: &str| text.replace(['\'', '"'], "").replace("/var/lib/auth-ticket/keys/ root", "keys/ root");
    assert_eq!(
        plain(in_unit).split_whitespace().collect::<Vec<_>>(),
        plain(&copy).split_whitespace().collect::<Vec<_>>()
    );
}
