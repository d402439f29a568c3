//! `keys export`: the verifier file of one app, which a gateway opens tickets with.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::keyring::{AppId, KeyRing};
use auth_ticket::keystore::{Directory, Reload, Reloader, publish};
use auth_ticket::platform::kind;
use auth_ticket::verifier;
use clap::{Args, ValueHint};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use super::owner::{self, Access};
use crate::cli::config::{self, Config};
use crate::cli::output;
use crate::cli::report::{self, WithHint};
use crate::cli::servers;
use crate::cli::signals;
use crate::cli::text::parse_duration_s;

const DEFAULT_PLATFORM: &str = "weapp";
const DEFAULT_MAX_SESSION_S: u64 = 30 * 86400;
const DEFAULT_POLL_S: u64 = 5;
/// With --watch, the file is written anew so often even if nothing changed. Readers count on one in 60 s.
const REFRESH_S: u64 = 30;
/// Longest text that the process of the keys' owner hands over, in bytes.
const MAX_LEN: usize = verifier::AppVerifier::MAX_LEN;

/// Write the verifier file of an app, with which a gateway checks its tickets by itself
///
/// The file holds what opens tickets of this app, revocations and cut-offs, and no key. Whoever holds it can also make tickets
/// of this app: copy it as you copy keys. Readers refuse all tickets once the file is 10 minutes old, so run this with --watch,
/// which follows the keys directory until SIGTERM.
#[derive(Args, Debug)]
#[expect(clippy::doc_markdown, reason = "help is shown as it stands here")]
pub(crate) struct Export {
    /// The app; may be left out if the configuration has one
    #[arg(long, value_name = "APPID")]
    app: Option<String>,
    /// Keys directory [default: the configuration's, or keys]
    #[arg(long, value_name = "DIR", env = "AUTH_TICKET_KEYS_DIR", value_hint = ValueHint::DirPath)]
    keys: Option<PathBuf>,
    /// Accept key files that are readable by their group
    #[arg(long, env = "AUTH_TICKET_ALLOW_GROUP_READ")]
    allow_group_read: bool,
    /// The file to write
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: PathBuf,
    /// The app's platform [default: the configuration's, or weapp]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// The servers' ticket.max_session [default: the configuration's, or 30d]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_s)]
    max_session: Option<u64>,
    /// Read directory, platform and max_session from this server configuration; its secrets are not needed
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Let this group read the file (mode 0640 instead of 0600)
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Follow the directory: write within seconds of a change, and at least once a minute
    #[arg(long)]
    watch: bool,
    /// How often --watch looks; given by the process that writes for another user
    #[arg(long, hide = true)]
    poll_s: Option<u64>,
    /// Hand the texts to the process that writes, on standard output
    #[arg(long, hide = true)]
    relay: bool,
}

/// What is exported, once flags and configuration are put together.
#[derive(Debug)]
struct Job {
    app: AppId,
    platform: &'static str,
    max_session_s: u64,
    keys: PathBuf,
    allow_group_read: bool,
    poll_s: u64,
    watch: bool,
}

/// Where texts go.
struct Out {
    path: PathBuf,
    group: Option<u32>,
    has_worked: bool,
    failed_before: bool,
}

/// Takes texts. `false`: this one could not be written, and is to be given again.
type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> anyhow::Result<bool>;

