//! Where nginx calls in: the module's tables, and one file for each thing that they point to. The only `unsafe` code.
//!
//! What nginx promises, and every `unsafe` block here relies on:
//!
//! - A worker runs all handlers, filters, variables and timers of a module on one thread, one at a time. The configuration is
//!   read and merged on the one thread of the master before workers are forked. So nothing here is entered twice at once.
//! - A request, its pool and the configuration that it started with live until the request's pool is destroyed; what is
//!   allocated from a pool lives as long as that pool.
//! - Pointers that nginx hands to a callback are valid for the callback, of the type that its table says.
//!
//! No panic crosses into nginx: each entry point runs inside [`guard`].

mod conf;
mod filter;
mod headers;
mod log;
mod process;
mod request;
mod status;
mod variables;

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use nginx_sys::{NGX_HTTP_MODULE, ngx_http_module_t, ngx_int_t, ngx_module_t, ngx_str_t};

/// What an entry point answers if its code panics: `fallback`. The panic's message is on stderr, and holds no secret.
fn guard<T>(fallback: T, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(fallback)
}

/// nginx's constants are of another type than what functions return.
#[expect(clippy::cast_possible_wrap, reason = "an HTTP status, or next to 0")]
const fn code(constant: u32) -> ngx_int_t {
    constant as ngx_int_t
}

const OK: ngx_int_t = code(nginx_sys::NGX_OK);
const ERROR: ngx_int_t = nginx_sys::NGX_ERROR as ngx_int_t;
const DECLINED: ngx_int_t = nginx_sys::NGX_DECLINED as ngx_int_t;
const NOT_ALLOWED: ngx_int_t = code(nginx_sys::NGX_HTTP_NOT_ALLOWED);
const INTERNAL_SERVER_ERROR: ngx_int_t = code(nginx_sys::NGX_HTTP_INTERNAL_SERVER_ERROR);

/// A text of this program, for fields that nginx only reads.
const fn text(text: &'static str) -> ngx_str_t {
    ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() }
}

/// The bytes of `text`.
///
/// # Safety
/// `text` points to `len` bytes that stay as they are for `'a`, or `len` is 0.
unsafe fn bytes<'a>(text: ngx_str_t) -> &'a [u8] {
    if text.len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(text.data, text.len) }
}

static HTTP_MODULE: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(variables::add),
    postconfiguration: Some(request::register),
    create_main_conf: Some(conf::create_main),
    init_main_conf: None,
    create_srv_conf: Some(conf::create_server),
    merge_srv_conf: Some(conf::merge_server),
    create_loc_conf: Some(conf::create_location),
    merge_loc_conf: Some(conf::merge_location),
};

/// The module, under the name that nginx, and `load_module`'s messages, know it by.
#[unsafe(no_mangle)]
pub static mut ngx_http_auth_ticket_module: ngx_module_t = ngx_module_t {
    ctx: (&raw const HTTP_MODULE).cast_mut().cast(),
    commands: (&raw mut conf::COMMANDS).cast(),
    type_: NGX_HTTP_MODULE as _,
    init_process: Some(process::start),
    ..ngx_module_t::default()
};

/// What `load_module` looks for: the modules of this library, their names, and where they belong among nginx's own.
#[unsafe(no_mangle)]
pub static mut ngx_modules: [*const ngx_module_t; 2] = [&raw const ngx_http_auth_ticket_module, ptr::null()];

/// See [`ngx_modules`].
#[unsafe(no_mangle)]
pub static mut ngx_module_names: [*const c_char; 2] = [c"ngx_http_auth_ticket_module".as_ptr(), ptr::null()];

/// As nginx's build places filters of other people: after gzip, charset and `add_header` in its list, so before them when an
/// answer passes.
#[unsafe(no_mangle)]
pub static mut ngx_module_order: [*const c_char; 3] =
    [c"ngx_http_auth_ticket_module".as_ptr(), c"ngx_http_copy_filter_module".as_ptr(), ptr::null()];

/// This module's place in the arrays of contexts and configurations.
fn place() -> usize {
    // SAFETY: nginx writes it once, while it loads the configuration, before any of our code runs.
    unsafe { ngx_http_auth_ticket_module.ctx_index }
}

/// The seconds that nginx has cached for this turn of its event loop.
fn now() -> auth_ticket::clock::UnixSeconds {
    // SAFETY: nginx initialises it before it reads a configuration, and updates it on this thread only.
    let seconds = unsafe { (*nginx_sys::ngx_cached_time).sec };
    auth_ticket::clock::UnixSeconds::new(u64::try_from(seconds).unwrap_or_default())
}
