//! Directives, and the configuration that they make.

use std::cell::RefCell;
use std::ffi::{CStr, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use auth_ticket::keystore::VerifierFile;
use nginx_sys::{
    NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF,
    NGX_HTTP_SRV_CONF, NGX_HTTP_SRV_CONF_OFFSET, ngx_command_t, ngx_conf_full_name, ngx_conf_t, ngx_cycle_t,
    ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_module, ngx_http_request_t,
    ngx_int_t, ngx_parse_time, ngx_pool_cleanup_add, ngx_shm_zone_t, ngx_str_t,
};

use super::{bytes, guard, log, now, place, status};
use crate::check::DEFAULT_MAX_STALE_S;

const EVERYWHERE: u32 = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1;
const SERVERS: u32 = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_CONF_TAKE1;

type Setter = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

/// nginx compares names up to their zero byte.
const fn command(name: &'static CStr, kind: u32, conf: usize, set: Setter) -> ngx_command_t {
    ngx_command_t {
        name: ngx_str_t { len: name.count_bytes(), data: name.as_ptr().cast_mut().cast() },
        type_: kind as usize,
        set: Some(set),
        conf,
        offset: 0,
        post: ptr::null_mut(),
    }
}

/// nginx asks for an array that it could write to, and does not.
pub(super) static mut COMMANDS: [ngx_command_t; 5] = [
    command(c"auth_ticket_verifier", SERVERS, NGX_HTTP_SRV_CONF_OFFSET, set_verifier),
    command(c"auth_ticket_max_stale", SERVERS, NGX_HTTP_SRV_CONF_OFFSET, set_max_stale),
    command(c"auth_ticket", EVERYWHERE, NGX_HTTP_LOC_CONF_OFFSET, set_mode),
    command(c"auth_ticket_status", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, NGX_HTTP_LOC_CONF_OFFSET, set_status),
    ngx_command_t::empty(),
];

/// What the whole configuration has once.
#[derive(Default)]
pub(super) struct MainConf {
    /// All verifier files, each once.
    pub(super) files: Vec<RefCell<VerifierFile>>,
    /// The index of nginx's variable `request_id`.
    pub(super) request_id: ngx_int_t,
    /// Where the numbers of all workers are, if a location shows them.
    pub(super) zone: Option<ptr::NonNull<ngx_shm_zone_t>>,
}

/// What each server has. [`ServerConf::files`] are indices into [`MainConf::files`].
#[derive(Default)]
pub(super) struct ServerConf {
    pub(super) files: Vec<usize>,
    max_stale: Option<MaxStale>,
}

#[derive(Clone, Copy)]
enum MaxStale {
    Seconds(u64),
    Off,
}

impl ServerConf {
    pub(super) fn max_stale_s(&self) -> Option<u64> {
        match self.max_stale {
            None => Some(DEFAULT_MAX_STALE_S),
            Some(MaxStale::Seconds(seconds)) => Some(seconds),
            Some(MaxStale::Off) => None,
        }
    }
}

/// Whether requests are checked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Mode {
    #[default]
    Off,
    /// A request without a ticket passes; one with a bad ticket does not.
    Optional,
    On,
}

/// What each location has.
#[derive(Default)]
pub(super) struct LocationConf {
    mode: Option<Mode>,
    /// Where `mode` stands, for messages.
    written_at: String,
}

impl LocationConf {
    pub(super) fn mode(&self) -> Mode {
        self.mode.unwrap_or_default()
    }
}

