//! One look at a whole keys directory.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::access::{self, Content, Demand};
use super::error::LoadError;
use super::handle::Handle;
use super::names::{CUTOFFS, key_file_name, revoked_file_name};
use super::owner::OpenDirectory;
use super::problem::{FileProblem, Problem};
use crate::clock::UnixSeconds;
use crate::keyring::cutoffs::list::{self, Cutoff};
use crate::keyring::cutoffs::{Ahead, Recovered};
use crate::keyring::text::{self, Parsed};
use crate::keyring::{Cutoffs, Fingerprint, KeyId, KeyName, KeyUse, RingContent};

/// Largest `cutoffs.json`, in bytes.
const MAX_CUTOFFS_LEN: usize = 256 << 20;
/// How often a volume may be scanned before one scan meets no swap of it.
const MAX_SCANS: usize = 5;

/// Everything in a keys directory, right or not.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Scan {
    /// What was right, and the cut-offs that could be understood in a list that was not. The fingerprint covers the files
    /// that were right.
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

/// What a name in the directory stands for.
enum FileKind {
    Key(KeyName),
    Revoked(KeyName),
    Cutoffs,
    /// Named like a key or a revocation of a use that this version does not know.
    OfUnknownUse,
    /// Looks like one of ours by its ending, but is not named as one.
    Misnamed,
    Other,
}

