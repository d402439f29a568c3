//! One look at a whole keys directory.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::geteuid;
use sha2::{Digest, Sha256};

use super::access::{self, Content, Demand};
use super::handle::Handle;
use super::{LoadError, key_file_name};
use crate::keyring::cutoffs::Recovered;
use crate::keyring::cutoffs::list::{self, Cutoff, CutoffsError};
use crate::keyring::text::{self, Parsed, TextError};
use crate::keyring::{Cutoffs, Fingerprint, KeyId, KeyName, KeyUse, RingContent};

/// Largest `cutoffs.json`, in bytes.
const MAX_CUTOFFS_LEN: usize = 256 << 20;
pub(super) const CUTOFFS: &str = "cutoffs.json";
/// How often a volume may be scanned before one scan meets no swap of it.
const MAX_SCANS: usize = 5;

/// Everything in a keys directory, right or not.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Scan {
    /// What was right. The fingerprint covers the files that could be read.
    pub content: RingContent,
    /// What was not.
    pub problems: Vec<FileProblem>,
    /// What is for others.
    pub passed_over: Vec<PassedOver>,
}

/// A file that this program leaves alone, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PassedOver {
    /// Its name in the directory.
    pub file: String,
    /// Why it was left alone.
    pub why: String,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is passed over: {}", self.file, self.why)
    }
}

/// A file that is not as it must be.
#[derive(Debug)]
#[non_exhaustive]
pub struct FileProblem {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// What should hold it is no directory.
    #[error("is not a directory")]
    NotADirectory,
    /// A directory, a fifo, a device.
    #[error("is not a regular file")]
    NotAFile,
    /// Above the limit.
    #[error("is larger than {max_len} bytes")]
    TooLarge {
        /// The limit, in bytes.
        max_len: usize,
    },
    /// Owned by neither root nor this user.
    #[error("is owned by user {uid}, who is neither root nor the user that runs this")]
    ForeignOwner {
        /// Its owner.
        uid: u32,
    },
    /// Writable by its group, or anything at all for others.
    #[error("is open to others (mode {mode:04o})")]
    OpenToOthers {
        /// Its permission bits.
        mode: u32,
    },
    /// Readable by its group, which was not allowed.
    #[error("is readable by its group (mode {mode:04o})")]
    OpenToGroup {
        /// Its permission bits.
        mode: u32,
    },
    /// Not UTF-8.
    #[error("is not UTF-8 text")]
    NotText,
    /// No right key file.
    #[error(transparent)]
    Key(#[from] TextError),
    /// No right list of cut-offs.
    #[error(transparent)]
    Cutoffs(#[from] CutoffsError),
}

impl FileProblem {
    fn remedy(&self) -> String {
        let path = self.path.display();
        match &self.problem {
            Problem::OpenToOthers { .. } => format!("chmod 600 {path}"),
            Problem::OpenToGroup { .. } => format!("chmod 600 {path}, or allow it with --allow-group-read"),
            // Root's own look at a directory of its own: whose the files should be, only the directory's owner says.
            Problem::ForeignOwner { uid } if geteuid().is_root() => {
                let directory = self.path.parent().unwrap_or(&self.path).display();
                format!("if that is the server's user, give it the directory: chown {uid} {directory}")
            }
            Problem::ForeignOwner { .. } => format!("chown {} {path}", geteuid().as_raw()),
            Problem::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                format!("chown {} {path} && chmod 600 {path}", geteuid().as_raw())
            }
            Problem::Io(_) => "restore it from a copy, or remove it".to_owned(),
            Problem::NotADirectory => "give the directory that holds the key files".to_owned(),
            Problem::NotAFile | Problem::TooLarge { .. } => format!("move it out of the directory: {path}"),
            Problem::NotText | Problem::Key(_) => {
                "restore it from a copy, or move it out of the directory and make a new key with keys rotate".to_owned()
            }
            Problem::Cutoffs(_) => "restore it from a copy".to_owned(),
        }
    }
}

/// `keys/ticket-a1b2c3d4.key is open to others (mode 0644); chmod 600 keys/ticket-a1b2c3d4.key`
impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if matches!(self.problem, Problem::Key(_) | Problem::Cutoffs(_)) { ":" } else { "" };
        write!(f, "{}{colon} {}; {}", self.path.display(), self.problem, self.remedy())
    }
}