/// Moves `value` into memory that goes with the configuration.
///
/// # Safety
/// `cf` is what nginx handed to a callback.
unsafe fn kept<T>(cf: *mut ngx_conf_t, value: T) -> *mut c_void {
    unsafe extern "C" fn drop_value<T>(value: *mut c_void) {
        // SAFETY: the pointer is the one of `Box::into_raw` below, and nginx runs a cleanup once.
        guard((), || drop(unsafe { Box::from_raw(value.cast::<T>()) }));
    }
    // SAFETY: the pool is the configuration's. With size 0 nothing but the entry is allocated.
    let cleanup = unsafe { ngx_pool_cleanup_add((*cf).pool, 0) };
    if cleanup.is_null() {
        return ptr::null_mut();
    }
    let value: *mut c_void = Box::into_raw(Box::new(value)).cast();
    // SAFETY: nginx has just made the entry.
    unsafe {
        (*cleanup).handler = Some(drop_value::<T>);
        (*cleanup).data = value;
    }
    value
}

pub(super) unsafe extern "C" fn create_main(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: `cf` is nginx's.
    guard(ptr::null_mut(), || unsafe { kept(cf, MainConf::default()) })
}

pub(super) unsafe extern "C" fn create_server(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: `cf` is nginx's.
    guard(ptr::null_mut(), || unsafe { kept(cf, ServerConf::default()) })
}

pub(super) unsafe extern "C" fn create_location(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: `cf` is nginx's.
    guard(ptr::null_mut(), || unsafe { kept(cf, LocationConf::default()) })
}

/// The configuration that is being read.
///
/// # Safety
/// `cf` is what nginx handed to a callback inside `http`.
unsafe fn context(cf: *mut ngx_conf_t) -> ngx_http_conf_ctx_t {
    // SAFETY: inside `http`, the context is of this type.
    unsafe { *(*cf).ctx.cast::<ngx_http_conf_ctx_t>() }
}

/// # Safety
/// As of [`context`]; the result is used before the next one is asked for.
pub(super) unsafe fn main_of_conf<'a>(cf: *mut ngx_conf_t) -> &'a mut MainConf {
    // SAFETY: the entry is what `create_main` made.
    unsafe { &mut *(*context(cf).main_conf.add(place())).cast::<MainConf>() }
}

/// # Safety
/// As of [`context`]
unsafe fn server_of_conf<'a>(cf: *mut ngx_conf_t) -> &'a ServerConf {
    // SAFETY: the entry is what `create_server` made.
    unsafe { &*(*context(cf).srv_conf.add(place())).cast::<ServerConf>() }
}

/// # Safety
/// `r` is a request of nginx.
pub(super) unsafe fn main_of<'a>(r: *mut ngx_http_request_t) -> &'a MainConf {
    // SAFETY: the entry is what `create_main` made; nothing changes it once workers run.
    unsafe { &*(*(*r).main_conf.add(place())).cast::<MainConf>() }
}

/// # Safety
/// `r` is a request of nginx.
pub(super) unsafe fn server_of<'a>(r: *mut ngx_http_request_t) -> &'a ServerConf {
    // SAFETY: the entry is what `create_server` made; nothing changes it once workers run.
    unsafe { &*(*(*r).srv_conf.add(place())).cast::<ServerConf>() }
}

/// # Safety
/// `r` is a request of nginx.
pub(super) unsafe fn location_of<'a>(r: *mut ngx_http_request_t) -> &'a LocationConf {
    // SAFETY: the entry is what `create_location` made; nothing changes it once workers run.
    unsafe { &*(*(*r).loc_conf.add(place())).cast::<LocationConf>() }
}

/// The configuration of a cycle, if it has an `http`.
///
/// # Safety
/// `cycle` is a cycle of nginx whose configuration was read.
pub(super) unsafe fn main_of_cycle<'a>(cycle: *mut ngx_cycle_t) -> Option<&'a MainConf> {
    // SAFETY: the entry of `http` is null or of this type, and ours is what `create_main` made.
    unsafe {
        let http = (*(*cycle).conf_ctx.add(ngx_http_module.index)).cast::<ngx_http_conf_ctx_t>();
        if http.is_null() {
            return None;
        }
        Some(&*(*(*http).main_conf.add(place())).cast::<MainConf>())
    }
}

