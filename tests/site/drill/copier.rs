//! Late copies: what stands in one directory appears in others after a while, as it does on machines far away.

use std::collections::HashMap;
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Copies files that are new or have changed, each after the delay.
pub(crate) struct Copier {
    task: JoinHandle<()>,
    slowest: Arc<Mutex<Duration>>,
}

/// A content that was seen in the source, and is on its way.
struct OnItsWay {
    name: String,
    content: Vec<u8>,
    seen: Instant,
}

impl Copier {
    pub(crate) fn start(from: &Path, to: &Path, delay: Duration) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        let slowest = Arc::<Mutex<Duration>>::default();
        let task = tokio::spawn(run(from, to, delay, Arc::clone(&slowest)));
        Self { task, slowest }
    }

    /// The longest that any file was on its way since this was last asked.
    pub(crate) fn take_slowest(&self) -> Duration {
        std::mem::take(&mut *self.slowest.lock().unwrap())
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(from: PathBuf, to: PathBuf, delay: Duration, slowest: Arc<Mutex<Duration>>) {
    let mut known: HashMap<String, Vec<u8>> = HashMap::new();
    let mut on_its_way: Vec<OnItsWay> = Vec::new();
    loop {
        for (name, content) in files(&from) {
            if known.get(&name) != Some(&content) {
                known.insert(name.clone(), content.clone());
                on_its_way.push(OnItsWay { name, content, seen: Instant::now() });
            }
        }
        on_its_way.retain(|file| {
            let under_way = file.seen.elapsed() < delay;
            if !under_way {
                copy(&to, file);
                let mut slowest = slowest.lock().unwrap();
                *slowest = file.seen.elapsed().max(*slowest);
            }
            under_way
        });
        sleep(LOOK_EVERY).await;
    }
}

/// Everything that does not begin with a dot, successors before what they succeed: keys before revocations.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        // It may be gone, for a newer one.
        .filter_map(|name| std::fs::read(directory.join(&name)).ok().map(|content| (name, content)))
        .collect();
    files.sort_by_key(|(name, _)| (name.ends_with(".revoked"), name.clone()));
    files
}

/// The safe way: the whole content under another name first.
fn copy(to: &Path, file: &OnItsWay) {
    let temporary = to.join(".copy");
    let mut copy = File::create(&temporary).unwrap();
    copy.set_permissions(Permissions::from_mode(0o600)).unwrap();
    copy.write_all(&file.content).unwrap();
    copy.sync_all().unwrap();
    std::fs::rename(&temporary, to.join(&file.name)).unwrap();
}