impl Export {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let job = self.job()?;
        let directory = Directory::new(&job.keys).allow_group_read(job.allow_group_read);
        if self.relay {
            return job.produce(owner::open(directory, Access::Read)?, &mut hand_over);
        }
        let group = self.group.as_deref().map(owner::parse_group).transpose()?;
        let mut out = Out { path: self.out.clone(), group, has_worked: false, failed_before: false };
        if owner::is_for_another(&directory) {
            job.relayed(out)?;
        } else {
            job.produce(owner::open(directory, Access::Read)?, &mut |text: &[u8]| out.put(text, job.watch))?;
        }
        if !job.watch {
            writeln!(io::stdout(), "wrote {} for app {}", self.out.display(), job.app)?;
        }
        Ok(())
    }

    fn job(&self) -> anyhow::Result<Job> {
        let found = match &self.config {
            Some(path) => Some(Config::for_export(path, config::environment()).hint(config::HINT)?),
            None => None,
        };
        let apps = found.as_ref().map(|found| found.apps.as_slice());
        let (app, configured) = chosen(self.app.as_deref(), apps)?;
        let platform = match (&self.platform, configured) {
            (None, configured) => configured.unwrap_or(DEFAULT_PLATFORM),
            (Some(name), _) => {
                let known = kind::named(name).with_context(|| format!("{name:?} is not a platform of this version"));
                known.hint("auth-ticket platforms lists them")?.name
            }
        };
        let keys = self.keys.clone().or_else(|| found.as_ref().map(|found| found.keys_dir.clone()));
        let configured_poll_s = found.as_ref().map(|found| found.keys_poll.as_secs());
        Ok(Job {
            app,
            platform,
            max_session_s: self
                .max_session
                .or_else(|| found.as_ref().map(|found| found.max_session_s))
                .unwrap_or(DEFAULT_MAX_SESSION_S),
            keys: keys.unwrap_or_else(|| PathBuf::from("keys")),
            allow_group_read: self.allow_group_read || found.as_ref().is_some_and(|found| found.allow_group_read),
            poll_s: self.poll_s.or(configured_poll_s).unwrap_or(DEFAULT_POLL_S).clamp(1, REFRESH_S),
            watch: self.watch,
        })
    }
}

/// The app that is meant, and its platform if the configuration has it.
fn chosen(
    named: Option<&str>,
    apps: Option<&[(AppId, &'static str)]>,
) -> anyhow::Result<(AppId, Option<&'static str>)> {
    match (named, apps) {
        (Some(named), None) => {
            let app = AppId::parse(named).with_context(|| format!("{named:?} is not an appid"))?;
            Ok((app, None))
        }
        (Some(named), Some(apps)) => {
            let found = apps.iter().find(|(app, _)| app.as_str() == named);
            let (app, platform) = found.with_context(|| format!("the configuration has no app {named:?}"))?;
            Ok((app.clone(), Some(*platform)))
        }
        (None, Some([(app, platform)])) => Ok((app.clone(), Some(*platform))),
        (None, _) => Err(anyhow!("which app is not said")).hint("name it: --app APPID"),
    }
}

impl Job {
    /// Gives `sink` the text for `directory` and, with --watch, each later one.
    fn produce(&self, directory: Directory, sink: Sink<'_>) -> anyhow::Result<()> {
        let now = SystemClock.now();
        let started = Reloader::start(directory, [self.app.clone()], now).map_err(report::load_failed)?;
        let (reloader, ring, passed_over) = started;
        for file in passed_over {
            output::complain(&format!("warning: {file}\n"));
        }
        let is_written = sink(self.text(&ring, now)?.as_bytes())?;
        if !self.watch {
            return Ok(());
        }
        let exporting = Exporting { job: self, reloader, ring, written: now, is_due: !is_written };
        servers::runtime(1)?.block_on(exporting.go_on(sink))
    }

    fn text(&self, ring: &KeyRing, made: UnixSeconds) -> anyhow::Result<impl std::ops::Deref<Target = String> + use<>> {
        verifier::encode(ring, &self.app, self.platform, self.max_session_s, made)
            .context("the keys were not derived for the app")
    }

    /// Has the owner of the keys look at them in a process of its own, and writes what that hands over.
    fn relayed(&self, mut out: Out) -> anyhow::Result<()> {
        let mut command = Command::new(config::program_file()?);
        command.args([
            "keys",
            "export",
            "--relay",
            "--out",
            "-",
            "--app",
            self.app.as_str(),
            "--platform",
            self.platform,
        ]);
        command.arg("--max-session").arg(format!("{}s", self.max_session_s)).arg("--keys").arg(&self.keys);
        command.arg("--poll-s").arg(self.poll_s.to_string());
        command.args(self.allow_group_read.then_some("--allow-group-read")).args(self.watch.then_some("--watch"));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start a process")?;
        let texts = child.stdout.take().context("the process has no standard output")?;
        let written = if self.watch {
            servers::runtime(1).and_then(|runtime| runtime.block_on(write_until_told(texts, out)))
        } else {
            write_all(texts, &mut out, false)
        };
        end(&mut child, self.watch, written)
    }
}

/// Waits for the process that reads the keys; with --watch it is ended first.
fn end(child: &mut Child, is_watching: bool, written: anyhow::Result<()>) -> anyhow::Result<()> {
    if is_watching || written.is_err() {
        let _ = child.kill();
        child.wait()?;
        return written;
    }
    if child.wait()?.success() { Ok(()) } else { bail!("the keys cannot be read as their owner") }
}

/// Writes what comes until SIGTERM.
async fn write_until_told(texts: ChildStdout, mut out: Out) -> anyhow::Result<()> {
    let stop = signals::any(signals::STOP)?;
    let (end, ended) = oneshot::channel();
    let work = move || drop(end.send(write_all(texts, &mut out, true)));
    thread::Builder::new().spawn(work).context("cannot start a thread")?;
    tokio::select! {
        () = stop.notified() => Ok(()),
        result = ended => match result {
            Ok(Err(error)) => Err(error),
            _ => bail!("the process that reads the keys has ended"),
        },
    }
}

fn write_all(texts: ChildStdout, out: &mut Out, is_watching: bool) -> anyhow::Result<()> {
    let mut texts = BufReader::new(texts);
    let mut length = String::new();
    while texts.read_line(&mut length)? > 0 {
        let len = length.trim_end().parse().ok().filter(|len| *len <= MAX_LEN);
        let mut text = vec![0; len.context("no length of a text was handed over")?];
        texts.read_exact(&mut text)?;
        out.put(&text, is_watching)?;
        length.clear();
    }
    Ok(())
}

/// The reverse of [`write_all`].
fn hand_over(text: &[u8]) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.len())?;
    out.write_all(text)?;
    out.flush()?;
    Ok(true)
}