/// Has nginx refuse the configuration; the reason is in the log already.
fn refused() -> *mut c_char {
    // NGX_CONF_ERROR
    ptr::without_provenance_mut(usize::MAX)
}

/// The outcome of a directive as nginx wants it.
///
/// # Safety
/// As of [`log::write_conf`].
unsafe fn told(cf: *mut ngx_conf_t, outcome: Result<(), String>) -> *mut c_char {
    match outcome {
        Ok(()) => ptr::null_mut(),
        Err(why) => {
            // SAFETY: the caller's promise.
            unsafe { log::write_conf(cf, log::EMERG, &why) };
            refused()
        }
    }
}

/// The argument of the directive that is being read.
///
/// # Safety
/// The directive has one (`NGX_CONF_TAKE1`).
unsafe fn argument(cf: *mut ngx_conf_t) -> ngx_str_t {
    // SAFETY: the array holds the directive's name, then its argument.
    unsafe { *(*(*cf).args).elts.cast::<ngx_str_t>().add(1) }
}

unsafe extern "C" fn set_verifier(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guard(refused(), || {
        // SAFETY: `conf` is what `create_server` made, as the directive's table says.
        let server = unsafe { &mut *conf.cast::<ServerConf>() };
        // SAFETY: `cf` is nginx's, inside `http`.
        unsafe { told(cf, add_verifier(cf, server)) }
    })
}

/// # Safety
/// As of [`context`]; the directive has one argument.
unsafe fn add_verifier(cf: *mut ngx_conf_t, server: &mut ServerConf) -> Result<(), String> {
    // SAFETY: as the caller promises; nginx replaces the text by that of an absolute path, in memory of the configuration.
    let path = unsafe {
        let mut path = argument(cf);
        if ngx_conf_full_name((*cf).cycle, &raw mut path, 1) != super::OK {
            return Err("no memory".to_owned());
        }
        Path::new(OsStr::from_bytes(bytes(path)))
    };
    // SAFETY: the reference ends with this function, which asks for no second one.
    let main = unsafe { main_of_conf(cf) };
    let known = main.files.iter().position(|file| file.borrow().path() == path);
    let at = if let Some(at) = known {
        at
    } else {
        let file = VerifierFile::load(path, now()).map_err(|why| format!("{why}; {}", why.remedy()))?;
        main.files.push(RefCell::new(file));
        main.files.len() - 1
    };
    let app = |at: usize| main.files.get(at).map(|file| file.borrow().verifier().appid().clone());
    let twin = server.files.iter().find(|&&other| app(other).zip(app(at)).is_some_and(|(a, b)| a.tag() == b.tag()));
    if twin.is_some() {
        return Err(format!("\"{}\" is for the same app as another auth_ticket_verifier here", path.display()));
    }
    server.files.push(at);
    Ok(())
}

unsafe extern "C" fn set_max_stale(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guard(refused(), || {
        // SAFETY: `conf` is what `create_server` made, and the directive has one argument.
        let (server, mut value) = unsafe { (&mut *conf.cast::<ServerConf>(), argument(cf)) };
        // SAFETY: nginx's texts of directives live as long as the configuration.
        let given = unsafe { bytes(value) };
        // SAFETY: it reads the text only.
        let mut seconds =
            || u64::try_from(unsafe { ngx_parse_time(&raw mut value, 1) }).ok().filter(|&seconds| seconds > 0);
        let parsed = if given == b"off" { Some(MaxStale::Off) } else { seconds().map(MaxStale::Seconds) };
        let outcome = match (server.max_stale, parsed) {
            (Some(_), _) => Err("\"auth_ticket_max_stale\" is here twice".to_owned()),
            (None, None) => Err("\"auth_ticket_max_stale\" is a time of at least 1s, or off".to_owned()),
            (None, Some(parsed)) => {
                server.max_stale = Some(parsed);
                Ok(())
            }
        };
        // SAFETY: `cf` is nginx's.
        unsafe { told(cf, outcome) }
    })
}

