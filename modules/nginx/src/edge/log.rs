//! Lines for nginx's error log.

use nginx_sys::{ngx_conf_log_error, ngx_conf_t, ngx_log_error_core, ngx_log_t, ngx_uint_t};

pub(super) const EMERG: u32 = nginx_sys::NGX_LOG_EMERG;
pub(super) const ERR: u32 = nginx_sys::NGX_LOG_ERR;
pub(super) const WARN: u32 = nginx_sys::NGX_LOG_WARN;
pub(super) const NOTICE: u32 = nginx_sys::NGX_LOG_NOTICE;
pub(super) const INFO: u32 = nginx_sys::NGX_LOG_INFO;

/// Writes a line if the log has this level.
///
/// # Safety
/// `log` is a log of nginx.
pub(super) unsafe fn write(log: *mut ngx_log_t, level: u32, line: impl FnOnce() -> String) {
    // SAFETY: the caller's promise.
    if unsafe { (*log).log_level } < level as ngx_uint_t {
        return;
    }
    let line = line();
    // SAFETY: `%*s` takes a length and that many bytes, which `line` holds until the call is over.
    unsafe { ngx_log_error_core(level as ngx_uint_t, log, 0, c"auth_ticket: %*s".as_ptr(), line.len(), line.as_ptr()) }
}

/// Writes a line about the configuration, to which nginx adds the file and line that it is at.
///
/// # Safety
/// `cf` is what nginx handed to a callback for directives or merging.
pub(super) unsafe fn write_conf(cf: *mut ngx_conf_t, level: u32, line: &str) {
    // SAFETY: as in `write`.
    unsafe { ngx_conf_log_error(level as ngx_uint_t, cf, 0, c"%*s".as_ptr(), line.len(), line.as_ptr()) }
}
