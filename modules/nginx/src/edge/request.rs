//! What happens to a request: checked in the access phase, and given its headers before its content is made.

use std::ffi::c_void;
use std::ptr;

use nginx_sys::{
    ngx_array_push, ngx_conf_t, ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_handler_pt,
    ngx_http_phases_NGX_HTTP_ACCESS_PHASE, ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE, ngx_http_request_t, ngx_int_t,
    ngx_list_push, ngx_pnalloc, ngx_pool_cleanup_add, ngx_pool_t, ngx_str_t, ngx_table_elt_t, ngx_uint_t, ngx_worker,
};

use super::conf::{Mode, location_of, main_of, server_of};
use super::{DECLINED, ERROR, INTERNAL_SERVER_ERROR, OK, filter, guard, headers, log, now, place, status, text};
use crate::check::{Rejection, check};

/// What a check of a request came to. In its pool, so that internal redirects, subrequests and the log find it.
pub(super) struct Checked {
    /// Why it does not pass, if so.
    pub(super) rejection: Option<Rejection>,
    /// In the order of `IDENTITY_HEADERS`, each followed by a zero byte.
    pub(super) values: [ngx_str_t; 9],
    /// The `WWW-Authenticate` that is among the headers of the answer.
    challenge: *mut ngx_table_elt_t,
    /// Whether the access phase has refused it since the last internal redirect.
    pub(super) is_refused_here: bool,
    /// What the answer's body is replaced by.
    pub(super) body: ngx_str_t,
}

/// Registers what runs in the phases, and the filters.
pub(super) unsafe extern "C" fn register(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard(ERROR, || {
        // SAFETY: after `http` was read, its context is in place, and each phase has an array of handlers. Filters are
        // chained once for each reading, as those of nginx are.
        unsafe {
            let context = *(*cf).ctx.cast::<nginx_sys::ngx_http_conf_ctx_t>();
            let core = (*context.main_conf.add(ngx_http_core_module.ctx_index)).cast::<ngx_http_core_main_conf_t>();
            let handlers: [(_, ngx_http_handler_pt); 2] = [
                (ngx_http_phases_NGX_HTTP_ACCESS_PHASE, Some(access)),
                (ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE, Some(precontent)),
            ];
            for (phase, handler) in handlers {
                let phases = (&raw mut (*core).phases).cast::<nginx_sys::ngx_http_phase_t>();
                let handlers = &raw mut (*phases.add(phase as usize)).handlers;
                let slot = ngx_array_push(handlers).cast::<ngx_http_handler_pt>();
                if slot.is_null() {
                    return ERROR;
                }
                slot.write(handler);
            }
            super::conf::main_of_conf(cf).request_id = filter::request_id_index(cf);
            filter::chain();
        }
        OK
    })
}

/// The request of the client that `r` is, or is a part of.
///
/// # Safety
/// `r` is a request of nginx.
unsafe fn whole(r: *mut ngx_http_request_t) -> *mut ngx_http_request_t {
    // SAFETY: it lives for as long as its parts.
    unsafe { (*r).main }
}

/// The module's entry in the contexts of `r`.
///
/// # Safety
/// `r` is a request of nginx.
unsafe fn slot(r: *mut ngx_http_request_t) -> *mut *mut c_void {
    // SAFETY: there is one for each module.
    unsafe { (*r).ctx.add(place()) }
}

/// What is known of `r` since its last internal redirect.
///
/// # Safety
/// `r` is a request of nginx; the result is used before the next one is asked for.
pub(super) unsafe fn known<'a>(r: *mut ngx_http_request_t) -> Option<&'a mut Checked> {
    // SAFETY: the entry is null or what `recall` or `make` put there, which lives in the request's pool.
    unsafe { (*slot(r)).cast::<Checked>().as_mut() }
}

/// Marks an entry among a pool's cleanups as this module's. There is nothing to clean up.
unsafe extern "C" fn mark(_: *mut c_void) {}

/// Its address: the one of this static, since a function can have several.
static MARK: unsafe extern "C" fn(*mut c_void) = mark;

/// What is known of the request that `r` belongs to. An internal redirect clears the contexts of a request, not its pool.
///
/// # Safety
/// As of [`known`].
pub(super) unsafe fn recall<'a>(r: *mut ngx_http_request_t) -> Option<&'a mut Checked> {
    // SAFETY: the whole request, its contexts, and the entries of its pool, whose data is a `Checked` where they are marked.
    unsafe {
        let r = whole(r);
        if let Some(checked) = known(r) {
            return Some(checked);
        }
        let mut cleanup = (*(*r).pool).cleanup;
        while let Some(entry) = cleanup.as_ref() {
            if entry.handler.is_some_and(|handler| ptr::fn_addr_eq(handler, MARK)) {
                let checked = entry.data.cast::<Checked>();
                (*checked).is_refused_here = false;
                *slot(r) = checked.cast();
                return checked.as_mut();
            }
            cleanup = entry.next;
        }
        None
    }
}

/// Checks the request that `r` belongs to, unless that was done. `None` if there is no memory.
///
/// # Safety
/// As of [`known`].
pub(super) unsafe fn checked<'a>(r: *mut ngx_http_request_t) -> Option<&'a mut Checked> {
    // SAFETY: the caller's promise.
    unsafe {
        match recall(r) {
            Some(checked) => Some(checked),
            None => make(whole(r)),
        }
    }
}

