//! `secret_env` and `secret_file` -> the secret. No message holds a secret, nor a text that may be one by mistake.

#[cfg(unix)]
pub(super) mod unix;
#[cfg(windows)]
mod windows;

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::Read as _;

use auth_ticket::secret::SecretText;
#[cfg(unix)]
use unix::{check_private, check_public, open_at_once};
#[cfg(windows)]
use windows::{check_private, check_public, open_at_once};

use super::check::SHARED;
use super::mistake::Origin;
use super::schema::variable_name;
use super::setting::join;
use super::tree::Tree;

/// A secret file's largest size in bytes.
const MAX_LEN: usize = 4096;
/// The same of a file with a key of RSA, of which 8,192 bits take 6 KiB.
const MAX_KEY_LEN: usize = 16 * 1024;

impl Tree {
    /// The secret of table number `index` of `[[name]]`, from exactly one of the two sources.
    pub(super) fn secret(
        &mut self,
        (name, index): (&str, usize),
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<SecretText> {
        let keys = ["secret_env", "secret_file"];
        let table = format!("{name}[{index}]");
        if keys.iter().all(|key| self.origin(&join(&table, key)).is_none()) {
            self.report_missing_secret(name, index, &table);
            return None;
        }
        self.secret_from((name, index), keys, |text, source| {
            check(&text).map(|()| SecretText::new(text).read_from(source))
        })
    }

    /// What `read` makes of the secret of table number `index` of `[[name]]` and its source, if it is there: `keys` names the
    /// setting for a variable, and the one for a file.
    pub(super) fn secret_from<T>(
        &mut self,
        (name, index): (&str, usize),
        keys: [&str; 2],
        read: impl FnOnce(String, String) -> Result<T, String>,
    ) -> Option<T> {
        let table = format!("{name}[{index}]");
        let [by_env, by_file] = keys.map(|key| join(&table, key));
        self.keep_upper(&by_env, &by_file);
        let variable = self.optional(&by_env, |text| Ok(text.to_owned()));
        let file = self.optional(&by_file, |text| Ok(text.to_owned()));
        if self.is_wrong(&by_env) || self.is_wrong(&by_file) {
            return None;
        }
        let are_shared = self.shown_text("secret_files").as_deref() == Some(SHARED);
        let (path, source, secret) = match (variable, file) {
            (Some(name), None) => (by_env, format!("the variable {name}"), from_variable(&name, self.variable(&name))),
            (None, Some(file)) => (by_file, format!("the file {file:?}"), from_file(&file, are_shared)),
            (Some(_), Some(_)) => {
                self.report_at(&by_file, format!("{} is given, too; keep one of the two", keys[0]));
                return None;
            }
            (None, None) => return None,
        };
        let secret = secret.and_then(|text| read(text, source));
        secret.map_err(|message| self.report_at(&path, message)).ok()
    }

    fn report_missing_secret(&mut self, name: &str, index: usize, table: &str) {
        let keys = ["secret", "secret_env", "secret_file"].map(|key| join(table, key));
        if self.refused.contains(table) || keys.iter().any(|key| self.refused.contains(key)) {
            return;
        }
        let origin = self.table_origin(name, index);
        let path = join(table, "secret_env");
        let hint = match origin {
            Origin::Variable(_) => {
                format!("set {} to the name of a variable that holds the secret", variable_name(&path))
            }
            _ => "write secret_env = \"NAME_OF_A_VARIABLE\" or secret_file = \"path/of/a/file\"".to_owned(),
        };
        self.report(origin, path, format!("is missing, and so is secret_file; {hint}"));
    }
}

/// Checks a variable's value.
pub(super) fn from_variable(name: &str, value: Option<&OsStr>) -> Result<String, String> {
    // Who writes the secret itself here must not find it in a log.
    let shown = if is_plainly_a_name(name) { name } else { "the variable that it names" };
    match value.map(OsStr::to_str) {
        None => Err(format!("{shown} is not set in the environment; set it to the secret, or use secret_file")),
        Some(None) => Err(format!("{shown} holds text that is not UTF-8; set it to the secret")),
        Some(Some(text)) => checked(text.to_owned()).map_err(|wrong| format!("{shown} {wrong}")),
    }
}

/// Reads a secret from a file that not everybody may read, unless `are_shared`, or root has put it on a read-only mount.
pub(super) fn from_file(path: &str, are_shared: bool) -> Result<String, String> {
    let mut text = read_private(path, are_shared, MAX_LEN)?;
    if text.ends_with('\n') {
        text.truncate(text.len() - if text.ends_with("\r\n") { 2 } else { 1 });
    }
    checked(text).map_err(|wrong| format!("the file {wrong}"))
}

/// Reads the PEM text of a private key, from such a file.
pub(super) fn from_key_file(path: &str, are_shared: bool) -> Result<String, String> {
    read_private(path, are_shared, MAX_KEY_LEN)
}

/// Reads a text that is no secret from a file that not everybody may write.
pub(super) fn from_public_file(path: &str) -> Result<String, String> {
    let (file, metadata) = open(path)?;
    check_public(&metadata, path)?;
    read(file, MAX_KEY_LEN)
}

fn read_private(path: &str, are_shared: bool, max_len: usize) -> Result<String, String> {
    let (file, metadata) = open(path)?;
    check_private(&file, &metadata, path, are_shared)?;
    read(file, max_len)
}

fn open(path: &str) -> Result<(File, Metadata), String> {
    let file = open_at_once(path).map_err(|error| format!("the file cannot be opened: {}", plain(&error)))?;
    let metadata = file.metadata().map_err(|error| format!("the file cannot be examined: {}", plain(&error)))?;
    if !metadata.is_file() {
        return Err("this is not a regular file; name the file that holds the secret".to_owned());
    }
    Ok((file, metadata))
}

fn read(file: File, max_len: usize) -> Result<String, String> {
    // Room for everything from the start: growing would leave copies behind.
    let mut bytes = Vec::with_capacity(max_len + 1);
    let limit = max_len as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| format!("the file cannot be read: {}", plain(&error)))?;
    if bytes.len() > max_len {
        return Err(format!("the file has more than {max_len} bytes; it should hold the secret and nothing else"));
    }
    String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text; write the secret into it".to_owned())
}

fn checked(text: String) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty; it should hold the secret".to_owned());
    }
    if text.starts_with('\u{feff}') {
        return Err("begins with a byte order mark; save it as UTF-8 without one".to_owned());
    }
    let is_quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if ['"', '\'', '`'].into_iter().any(is_quoted) {
        let hint = "write the secret without them, for docker's --env-file keeps them as part of the value";
        return Err(format!("has quotes around the secret; {hint}"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("holds white space or control characters; it should hold the secret and nothing else".to_owned());
    }
    if !text.is_ascii() {
        return Err(
            "holds characters beyond ASCII, which no secret has; copy it again from where it is shown".to_owned()
        );
    }
    Ok(text)
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such file; a relative path starts at the working directory of the server".to_owned()
        }
        std::io::ErrorKind::PermissionDenied => "permission denied; let the server's user read it".to_owned(),
        kind => kind.to_string(),
    }
}

/// `WX_SECRET` is; `0f3c...` or `hunter2` may be anything.
fn is_plainly_a_name(name: &str) -> bool {
    name.len() <= 64
        && name.contains('_')
        && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
