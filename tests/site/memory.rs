//! What the memory of processes holds after they have checked tickets. Only root can read it.

use std::fs;
use std::os::unix::fs::FileExt;

use auth_ticket::claims::{PlatformId, SessionKey};
use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::{AppId, LoginId, Purpose};
use auth_ticket::keystore::Directory;
use auth_ticket::ticket::{Policy, Session};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::{APPID, Keys};

const OPENID: &str = "o-canary-openid";
/// One that a ticket holds as 16 bytes, and one that it holds as text.
const SESSION_KEYS: [&str; 2] = ["++/+q83v/+8BI0VniavN7w==", "canary-session-key"];

/// A ticket with each of these `session_key`s.
pub(crate) fn tickets_with_session_keys(keys: &Keys) -> [String; 2] {
    let (now, app) = (SystemClock.now(), AppId::parse(APPID).unwrap());
    let (ring, _) = Directory::new(keys.path()).load_ring([app.clone()], now).unwrap();
    SESSION_KEYS.map(|session_key| {
        let mut session = Session::new(PlatformId::parse(OPENID).unwrap(), LoginId::generate().unwrap(), now);
        session.session_key = Some(SessionKey::parse(session_key).unwrap());
        let policy = Policy { ttl_s: 600, max_session_s: 86400 };
        session.seal(&ring, &app, Purpose::Ticket, now, &policy).unwrap().text().to_owned()
    })
}

/// The openid, which was in the answers, is found in the memory of these processes, and the `session_key`s are not.
#[track_caller]
pub(crate) fn holds_users_but_no_session_key(processes: &[u32]) {
    let bytes = STANDARD.decode(SESSION_KEYS[0]).unwrap();
    let texts = [OPENID.as_bytes(), SESSION_KEYS[0].as_bytes(), &bytes, SESSION_KEYS[1].as_bytes()];
    let mut found = [0; 4];
    for pid in processes {
        for (total, count) in found.iter_mut().zip(counts_in_memory(*pid, &texts)) {
            *total += count;
        }
    }
    assert!(found[0] > 0, "what was in the answers is found");
    assert_eq!(found[1..], [0, 0, 0], "the session_keys are not");
}

/// How often each of `texts` stands in the memory of process `pid`, whose pages only root can read.
fn counts_in_memory(pid: u32, texts: &[&[u8]]) -> Vec<usize> {
    const CHUNK: usize = 1 << 20;
    /// A text that lies across two chunks is whole in the first one.
    const OVERLAP: usize = 64;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let pattern =
        |text: &&[u8]| -> String { text.iter().map(|byte| format!("\\x{byte:02x}")).collect::<Vec<_>>().concat() };
    let search = |text: &&[u8]| regex::bytes::Regex::new(&format!("(?-u){}", pattern(text))).unwrap();
    let searches: Vec<regex::bytes::Regex> = texts.iter().map(search).collect();
    let mut counts = vec![0; texts.len()];
    let zeros = vec![0_u8; CHUNK + OVERLAP];
    let mut chunk = zeros.clone();
    for line in maps.lines().filter(|line| line.contains(" r") && !line.contains("[v")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        for at in (from..to).step_by(CHUNK) {
            let len = usize::try_from(to - at).unwrap().min(CHUNK + OVERLAP);
            // A page may have gone since.
            let read = memory.read_at(&mut chunk[..len], at).unwrap_or_default();
            // Most of what is mapped was never written to.
            if chunk[..read] == zeros[..read] {
                continue;
            }
            for (search, count) in searches.iter().zip(&mut counts) {
                *count += search.find_iter(&chunk[..read]).count();
            }
        }
    }
    counts
}