/// What a name in the directory stands for.
enum Entry {
    Key(KeyName),
    Revoked(KeyName),
    Cutoffs,
    /// Named like a key or a revocation of a use that this version does not know.
    OfUnknownUse,
    /// Looks like one of ours by its ending, but is not named as one.
    Misnamed,
    Other,
}

impl Entry {
    fn of(name: &str) -> Self {
        if name.starts_with('.') {
            return Self::Other;
        }
        if name == CUTOFFS {
            return Self::Cutoffs;
        }
        let (stem, is_key) = match (name.strip_suffix(".key"), name.strip_suffix(".revoked")) {
            (Some(stem), _) => (stem, true),
            (None, Some(stem)) => (stem, false),
            (None, None) => return Self::Other,
        };
        let Some((key_use, kid)) = stem.rsplit_once('-') else { return Self::Misnamed };
        let Some(kid) = KeyId::parse(kid) else { return Self::Misnamed };
        match key_use.parse::<KeyUse>() {
            Ok(key_use) if is_key => Self::Key(KeyName { key_use, kid }),
            Ok(key_use) => Self::Revoked(KeyName { key_use, kid }),
            Err(_) if key_use.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) => Self::OfUnknownUse,
            Err(_) => Self::Misnamed,
        }
    }
}

/// All files of a directory as they were at one moment, not yet understood.
#[derive(Debug)]
pub(super) struct Listing {
    files: Vec<ListedFile>,
    fingerprint: Fingerprint,
    /// Like the fingerprint, but it also tells which files could not be read, and why.
    pub(super) digest: [u8; 32],
}

#[derive(Debug)]
struct ListedFile {
    path: PathBuf,
    name: String,
    content: Result<Content, Problem>,
}

/// Refuses a directory into which others could put files.
pub(super) fn refuse_if_open(path: &Path, directory: &Handle) -> Result<(), LoadError> {
    let list_error = |source| LoadError::List { path: path.to_owned(), source };
    match access::directory_open_to_others(directory).map_err(list_error)? {
        Some(mode) => Err(LoadError::WritableByOthers { path: path.to_owned(), mode }),
        None => Ok(()),
    }
}

/// `path` is where the directory was found, for messages.
pub(super) fn list(path: &Path, directory: &Handle, allow_group_read: bool) -> Result<Listing, LoadError> {
    let list_error = |source| LoadError::List { path: path.to_owned(), source };
    let mut volume = volume_of(directory);
    for _ in 0..MAX_SCANS {
        let listing = list_once(path, directory, allow_group_read).map_err(list_error)?;
        let now = volume_of(directory);
        if now == volume {
            return Ok(listing);
        }
        volume = now;
    }
    // What was listed last may be half of one version and half of another.
    Err(LoadError::Restless(path.to_owned()))
}

pub(super) fn cutoffs(path: &Path, directory: &Handle, allow_group_read: bool) -> Result<Vec<Cutoff>, FileProblem> {
    let parse = |content: Content| Ok(list::parse(str::from_utf8(&content).map_err(|_| Problem::NotText)?)?);
    match access::read_file(directory, CUTOFFS, Demand { max_len: MAX_CUTOFFS_LEN, allow_group_read }).and_then(parse) {
        Err(Problem::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|problem| FileProblem { path: path.join(CUTOFFS), problem }),
    }
}

