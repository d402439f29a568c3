//! How archives and packages are put together, with a program that does nothing in the place of the real one: what needs no
//! release build to be shown.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::{VERSION, X86_64, dead_links, debian_version};
use crate::support::system::{needed, read, shipped, succeed, told, write, write_script};

/// A directory as pack.sh leaves it for deb.sh: what all archives have, and a program.
fn work() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let common = place.path().join("common");
    for directory in ["man/man1", "completions"] {
        fs::create_dir_all(common.join(directory)).unwrap();
    }
    for file in ["man/man1/auth-ticket.1", "completions/auth-ticket.bash", "completions/_auth-ticket"] {
        write(&common.join(file), "nothing\n");
    }
    write(&common.join("completions/auth-ticket.fish"), "nothing\n");
    write(&common.join("LICENSES-THIRD-PARTY.txt"), "none\n");
    let mut copy = Command::new("cp");
    copy.arg("-r").args(["README.md", "CHANGELOG.md", "docs", "deploy"].map(shipped));
    succeed(copy.arg(&common));
    fs::create_dir(place.path().join("bin")).unwrap();
    write_script(&place.path().join(format!("bin/auth-ticket-{X86_64}")), "#!/bin/sh\n");
    fs::create_dir(place.path().join("out")).unwrap();
    place
}

/// Makes the package of `version` in `work`, packed by `maintainer`.
fn deb(work: &Path, version: &str, maintainer: &str) -> Output {
    needed("dpkg-deb");
    let mut command = Command::new("sh");
    command.args(["deploy/dist/deb.sh", version, X86_64]).arg(work).arg(work.join("out"));
    command.env("DEB_MAINTAINER", maintainer).env("SOURCE_DATE_EPOCH", "0");
    command.current_dir(shipped(".")).output().unwrap()
}

fn field(package: &Path, name: &str) -> String {
    succeed(Command::new("dpkg-deb").arg("-f").arg(package).arg(name)).trim_end().to_owned()
}

/// A package of a version that comes before 0.2.0 has to be replaced by that of 0.2.0.
#[test]
fn a_pre_release_sorts_before_its_release_in_debian() {
    let work = work();
    for (version, expected) in
        [("0.2.0-rc.1", "0.2.0~rc.1"), ("0.2.0-rc.2", "0.2.0~rc.2"), ("0.2.0-rc-3", "0.2.0~rc.3"), ("0.2.0", "0.2.0")]
    {
        assert_eq!(debian_version(version), expected);
        let output = deb(work.path(), version, "");
        assert!(output.status.success(), "{}", told(&output));
        let package = work.path().join(format!("out/auth-ticket_{expected}_amd64.deb"));
        assert_eq!(field(&package, "Version"), expected);
        let sorts = |relation: &str, other: &str| {
            succeed(Command::new("dpkg").args(["--compare-versions", expected, relation, other]));
        };
        sorts("gt", "0.1.9");
        sorts(if version == expected { "eq" } else { "lt" }, "0.2.0");
    }
}

#[test]
fn who_packs_is_named_as_debian_reads_it_or_nothing_is_packed() {
    let work = work();
    let package = work.path().join("out/auth-ticket_1.0.0_amd64.deb");
    for maintainer in
        ["Wang Wu <wang.wu@example.org>", "王五 <wang@example.org>", "Example, Inc. <tickets@packages.example.org>"]
    {
        let output = deb(work.path(), "1.0.0", maintainer);
        assert!(output.status.success(), "{maintainer}: {}", told(&output));
        assert_eq!(field(&package, "Maintainer"), maintainer);
        fs::remove_file(&package).unwrap();
    }
    let refused = [
        "Wang Wu",
        "wang@example.org",
        "<wang@example.org>",
        "Wang Wu <wang>",
        "Wang Wu <wang@example.org",
        "Wang Wu<wang@example.org>",
        "Wang Wu <wang@example..org>",
        "Wang Wu <wang@example.org>\nPre-Depends: something-else",
    ];
    for maintainer in refused {
        let output = deb(work.path(), "1.0.0", maintainer);
        assert!(!output.status.success() && !package.exists(), "{maintainer} was accepted");
        assert!(
            told(&output).contains("error: DEB_MAINTAINER is to be \"Name <name@example.org>\""),
            "{}",
            told(&output)
        );
        // `make dist` asks before it builds for half an hour.
        let mut make = Command::new("make");
        make.args(["--no-print-directory", "dist-tools"]).env("DEB_MAINTAINER", maintainer);
        let output =
            make.arg(format!("DIST_TOOLS={}", work.path().join("tools").display())).current_dir(shipped(".")).output();
        let output = output.unwrap();
        assert!(!output.status.success() && told(&output).contains("DEB_MAINTAINER is to be"), "{}", told(&output));
    }
    assert!(!work.path().join("tools").exists());
}