/// # Safety
/// `r` is a whole request of nginx.
unsafe fn make<'a>(r: *mut ngx_http_request_t) -> Option<&'a mut Checked> {
    // SAFETY: the configurations are the request's, its headers stay as they are for the check, and its pool is its own.
    unsafe {
        let (main, server) = (main_of(r), server_of(r));
        let files: Vec<_> = server.files.iter().filter_map(|&at| main.files.get(at)?.try_borrow().ok()).collect();
        let verifiers = files.iter().map(|file| file.verifier());
        let result = check(verifiers, &headers::ticket_headers(r), now(), server.max_stale_s());
        let rejection = result.as_ref().err().map(|rejected| rejected.rejection);
        let values = match &result {
            Ok(identity) => copied(&identity.values(), (*r).pool)?,
            Err(rejected) => {
                log::write((*(*r).connection).log, log::INFO, || format!("no identity: {}", rejected.cause));
                [text("\0"); 9].map(|value| ngx_str_t { len: 0, ..value })
            }
        };
        if let Some(counters) = main.zone.and_then(|zone| status::counters(zone)) {
            counters.count(ngx_worker, rejection);
        }
        let cleanup = ngx_pool_cleanup_add((*r).pool, size_of::<Checked>());
        if cleanup.is_null() {
            return None;
        }
        (*cleanup).handler = Some(MARK);
        let checked = (*cleanup).data.cast::<Checked>();
        let (challenge, body) = (ptr::null_mut(), ngx_str_t::empty());
        checked.write(Checked { rejection, values, challenge, is_refused_here: false, body });
        *slot(r) = checked.cast();
        checked.as_mut()
    }
}

/// The values in memory of `pool`, a zero byte after each.
///
/// # Safety
/// `pool` is a pool of nginx.
unsafe fn copied(values: &[&str; 9], pool: *mut ngx_pool_t) -> Option<[ngx_str_t; 9]> {
    let size = values.iter().map(|value| value.len() + 1).sum();
    // SAFETY: the caller's promise.
    let mut to = ptr::NonNull::new(unsafe { ngx_pnalloc(pool, size) }.cast::<u8>())?.as_ptr();
    Some(values.map(|value| {
        let copy = ngx_str_t { len: value.len(), data: to };
        // SAFETY: the sum of all lengths, each with its zero byte, is what was allocated.
        unsafe {
            ptr::copy_nonoverlapping(value.as_ptr(), to, value.len());
            to.add(value.len()).write(0);
            to = to.add(value.len() + 1);
        }
        copy
    }))
}

/// nginx calls it for whole requests only.
unsafe extern "C" fn access(r: *mut ngx_http_request_t) -> ngx_int_t {
    guard(INTERNAL_SERVER_ERROR, || {
        // SAFETY: `r` is nginx's.
        unsafe {
            let mode = location_of(r).mode();
            if mode == Mode::Off {
                return DECLINED;
            }
            let Some(checked) = checked(r) else { return INTERNAL_SERVER_ERROR };
            match checked.rejection {
                None => OK,
                // Without an opinion, so that it alone lets nobody in where `satisfy any` stands.
                Some(rejection) if mode == Mode::Optional && rejection.is_for_no_ticket() => DECLINED,
                Some(rejection) => refuse(r, checked, rejection),
            }
        }
    })
}

/// Leaves the answer to nginx, so that `satisfy` and `error_page` mean what they always do. If it is nginx's own page in the
/// end, the filters put the JSON in its place.
///
/// # Safety
/// `r` is a request of nginx, and `checked` is what is known of it.
unsafe fn refuse(r: *mut ngx_http_request_t, checked: &mut Checked, rejection: Rejection) -> ngx_int_t {
    checked.is_refused_here = true;
    if let Some(challenge) = rejection.challenge() {
        // SAFETY: the list is the request's, as is its pool. nginx takes the header back by this pointer where another module
        // lets the request pass (`satisfy any`).
        unsafe {
            if checked.challenge.is_null() {
                checked.challenge = add_header(r, "WWW-Authenticate", challenge);
                if checked.challenge.is_null() {
                    return INTERNAL_SERVER_ERROR;
                }
            }
            (*checked.challenge).hash = 1;
            (*r).headers_out.www_authenticate = checked.challenge;
        }
    }
    ngx_int_t::try_from(rejection.status()).unwrap_or(INTERNAL_SERVER_ERROR)
}

/// Adds a header to the answer. Null if there is no memory.
///
/// # Safety
/// `r` is a request of nginx.
pub(super) unsafe fn add_header(
    r: *mut ngx_http_request_t,
    name: &'static str,
    value: &'static str,
) -> *mut ngx_table_elt_t {
    // SAFETY: the list is the request's; all zero is a header of nginx in each version of it.
    unsafe {
        let header = ngx_list_push(&raw mut (*r).headers_out.headers).cast::<ngx_table_elt_t>();
        if !header.is_null() {
            header.write(std::mem::zeroed());
            (*header).hash = 1 as ngx_uint_t;
            (*header).key = text(name);
            (*header).value = text(value);
        }
        header
    }
}

/// Runs once access was granted, by whatever module. Here, and not in the access phase, because `satisfy any` skips the rest
/// of that phase as soon as one module is content.
unsafe extern "C" fn precontent(r: *mut ngx_http_request_t) -> ngx_int_t {
    guard(INTERNAL_SERVER_ERROR, || {
        // SAFETY: `r` is nginx's.
        unsafe {
            let is_off = location_of(r).mode() == Mode::Off;
            // A request that was checked before an internal redirect, and refused perhaps, brings nothing along here either.
            if is_off && ((*r).main != r || recall(r).is_none()) {
                return DECLINED;
            }
            let Some(checked) = checked(r) else { return INTERNAL_SERVER_ERROR };
            checked.is_refused_here = false;
            if headers::replace(r, &checked.values) { DECLINED } else { INTERNAL_SERVER_ERROR }
        }
    })
}