/// What can be understood of the list of cut-offs, and what is wrong with the file apart from its text.
pub(super) fn recover_cutoffs(
    path: &Path,
    directory: &Handle,
    allow_group_read: bool,
) -> Result<(Recovered, Option<FileProblem>), FileProblem> {
    let path = path.join(CUTOFFS);
    match access::read_in_spite_of(directory, CUTOFFS, Demand { max_len: MAX_CUTOFFS_LEN, allow_group_read }) {
        Ok((content, problem)) => Ok((Recovered::read(&content), problem.map(|problem| FileProblem { path, problem }))),
        Err(Problem::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok((Recovered::default(), None)),
        Err(problem) => Err(FileProblem { path, problem }),
    }
}

/// Where Kubernetes' `..data` link leads, which is swapped to replace all files of a volume at once.
fn volume_of(directory: &Handle) -> Option<PathBuf> {
    directory.link("..data")
}

fn list_once(path: &Path, directory: &Handle, allow_group_read: bool) -> io::Result<Listing> {
    let mut names = directory.names()?;
    names.sort();
    let mut files = Vec::new();
    let (mut fingerprint, mut digest) = (Sha256::new(), Sha256::new());
    for name in names.into_iter().filter_map(|name| name.into_string().ok()) {
        let demand = |max_len| Demand { max_len, allow_group_read };
        let content = match Entry::of(&name) {
            Entry::Other => continue,
            // What is in a revocation does not count, and neither does what is in a file that is not one of ours.
            Entry::Revoked(_) | Entry::Misnamed => Ok(Content::default()),
            Entry::OfUnknownUse if name.ends_with(".revoked") => Ok(Content::default()),
            Entry::OfUnknownUse | Entry::Key(_) => access::read_file(directory, &name, demand(text::MAX_LEN)),
            Entry::Cutoffs => access::read_file(directory, &name, demand(MAX_CUTOFFS_LEN)),
        };
        let told = match &content {
            Ok(content) => Sha256::digest(&**content),
            Err(problem) => Sha256::digest(problem.to_string()),
        };
        let counts = content.is_ok() && !matches!(Entry::of(&name), Entry::Misnamed);
        for sum in [&mut digest].into_iter().chain(counts.then_some(&mut fingerprint)) {
            sum.update(&name);
            sum.update([0]);
            sum.update(told);
        }
        digest.update([u8::from(content.is_ok())]);
        files.push(ListedFile { path: path.join(&name), name, content });
    }
    let fingerprint = Fingerprint(fingerprint.finalize().first_chunk().copied().unwrap_or_default());
    Ok(Listing { files, fingerprint, digest: digest.finalize().into() })
}

impl Listing {
    /// Understands the files one by one.
    pub(super) fn parse(self) -> Scan {
        let mut scan = Scan::default();
        scan.content.fingerprint = self.fingerprint;
        for ListedFile { path, name, content } in self.files {
            if let Err(problem) = content.and_then(|content| scan.take_up(&name, &content)) {
                scan.problems.push(FileProblem { path, problem });
            }
        }
        scan
    }
}

impl Scan {
    fn take_up(&mut self, name: &str, content: &[u8]) -> Result<(), Problem> {
        match Entry::of(name) {
            Entry::Other => {}
            Entry::Misnamed => self.pass_over(name, "it is not named like a key file, for example ticket-a1b2c3d4.key"),
            Entry::OfUnknownUse => self.pass_over(name, "its use is unknown to this program"),
            Entry::Revoked(key) => {
                self.content.revoked.insert(key);
            }
            Entry::Key(key) => self.take_key(key, content)?,
            Entry::Cutoffs => {
                let text = str::from_utf8(content).map_err(|_| Problem::NotText)?;
                self.content.cutoffs = Some(Arc::new(Cutoffs::parse(text)?));
            }
        }
        Ok(())
    }

    fn take_key(&mut self, name: KeyName, content: &[u8]) -> Result<(), Problem> {
        match text::parse(name, str::from_utf8(content).map_err(|_| Problem::NotText)?)? {
            Parsed::Key(key) => self.content.keys.push(Arc::new(key)),
            Parsed::Unsupported(why) => self.pass_over(&key_file_name(name), &why),
        }
        Ok(())
    }

    fn pass_over(&mut self, file: &str, why: &str) {
        self.passed_over.push(PassedOver { file: file.to_owned(), why: why.to_owned() });
    }
}
