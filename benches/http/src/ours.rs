//! The auth-ticket that is measured, with what it needs: keys, secrets, a configuration, and a platform.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::machine::Machine;
use crate::process::{LOAD_CORE, Process, SERVER_CORE, Server};
use crate::settings::Settings;

const APPID: &str = "wx0123456789abcdef";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// An auth-ticket that can be started, as often as one likes.
pub(crate) struct Ours {
    program: String,
    directory: PathBuf,
}

impl Ours {
    /// Makes keys and a configuration in `directory`, which does not exist yet. Its platform is at `platform_url`, or where
    /// the real one is; `more` is put into the configuration.
    pub(crate) fn set_up(
        program: &str,
        directory: PathBuf,
        platform_url: Option<&str>,
        more: &str,
    ) -> anyhow::Result<Self> {
        let ours = Self { program: program.to_owned(), directory };
        fs::create_dir(&ours.directory)?;
        for (name, mode) in [("keys", 0o700), ("secret", 0o600)] {
            let path = ours.directory.join(name);
            if name == "keys" { fs::create_dir(&path) } else { fs::write(&path, SECRET) }?;
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        let base_url = platform_url.map(|url| format!("base_url = \"{url}\"\n")).unwrap_or_default();
        let config = format!(
            "public_url = \"https://login.example.com\"\n\
             keys_dir = {keys:?}\n\
             {more}\n\
             [[app]]\nappid = \"{APPID}\"\nplatform = \"weapp\"\nsecret_file = {secret:?}\n{base_url}\
             [[service]]\nid = \"orders\"\nsecret_file = {secret:?}\n\
             [jwt]\naudiences = [\"orders\"]\n",
            keys = ours.path("keys"),
            secret = ours.path("secret"),
        );
        fs::write(ours.path("auth-ticket.toml"), config)?;
        ours.keys(&["init"])?;
        Ok(ours)
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Runs `auth-ticket keys`.
    pub(crate) fn keys(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Process::pinned(&[LOAD_CORE], &self.program);
        let done = command.arg("keys").args(arguments).args(["--keys", &self.path("keys")]).output()?;
        ensure!(done.status.success(), "keys {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    fn key_paths(&self) -> anyhow::Result<Vec<PathBuf>> {
        let paths = fs::read_dir(self.directory.join("keys"))?.map(|entry| Ok(entry?.path()));
        let mut paths: Vec<PathBuf> = paths.collect::<anyhow::Result<_>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "key"));
        Ok(paths)
    }

    /// How many keys there are.
    pub(crate) fn key_files(&self) -> anyhow::Result<usize> {
        Ok(self.key_paths()?.len())
    }

    /// Leaves the keys for tickets.
    pub(crate) fn remove_jwt_keys(&self) -> anyhow::Result<()> {
        for path in self.key_paths()? {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("jwt-")) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Writes the verifier file of the app.
    pub(crate) fn export(&self, file: &Path) -> anyhow::Result<()> {
        let mut command = Process::pinned(&[LOAD_CORE], &self.program);
        command.args(["keys", "export", "--config", &self.path("auth-ticket.toml"), "--out"]).arg(file);
        let done = command.output()?;
        ensure!(done.status.success(), "keys export: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// What `command` has to be given to serve on `address`, IP:PORT, or on a list with commas.
    pub(crate) fn serve_on(&self, command: &mut Command, address: &str) {
        command.args(["serve", "--config", &self.path("auth-ticket.toml")]);
        command.args(["--listen", address, "--admin-listen", "127.0.0.1:0"]).env_remove("RUST_LOG");
    }

    /// Starts it on the server's core, at a free port.
    pub(crate) fn start(&self) -> anyhow::Result<Server> {
        self.start_on("127.0.0.1:0", None)
    }

    /// The same with a Unix socket beside it.
    pub(crate) fn start_with_socket(&self) -> anyhow::Result<Server> {
        let socket = self.directory.join("socket");
        self.start_on(&format!("127.0.0.1:0,unix:{}", socket.display()), Some(socket))
    }

    fn start_on(&self, address: &str, socket: Option<PathBuf>) -> anyhow::Result<Server> {
        let mut command = Process::pinned(&[SERVER_CORE], &self.program);
        self.serve_on(&mut command, address);
        let (process, url) = Process::server(&mut command).context("auth-ticket")?;
        Ok(Server { process, url, socket, store: None })
    }
}

/// Ours and its platform, where nobody else is measured or only for a while.
pub(crate) struct Stand {
    pub(crate) machine: Machine,
    pub(crate) simulator: Simulator,
    pub(crate) ours: Ours,
    /// For files of others; it goes with the stand.
    pub(crate) scratch: TempDir,
}

impl Stand {
    /// Starts the platform; `more` is put into the configuration of ours.
    pub(crate) fn set_up(settings: &Settings, more: &str) -> anyhow::Result<Self> {
        let program = settings.program()?;
        let machine = Machine::describe(&program, None)?;
        let scratch = tempfile::tempdir()?;
        let simulator = Simulator::start(&program)?;
        let ours = Ours::set_up(&program, scratch.path().join("ours"), Some(&simulator.url), more)?;
        Ok(Self { machine, simulator, ours, scratch })
    }
}

/// What stands for the platform: on the core of the load.
pub(crate) struct Simulator {
    pub(crate) process: Process,
    pub(crate) url: String,
}

impl Simulator {
    pub(crate) fn start(program: &str) -> anyhow::Result<Self> {
        let mut command = Process::pinned(&[LOAD_CORE], program);
        let (process, url) =
            Process::server(command.args(["simulator", "--listen", "127.0.0.1:0"])).context("the simulator")?;
        Ok(Self { process, url })
    }

    /// From now on logins fail as `fault` says (docs/SIMULATOR.md); as they were made, without one.
    pub(crate) fn fail(&self, fault: Option<&str>) -> anyhow::Result<()> {
        let url = format!("{}/_sim/faults", self.url);
        match fault {
            Some(fault) => ureq::post(url).send_json(json!({"endpoint": "jscode2session", "fault": fault}))?,
            None => ureq::delete(url).call()?,
        };
        Ok(())
    }
}

/// Logs in at the server at `url`; returns the ticket.
pub(crate) fn log_in(url: &str) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct TicketObject {
        ticket: String,
    }
    let answer = ureq::post(format!("{url}/v1/login")).send_json(json!({"code": "slow-0-alice"}));
    Ok(answer.context("cannot log in")?.into_body().read_json::<TicketObject>()?.ticket)
}
