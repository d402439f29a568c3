//! Root acts as the owner of a keys directory: what it writes is the owner's by itself, and nobody less powerful can turn
//! root against somebody else with what they put there.

use std::ffi::OsStr;

use anyhow::{Context, anyhow};
use auth_ticket::keystore::{Directory, Owner};
use nix::unistd::{Group, Uid, User};

use super::Access;
use crate::cli::config;
use crate::cli::report::{self, WithHint};

/// Opens `directory` once for all, and becomes its owner if this is root and the owner is somebody else.
///
/// From here on nothing is reached by a path again, and whatever is made belongs to the owner.
pub(in crate::cli) fn open(directory: Directory, access: Access) -> anyhow::Result<Directory> {
    let directory = directory.hold().map_err(report::load_failed)?;
    let owner = directory.owner().map_err(report::load_failed)?;
    let own = Uid::effective();
    if own.as_raw() == owner.uid || (owner.uid == 0 && access == Access::Read) {
        return Ok(directory);
    }
    let whose = || format!("{} belongs to {}", directory.path().display(), named(owner.uid));
    if !own.is_root() {
        return Err(anyhow!("{}, and this is {}", whose(), named(own.as_raw()))).hint(line_that_works(owner));
    }
    become_user(&directory, owner)
        .with_context(|| format!("{}, and root cannot become that user; nothing was touched", whose()))
        .hint(line_that_works(owner))?;
    Ok(directory)
}

/// Whether only a process of another user can look into `directory`: root's, when it is not root's own.
pub(in crate::cli) fn is_for_another(directory: &Directory) -> bool {
    let own = Uid::effective();
    own.is_root() && directory.owner().is_ok_and(|owner| owner.uid != own.as_raw())
}

#[cfg(target_os = "linux")]
fn become_user(directory: &Directory, owner: Owner) -> anyhow::Result<()> {
    use nix::unistd::{Gid, getgroups, getresgid, getresuid, seteuid, setgroups, setresgid, setresuid};
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    setgroups(&[]).context("its groups stay")?;
    setresgid(gid, gid, gid).with_context(|| format!("its group does not become {gid}"))?;
    setresuid(uid, uid, uid).with_context(|| format!("it does not become {uid}"))?;
    let (users, groups) = (getresuid()?, getresgid()?);
    let is_changed = [users.real, users.effective, users.saved] == [uid; 3]
        && [groups.real, groups.effective, groups.saved] == [gid; 3]
        && getgroups()?.iter().all(|group| *group == gid);
    if !is_changed || seteuid(Uid::from_raw(0)).is_ok() {
        anyhow::bail!("something keeps root's power");
    }
    if !directory.is_own().map_err(report::load_failed)? {
        anyhow::bail!("the number stands for a user whom this user namespace does not know");
    }
    Ok(())
}

/// Other systems lack some of the calls that change all ids at once and show that they have changed.
#[cfg(not(target_os = "linux"))]
fn become_user(_directory: &Directory, _owner: Owner) -> anyhow::Result<()> {
    anyhow::bail!("this is done on Linux only")
}

/// `auth-ticket`, or `user 998` where the number has no name.
pub(in crate::cli) fn named(uid: u32) -> String {
    name_of(uid).map_or_else(|| format!("user {uid}"), |name| format!("user {name}"))
}

fn name_of(uid: u32) -> Option<String> {
    Some(User::from_uid(Uid::from_raw(uid)).ok()??.name)
}

/// Who `user` is: a name, or a number with or without a name.
pub(in crate::cli) fn parse_owner(user: &str) -> Result<Owner, String> {
    let known = match user.parse::<u32>() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)).ok().flatten().or_else(|| User::from_name(user).ok().flatten()),
        Err(_) => User::from_name(user).ok().flatten(),
    };
    match (known, user.parse()) {
        (Some(user), _) => Ok(Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw() }),
        (None, Ok(number)) => Ok(Owner { uid: number, gid: number }),
        (None, Err(_)) => Err("there is no such user".to_owned()),
    }
}

/// The number of a group that is named or numbered.
pub(in crate::cli) fn parse_group(group: &str) -> anyhow::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let known = Group::from_name(group).with_context(|| format!("cannot look up the group {group:?}"))?;
    known.map(|known| known.gid.as_raw()).with_context(|| format!("there is no group {group:?}"))
}

/// This command line as root has to give it, to run it as the owner of the keys.
fn line_that_works(owner: Owner) -> String {
    let Owner { uid, gid } = owner;
    let words: Vec<String> = config::command_line().iter().map(|word| quoted(word)).collect();
    let command = words.join(" ");
    if !cfg!(target_os = "linux") {
        return format!("as root: sudo -u '#{uid}' -- {command}");
    }
    name_of(uid).map_or_else(
        || format!("as root: setpriv --reuid={uid} --regid={gid} --clear-groups -- {command}"),
        |name| format!("as root: runuser -u {} -- {command}", quoted(name.as_ref())),
    )
}

/// A word as a shell takes it.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy().into_owned();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word;
    }
    format!("'{}'", word.replace(char::is_control, "?").replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_shells_read_them() {
        for (word, shown) in
            [("keys", "keys"), ("", "''"), ("my keys", "'my keys'"), ("it's", r"'it'\''s'"), ("\u{1b}[2J", "'?[2J'")]
        {
            assert_eq!(quoted(word.as_ref()), shown);
        }
    }

    #[test]
    fn an_owner_is_a_name_or_a_number() {
        assert_eq!(parse_owner("root"), Ok(Owner { uid: 0, gid: 0 }));
        assert_eq!(parse_owner("0"), Ok(Owner { uid: 0, gid: 0 }));
        assert_eq!(parse_owner("59999"), Ok(Owner { uid: 59999, gid: 59999 }));
        assert!(parse_owner("nobody-of-this-name").is_err() && parse_owner("").is_err() && parse_owner("-1").is_err());
    }
}