impl FileKind {
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
        let Ok(kid) = KeyId::parse(kid) else { return Self::Misnamed };
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

/// A file with what of it may count. The list of cut-offs may count in spite of a problem, a key never.
#[derive(Debug)]
struct ListedFile {
    path: PathBuf,
    name: String,
    content: Option<Content>,
    problem: Option<Problem>,
}

/// A look at a directory in whatever state it is.
#[derive(Debug)]
pub(super) struct Sight {
    /// Everything in it; where it cannot be listed, what is known to matter and could be found by name.
    pub(super) listing: Listing,
    /// What is wrong with the directory itself.
    pub(super) trouble: Option<LoadError>,
}

/// Looks at the directory at `path`. Where it cannot be listed, the keys `known` are looked for.
pub(super) fn look(
    path: &Path,
    directory: Result<Arc<Handle>, LoadError>,
    allow_group_read: bool,
    known: impl Iterator<Item = KeyName>,
) -> Sight {
    let directory = match directory {
        Ok(directory) => directory,
        Err(error) => return Sight { listing: find(path, None, allow_group_read, known), trouble: Some(error) },
    };
    let refused = refuse_if_open(path, &directory).err();
    match list_as_it_is(path, &directory, allow_group_read) {
        Ok((listing, is_settled)) => {
            let restless = (!is_settled).then(|| LoadError::Restless(path.to_owned()));
            Sight { listing, trouble: refused.or(restless) }
        }
        Err(error) => Sight { listing: find(path, Some(&directory), allow_group_read, known), trouble: Some(error) },
    }
}

/// What takes power away, found by name: revocations of the keys `known`, and the list of cut-offs.
fn find(
    path: &Path,
    directory: Option<&Handle>,
    allow_group_read: bool,
    known: impl Iterator<Item = KeyName>,
) -> Listing {
    let revocations = known.map(revoked_file_name);
    let mut names: Vec<String> = match directory {
        Some(directory) => {
            let names = revocations.chain([CUTOFFS.to_owned()]);
            names.filter(|name| directory.has(name).unwrap_or_default()).collect()
        }
        // By their paths, which takes no descriptor.
        None => revocations.filter(|name| path.join(name).symlink_metadata().is_ok()).collect(),
    };
    names.sort();
    let read = |name: &str, entry: &FileKind| match (directory, entry) {
        (Some(directory), FileKind::Cutoffs) => read_entry(directory, name, entry, allow_group_read),
        _ => (Some(Content::default()), None),
    };
    collect(path, names, read)
}

/// Refuses a directory into which others could put files.
pub(super) fn refuse_if_open(path: &Path, directory: &Handle) -> Result<(), LoadError> {
    let list_error = |source| LoadError::List { path: path.to_owned(), source };
    let path = || path.to_owned();
    match directory.check().map_err(list_error)? {
        Some(OpenDirectory::ToOthers { mode }) => Err(LoadError::WritableByOthers { path: path(), mode }),
        Some(OpenDirectory::ToItsOwner { uid }) => Err(LoadError::ForeignOwner { path: path(), uid }),
        None => Ok(()),
    }
}

/// `path` is where the directory was found, for messages.
pub(super) fn list(path: &Path, directory: &Handle, allow_group_read: bool) -> Result<Listing, LoadError> {
    match list_as_it_is(path, directory, allow_group_read)? {
        (listing, true) => Ok(listing),
        (_, false) => Err(LoadError::Restless(path.to_owned())),
    }
}

/// `false`: what was listed last may be half of one version and half of another.
fn list_as_it_is(path: &Path, directory: &Handle, allow_group_read: bool) -> Result<(Listing, bool), LoadError> {
    let list_error = |source| LoadError::List { path: path.to_owned(), source };
    let mut volume = volume_of(directory);
    for scans_left in (0..MAX_SCANS).rev() {
        let listing = list_once(path, directory, allow_group_read).map_err(list_error)?;
        let now = volume_of(directory);
        if now == volume || scans_left == 0 {
            return Ok((listing, now == volume));
        }
        volume = now;
    }
    Err(LoadError::Restless(path.to_owned()))
}

pub(super) fn cutoffs(path: &Path, directory: &Handle, allow_group_read: bool) -> Result<Vec<Cutoff>, FileProblem> {
    let parse = |content: Content| Ok(list::parse(str::from_utf8(&content).map_err(|_| Problem::NotText)?)?);
    match access::read_file(directory, CUTOFFS, demand(MAX_CUTOFFS_LEN, allow_group_read)).and_then(parse) {
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
    match access::read_in_spite_of(directory, CUTOFFS, demand(MAX_CUTOFFS_LEN, allow_group_read)) {
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
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    Ok(collect(path, names, |name, entry| read_entry(directory, name, entry, allow_group_read)))
}

fn read_entry(
    directory: &Handle,
    name: &str,
    entry: &FileKind,
    allow_group_read: bool,
) -> (Option<Content>, Option<Problem>) {
    let demand = |max_len| demand(max_len, allow_group_read);
    let read = match entry {
        // What is in a revocation does not count, and neither does what is in a file that is not one of ours.
        FileKind::Revoked(_) | FileKind::Misnamed | FileKind::Other => Ok((Content::default(), None)),
        FileKind::OfUnknownUse if name.ends_with(".revoked") => Ok((Content::default(), None)),
        FileKind::OfUnknownUse | FileKind::Key(_) => {
            access::read_file(directory, name, demand(text::MAX_LEN)).map(|content| (content, None))
        }
        FileKind::Cutoffs => access::read_in_spite_of(directory, name, demand(MAX_CUTOFFS_LEN)),
    };
    match read {
        Ok((content, problem)) => (Some(content), problem),
        Err(problem) => (None, Some(problem)),
    }
}

/// Reads the files called `names`, which are sorted, and sums them up.
fn collect(
    path: &Path,
    names: impl IntoIterator<Item = String>,
    read: impl Fn(&str, &FileKind) -> (Option<Content>, Option<Problem>),
) -> Listing {
    let mut files = Vec::new();
    let (mut fingerprint, mut digest) = (Sha256::new(), Sha256::new());
    for name in names {
        let entry = FileKind::of(&name);
        if matches!(entry, FileKind::Other) {
            continue;
        }
        let (content, problem) = read(&name, &entry);
        let told = Sha256::digest(content.as_deref().map_or(&[][..], Vec::as_slice));
        let counts = problem.is_none() && !matches!(entry, FileKind::Misnamed);
        for sum in [&mut digest].into_iter().chain(counts.then_some(&mut fingerprint)) {
            sum.update(&name);
            sum.update([0]);
            sum.update(told);
        }
        digest.update(Sha256::digest(problem.as_ref().map(ToString::to_string).unwrap_or_default()));
        files.push(ListedFile { path: path.join(&name), name, content, problem });
    }
    let fingerprint = Fingerprint(fingerprint.finalize().first_chunk().copied().unwrap_or_default());
    Listing { files, fingerprint, digest: digest.finalize().into() }
}

impl Listing {
    /// Whether there is a list of cut-offs, right or not.
    pub(super) fn has_cutoffs(&self) -> bool {
        self.files.iter().any(|file| file.name == CUTOFFS)
    }

    /// Understands the files one by one. `ahead` is what the last such reading left.
    pub(super) fn parse(self, now: UnixSeconds, ahead: &mut Ahead) -> Scan {
        let mut scan = Scan::default();
        scan.content.fingerprint = self.fingerprint;
        for ListedFile { path, name, content, problem } in self.files {
            let taken = content.and_then(|content| scan.take_up(&name, &content, now, ahead).err());
            // One for each file: what stands first in the way of mending it.
            scan.problems.extend(problem.or(taken).map(|problem| FileProblem { path, problem }));
        }
        scan
    }
}

impl Scan {
    fn take_up(&mut self, name: &str, content: &[u8], now: UnixSeconds, ahead: &mut Ahead) -> Result<(), Problem> {
        match FileKind::of(name) {
            FileKind::Other => {}
            FileKind::Misnamed => {
                self.pass_over(name, "it is not named like a key file, for example ticket-a1b2c3d4.key");
            }
            FileKind::OfUnknownUse => self.pass_over(name, "its use is unknown to this program"),
            FileKind::Revoked(key) => {
                self.content.revoked.insert(key);
            }
            FileKind::Key(key) => self.take_key(key, content)?,
            FileKind::Cutoffs => {
                let (cutoffs, fault) = Cutoffs::recover(content, now, ahead);
                self.content.cutoffs = Some(Arc::new(cutoffs));
                fault.map_or(Ok(()), Err)?;
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

/// What a file in the directory must be.
const fn demand(max_len: usize, allow_group_read: bool) -> Demand {
    Demand { max_len, allow_group_read, allow_any_owner: false }
}
