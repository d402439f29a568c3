//! What a configuration asks of an operating system that cannot do it.

use super::tree::Tree;

impl Tree {
    /// Refuses settings that Windows has nothing for, and a server whose files nobody has looked at for clients of other
    /// machines (not `is_local`).
    ///
    /// `unix:` and `systemd:` are refused where they are read.
    pub(super) fn check_system(&mut self, is_local: bool) {
        if !cfg!(windows) {
            return;
        }
        for setting in ["listen_mode", "admin_listen_mode"] {
            if self.origin(setting).is_some() {
                self.report_at(setting, "is for Unix sockets, which are not available on Windows; leave it out");
            }
        }
        if self.shown_text("allow_group_read").as_deref() == Some("true") {
            self.report_at("allow_group_read", "files have no group on Windows; leave it out");
        }
        let unchecked = "who may read the keys and secrets is not checked on Windows";
        if is_local || self.is_wrong("listen") {
            self.warn("keys_dir", &format!("{unchecked}: this is for development"));
        } else {
            let message =
                format!("{unchecked}, so only this machine may connect: write \"127.0.0.1:8080\", or run it on Linux");
            self.report_at("listen", message);
        }
    }
}
