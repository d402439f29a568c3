//! The example in PHP, behind Apache and PHP-FPM, as its configuration says.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use super::tools::{clean, root};

/// PHP-FPM, and what Apache needs to hand requests on to it.
#[derive(Debug)]
pub(super) struct PhpBehindApache {
    directory: TempDir,
    port: u16,
    fpm: Child,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Debian puts the version into the name.
fn fpm() -> PathBuf {
    let is_fpm = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"));
    let found = fs::read_dir("/usr/sbin").unwrap().map(|entry| entry.unwrap().path()).find(is_fpm);
    found.expect("there is no php-fpm: run make consumers-tools")
}

impl PhpBehindApache {
    pub(super) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (port, fpm_port) = (free_port(), free_port());
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("cache")).unwrap();
        let user = if geteuid().is_root() { "user = root\ngroup = root\n" } else { "" };
        let pool = format!("[orders]\nlisten = 127.0.0.1:{fpm_port}\npm = static\npm.max_children = 4\n{user}");
        let log = path("fpm.log");
        fs::write(path("fpm.conf"), format!("[global]\nerror_log = {}\n{pool}", log.display())).unwrap();
        fs::write(path("apache.conf"), Self::apache(&directory, port, fpm_port)).unwrap();
        let mut command = clean(fpm());
        command.args(["-n", "-R", "-F", "-y"]).arg(path("fpm.conf"));
        command.args(["-d", "log_errors=On"]);
        let fpm = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { directory, port, fpm }
    }

    /// The shipped file, with settings from the environment, and what else Apache needs.
    fn apache(directory: &TempDir, port: u16, fpm_port: u16) -> String {
        let shipped = fs::read_to_string(root().join("examples/php/apache.conf")).unwrap();
        let lines = shipped.lines().map(|line| match line.strip_prefix("SetEnv ") {
            Some(setting) => format!("PassEnv {}", setting.split(' ').next().unwrap()),
            None => line.replace("127.0.0.1:9000", &format!("127.0.0.1:{fpm_port}")),
        });
        let script = root().join("examples/php/service.php");
        let shipped =
            lines.collect::<Vec<_>>().join("\n").replace("/srv/orders/service.php", &script.to_string_lossy());
        assert_eq!(shipped.matches("PassEnv ").count(), 4, "{shipped}");
        let modules: String = ["mpm_event", "authz_core", "env", "proxy", "proxy_fcgi"]
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
            .concat();
        let user = if geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
        format!(
            "{modules}{user}ServerRoot {root}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {root}/apache.pid\n\
             ErrorLog /dev/stderr\nThreadLimit 128\nThreadsPerChild 128\nMaxRequestWorkers 128\n\
             LimitRequestFieldSize 16380\n{shipped}\n",
            root = directory.path().display()
        )
    }

    /// Apache in one process, which ends with it.
    pub(super) fn command(&self) -> Command {
        let mut command = clean("sh");
        let script = "echo listening on http://127.0.0.1:$0; exec apache2 -X -f \"$1\"";
        command.args(["-c", script]).arg(self.port.to_string()).arg(self.directory.path().join("apache.conf"));
        command.env("CACHE_DIR", self.directory.path().join("cache"));
        command
    }
}

impl Drop for PhpBehindApache {
    fn drop(&mut self) {
        // Its children end with it only if it is asked.
        let _ = kill_process(Pid::from_child(&self.fpm), Signal::TERM);
        let _ = self.fpm.wait();
    }
}
