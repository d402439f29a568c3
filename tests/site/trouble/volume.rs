//! A Kubernetes volume: every file is a link through `..data`, which is swapped to replace all of them at once.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::{Key, KeySpec, KeyUse, text};
use auth_ticket::keystore::Directory;
use tokio::time::sleep;

use super::{FAILED, POLL, SOON, write};
use crate::drill::http::{Http, kid_of};
use crate::drill::process::{Setup, Site, cli};
use crate::drill::{say, within};

const SWAPS: usize = 100;
/// So many that a look takes a while, and many a swap falls into the middle of one.
const OLD_KEYS: u64 = 700;

/// Keys that sealed long ago.
fn add_old_keys(keys: &Path) {
    for age_days in 1..=OLD_KEYS {
        let seal_from = SystemClock.now().minus(age_days * 86400);
        let (key_use, seal_until) = (KeyUse::Ticket, seal_from.plus(86400));
        let alg = key_use.default_alg();
        let spec = KeySpec { key_use, alg, created: seal_from, seal_from, seal_until, max_ttl_s: 86400 };
        let key = Key::generate(spec).unwrap();
        write(&keys.join(format!("{}.key", key.name())), text::encode(&key).as_bytes());
    }
}

/// The files of `directory`, but for those that begin with a dot.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| !name.starts_with('.'));
    names.map(|name| (name.clone(), std::fs::read(directory.join(&name)).unwrap())).collect()
}

struct Volume {
    path: PathBuf,
    present: Option<PathBuf>,
}

impl Volume {
    fn new(path: PathBuf) -> Self {
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        Self { path, present: None }
    }

    /// A version of the files, ready to be shown.
    fn add_version(&self, name: &str, files: &BTreeMap<String, Vec<u8>>) {
        let directory = self.path.join(name);
        std::fs::create_dir(&directory).unwrap();
        for (file, content) in files {
            write(&directory.join(file), content);
            let link = self.path.join(file);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(file), link).unwrap();
            }
        }
    }

    /// As the kubelet does it: a new name each time, one rename of the link, then the old name goes. The name is a link
    /// here, and not a directory with files of its own.
    fn swap(&mut self, number: usize, version: &str) {
        let name = format!("..2026_11_22_21_00_00.{number}");
        symlink(version, self.path.join(&name)).unwrap();
        let link = self.path.join("..data_tmp");
        symlink(&name, &link).unwrap();
        std::fs::rename(&link, self.path.join("..data")).unwrap();
        if let Some(old) = self.present.replace(self.path.join(name)) {
            std::fs::remove_file(old).unwrap();
        }
    }
}

#[tokio::test]
async fn a_swapped_volume_is_seen_whole() {
    let site = Site::new();
    let source = site.keys("source");
    add_old_keys(&source);
    cli(&["cutoff", "add", "--all", "--before", "2026-01-01T00:00:00Z"], &source);
    let one = files(&source);
    // The other version has the same names with other content: whatever is mixed has a third fingerprint.
    let other: BTreeMap<_, _> = one
        .iter()
        .map(|(name, content)| {
            let text = String::from_utf8(content.clone()).unwrap();
            let changed = text
                .replace("\"max_ttl_s\":86400", "\"max_ttl_s\":43200")
                .replace("2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z");
            assert_ne!(changed, text, "{name}");
            (name.clone(), changed.into_bytes())
        })
        .collect();
    let mut volume = Volume::new(site.path("volume"));
    volume.add_version("..one", &one);
    volume.add_version("..other", &other);
    volume.swap(0, "..one");
    let replica = site.replica(Setup::new("replica", &volume.path, POLL));
    let http = Http::new();
    let ticket = http.login(&replica.url, "demo-alice-1").await.ticket();
    // Told by the versions themselves: what the replica shows after a swap may still be a look at the one before.
    let fingerprint = |version: &str| {
        let (content, _) = Directory::new(volume.path.join(version)).load(SystemClock.now()).unwrap();
        content.fingerprint.to_string()
    };
    let (first, second) = (fingerprint("..one"), fingerprint("..other"));
    assert_eq!(http.fingerprint(&replica.admin).await, first);

    let over = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn({
        let (http, admin, url, over) = (http.clone(), replica.admin.clone(), replica.url.clone(), Arc::clone(&over));
        async move {
            let mut shown: BTreeMap<String, usize> = BTreeMap::new();
            while !over.load(Ordering::Relaxed) {
                *shown.entry(http.fingerprint(&admin).await).or_default() += 1;
                let answer = http.check(&url, &ticket).await;
                assert!(answer.is_good(), "{} {answer:?}", kid_of(&ticket));
                sleep(Duration::from_millis(5)).await;
            }
            shown
        }
    });
    for number in 1..=SWAPS {
        volume.swap(number, if number % 2 == 0 { "..one" } else { "..other" });
        // Not in step with the poll.
        sleep(Duration::from_millis(30 + u64::try_from(number * 7 % 60).unwrap())).await;
    }
    over.store(true, Ordering::Relaxed);
    let shown = watcher.await.unwrap();

    volume.swap(SWAPS + 1, "..other");
    let shows_the_last = async || http.fingerprint(&replica.admin).await == second;
    within(SOON, "it shows the last version", shows_the_last).await;
    let unknown: Vec<_> = shown.keys().filter(|shown| **shown != first && **shown != second).collect();
    assert!(unknown.is_empty(), "mixed: {unknown:?}; {}", replica.server.stderr());
    assert_eq!(shown.len(), 2, "both were seen: {shown:?}");
    let taken =
        http.metric(&replica.admin, "auth_ticket_ring_reloads_total{result=\"taken\"}").await.unwrap_or_default();
    let kept = http.metric(&replica.admin, "auth_ticket_ring_reloads_total{result=\"kept_old\"}").await;
    let well = async || http.metric(&replica.admin, FAILED).await.is_none_or(|failed| failed < 1.0);
    within(SOON, "all is well", well).await;
    say(&format!("{SWAPS} swaps: {taken} rings taken, {} looks in between refused", kept.unwrap_or_default()));
}