impl Out {
    /// Writes a text. While watching, a failure is told once and is no end, unless there has never been a file.
    fn put(&mut self, text: &[u8], is_watching: bool) -> anyhow::Result<bool> {
        let written =
            publish(&self.path, text, self.group).with_context(|| format!("cannot write {}", self.path.display()));
        match written {
            Err(error) if is_watching && (self.has_worked || self.path.is_file()) => {
                if !self.failed_before {
                    output::complain(&format!("error: {error:#}; it is tried again\n"));
                }
                self.failed_before = true;
                Ok(false)
            }
            Err(error) => Err(error).hint(remedy(&self.path)),
            Ok(()) => {
                if self.failed_before {
                    output::complain(&format!("{} is written again\n", self.path.display()));
                }
                (self.has_worked, self.failed_before) = (true, false);
                Ok(true)
            }
        }
    }
}

fn remedy(path: &Path) -> String {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    format!("see that {} is a directory in which this user can write, with room in it", directory.display())
}

/// What goes on with --watch.
struct Exporting<'a> {
    job: &'a Job,
    reloader: Reloader,
    ring: KeyRing,
    written: UnixSeconds,
    is_due: bool,
}

impl Exporting<'_> {
    /// Until SIGTERM.
    async fn go_on(mut self, sink: Sink<'_>) -> anyhow::Result<()> {
        let mut poll = interval(Duration::from_secs(self.job.poll_s));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = signals::any(signals::STOP)?;
        loop {
            tokio::select! {
                () = stop.notified() => return Ok(()),
                _ = poll.tick() => self.look(SystemClock.now(), sink)?,
            }
        }
    }

    fn look(&mut self, now: UnixSeconds, sink: Sink<'_>) -> anyhow::Result<()> {
        match self.reloader.look(now) {
            Reload::Unchanged => {}
            Reload::Taken { ring, passed_over } => {
                for file in passed_over {
                    output::complain(&format!("warning: {file}\n"));
                }
                (self.ring, self.is_due) = (ring, true);
            }
            Reload::Kept { ring, why } => {
                let why = why.explained();
                output::complain(&format!("error: the keys directory is not right, the old keys stay: {why}\n"));
                (self.ring, self.is_due) = (ring, true);
            }
        }
        if self.is_due || self.written.apart(now) >= REFRESH_S {
            // What could not be written is due at the next look, with that look's time.
            self.is_due = !sink(self.job.text(&self.ring, now)?.as_bytes())?;
            self.written = now;
        }
        Ok(())
    }
}