/// What pack.sh has linked.py add to the documents of an archive.
fn linked(documents: &Path) -> Output {
    let mut command = Command::new(needed("python3"));
    command.arg("deploy/dist/linked.py").arg(documents).current_dir(shipped(".")).output().unwrap()
}

#[test]
fn documents_bring_along_what_they_link_to() {
    let place = tempfile::tempdir().unwrap();
    let mut copy = Command::new("cp");
    copy.arg("-r").args(["README.md", "README.zh-CN.md", "CHANGELOG.md", "SECURITY.md", "docs"].map(shipped));
    succeed(copy.arg(place.path()));
    assert_ne!(dead_links(place.path()), (Vec::new(), 0), "this would show nothing");
    let output = linked(place.path());
    assert!(output.status.success(), "{}", told(&output));
    let (dead, followed) = dead_links(place.path());
    assert!(dead.is_empty() && followed > 100, "{followed} links, of which these are dead: {dead:#?}");

    let first = read(&place.path().join("README.md"));
    for (target, name) in [("docs/NOWHERE.html", "docs/NOWHERE.html"), ("../outside", "../outside"), ("src", "src")] {
        write(&place.path().join("README.md"), &format!("{first}\n[link]({target})\n"));
        let output = linked(place.path());
        assert!(!output.status.success(), "a link to {target} passed");
        assert!(told(&output).contains(&format!("error: README.md links to {name}")), "{}", told(&output));
    }
}

#[test]
fn what_readers_type_first_names_the_packages_of_this_version() {
    let typed = format!("\n$ npm install ./auth-ticket-{VERSION}.tgz ./auth-ticket-linux-x64-{VERSION}.tgz\n");
    for name in ["README.md", "README.zh-CN.md"] {
        assert!(read(&shipped(name)).contains(&typed), "{name} does not have{typed}");
    }
}

#[test]
fn nothing_is_signed_without_a_key_a_tool_or_files() {
    let place = tempfile::tempdir().unwrap();
    let (tools, key) = (place.path().join("tools"), place.path().join("minisign.key"));
    fs::create_dir(&tools).unwrap();
    for tool in ["sh", "sed", "git", "sha256sum", "cat", "tr", "node"] {
        if let Some(path) =
            ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(tool)).into_iter().find(|path| path.exists())
        {
            std::os::unix::fs::symlink(path, tools.join(tool)).unwrap();
        }
    }
    let dist = place.path().join("dist");
    let sign = |key: &str| {
        let mut make = Command::new(needed("make"));
        make.args(["--no-print-directory", "dist-sign"])
            .arg(format!("KEY={key}"))
            .arg(format!("DIST={}", dist.display()));
        let output = make.env("PATH", &tools).current_dir(shipped(".")).output().unwrap();
        assert!(!output.status.success(), "{key}: {}", told(&output));
        assert!(!dist.join("SHA256SUMS.minisig").exists());
        told(&output)
    };
    let key_name = key.display().to_string();
    let said = sign(&key_name);
    assert!(said.contains("error: minisign is not installed"), "{said}");
    // One that would sign whatever there is.
    write_script(&tools.join("minisign"), "#!/bin/sh\n: >\"$5.minisig\"\n");
    for (key, expected) in [("", "error: no key: make dist-sign KEY="), (&*key_name, "error: there is no key ")] {
        let said = sign(key);
        assert!(said.contains(expected), "{key}: {said}");
    }
    write(&key, "key\n");
    let said = sign(&key_name);
    assert!(said.contains("error: there is nothing to sign"), "{said}");
    fs::create_dir(&dist).unwrap();
    write(&dist.join("archive"), "changed\n");
    write(&dist.join("SHA256SUMS"), &format!("{}  archive\n", "0".repeat(64)));
    let said = sign(&key_name);
    assert!(said.contains("archive: FAILED"), "{said}");
}