unsafe extern "C" fn set_mode(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guard(refused(), || {
        // SAFETY: `conf` is what `create_location` made, the directive has one argument, and nginx is reading a file.
        let (location, given, file) =
            unsafe { (&mut *conf.cast::<LocationConf>(), bytes(argument(cf)), &*(*cf).conf_file) };
        let mode = match given {
            b"on" => Some(Mode::On),
            b"off" => Some(Mode::Off),
            b"optional" => Some(Mode::Optional),
            _ => None,
        };
        let outcome = match (location.mode, mode) {
            (Some(_), _) => Err("\"auth_ticket\" is here twice".to_owned()),
            (None, None) => Err("\"auth_ticket\" is on, off or optional".to_owned()),
            (None, Some(_)) => {
                location.mode = mode;
                // SAFETY: the name of the file that is being read.
                let name = String::from_utf8_lossy(unsafe { bytes(file.file.name) });
                location.written_at = format!("{name}:{}", file.line);
                Ok(())
            }
        };
        // SAFETY: `cf` is nginx's.
        unsafe { told(cf, outcome) }
    })
}

unsafe extern "C" fn set_status(cf: *mut ngx_conf_t, _: *mut ngx_command_t, _: *mut c_void) -> *mut c_char {
    guard(refused(), || {
        // SAFETY: `cf` is nginx's, inside a location, whose core configuration is in its place.
        unsafe {
            let core = *context(cf).loc_conf.add(ngx_http_core_module.ctx_index);
            (*core.cast::<ngx_http_core_loc_conf_t>()).handler = Some(status::answer);
            let main = main_of_conf(cf);
            if main.zone.is_none() {
                main.zone = status::add_zone(cf);
            }
            told(cf, main.zone.map(drop).ok_or_else(|| "no shared memory".to_owned()))
        }
    })
}

pub(super) unsafe extern "C" fn merge_server(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    guard(refused(), || {
        // SAFETY: both are what `create_server` made.
        let (outer, inner) = unsafe { (&*outer.cast::<ServerConf>(), &mut *inner.cast::<ServerConf>()) };
        if inner.files.is_empty() {
            inner.files.clone_from(&outer.files);
        }
        inner.max_stale = inner.max_stale.or(outer.max_stale);
        // SAFETY: `cf` is nginx's, inside `http`.
        let main = unsafe { main_of_conf(cf) };
        for file in inner.files.iter().filter_map(|&at| main.files.get(at)) {
            let file = file.borrow();
            if let Err(why) = file.verifier().check_age(now(), inner.max_stale_s()) {
                let line = format!("no ticket passes until it is made again: \"{}\": {why}", file.path().display());
                // SAFETY: `cf` is nginx's.
                unsafe { log::write_conf(cf, log::WARN, &line) };
            }
        }
        ptr::null_mut()
    })
}

pub(super) unsafe extern "C" fn merge_location(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    guard(refused(), || {
        // SAFETY: both are what `create_location` made.
        let (outer, inner) = unsafe { (&*outer.cast::<LocationConf>(), &mut *inner.cast::<LocationConf>()) };
        if inner.mode.is_none() {
            inner.mode = outer.mode;
            inner.written_at.clone_from(&outer.written_at);
        }
        // SAFETY: `cf` is nginx's, inside the server whose locations are being merged.
        let has_file = unsafe { !server_of_conf(cf).files.is_empty() };
        let outcome = match inner.mode() {
            Mode::On | Mode::Optional if !has_file => Err(format!(
                "\"auth_ticket\" in {} needs an auth_ticket_verifier in its server, or in http",
                inner.written_at
            )),
            _ => Ok(()),
        };
        // SAFETY: `cf` is nginx's.
        unsafe { told(cf, outcome) }
    })
}
