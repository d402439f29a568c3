//! A keys directory under watch.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::{Key, KeyName, KeySpec, KeyUse, text};
use auth_ticket::keystore::Directory;
use serde_json::Value;
use tempfile::TempDir;

use super::program::{Outcome, auth_ticket};

/// What can be told of a file without opening the seal: content, permission bits, time of the last change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    content: Vec<u8>,
    pub(crate) mode: u32,
    modified: (i64, i64),
}

/// A keys directory; each command that runs on it is watched for what no command may do.
#[derive(Debug)]
pub(crate) struct Keys {
    root: TempDir,
}

impl Keys {
    /// The directory does not exist yet.
    pub(crate) fn missing() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    /// As `keys init` makes it.
    pub(crate) fn init() -> Self {
        let keys = Self::missing();
        keys.run(&["init"]).done();
        keys
    }

    /// A temporary directory that nothing but the keys directory is in.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("keys")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// `keys ARGS --keys DIRECTORY`, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = auth_ticket(&["keys"]);
        command.args(args).arg("--keys").arg(self.path());
        command
    }

    /// Adds a key that was made `age_s` ago, sealed from then on, and was to seal for `life_s`.
    ///
    /// Not under the lock: a process that another test starts meanwhile would hold it, too, for a moment.
    pub(crate) fn add_old(&self, key_use: KeyUse, age_s: u64, life_s: u64) -> KeyName {
        Directory::new(self.path()).create().unwrap();
        let created = SystemClock.now().minus(age_s);
        let (alg, seal_until) = (key_use.default_alg(), created.plus(life_s));
        let key = Key::generate(KeySpec { key_use, alg, created, seal_from: created, seal_until, max_ttl_s: 3600 });
        let key = key.unwrap();
        let mut options = fs::File::options();
        let mut file = options.create_new(true).write(true).mode(0o600).open(self.file(&format!("{}.key", key.name())));
        file.as_mut().unwrap().write_all(text::encode(&key).as_bytes()).unwrap();
        key.name()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.watch(args, &mut self.command(args))
    }

    /// Runs `command`, and sees to it that it shows no secret, changes no file and, unless it prunes, removes none.
    pub(crate) fn watch(&self, args: &[&str], command: &mut Command) -> Outcome {
        let before = self.files();
        let outcome = Outcome::of(command);
        let after = self.files();
        for (name, seen) in &before {
            match after.get(name) {
                Some(now) => assert_eq!(now, seen, "{args:?} changed {name}"),
                None => assert!(args.contains(&"prune") || name.starts_with(".tmp-"), "{args:?} removed {name}"),
            }
        }
        for secret in self.secrets() {
            let shown = [&outcome.stdout, &outcome.stderr].into_iter().any(|text| text.contains(&secret));
            assert!(!shown, "{args:?} shows a secret");
        }
        outcome
    }

    /// Everything in the directory, the lock excepted.
    pub(crate) fn files(&self) -> BTreeMap<String, Seen> {
        let Ok(entries) = fs::read_dir(self.path()) else { return BTreeMap::new() };
        let see = |entry: fs::DirEntry| {
            let metadata = entry.metadata().unwrap();
            let content = if metadata.is_file() { fs::read(entry.path()).unwrap_or_default() } else { Vec::new() };
            let modified = (metadata.mtime(), metadata.mtime_nsec());
            (entry.file_name().into_string().unwrap(), Seen { content, mode: metadata.mode() & 0o7777, modified })
        };
        entries.map(|entry| see(entry.unwrap())).filter(|(name, _)| name != ".lock").collect()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.files().into_keys().collect()
    }

    /// The 64 hex digits of every key.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let secret_of = |seen: &Seen| {
            let text: Value = serde_json::from_slice(&seen.content).ok()?;
            text.get("secret")?.as_str().map(str::to_owned)
        };
        self.files().values().filter_map(secret_of).collect()
    }

    /// `keys list --json`.
    #[track_caller]
    pub(crate) fn list(&self) -> Value {
        self.run(&["list", "--json"]).json()
    }

    /// The kid of the key of this use that is in this state; there has to be one, and one only.
    #[track_caller]
    pub(crate) fn kid(&self, key_use: &str, state: &str) -> String {
        let list = self.list();
        let keys = list["keys"].as_array().unwrap();
        let mut found = keys.iter().filter(|key| key["use"] == key_use && key["state"] == state);
        let (Some(only), None) = (found.next(), found.next()) else {
            panic!("not one {state} {key_use} key: {list:#}")
        };
        only["kid"].as_str().unwrap().to_owned()
    }
}
