//! The JSON of a refusal, where nginx would send its own page.

use std::ptr;

use nginx_sys::{
    ngx_buf_t, ngx_chain_t, ngx_conf_t, ngx_http_get_indexed_variable, ngx_http_get_variable_index,
    ngx_http_output_body_filter_pt, ngx_http_output_header_filter_pt, ngx_http_request_t, ngx_http_top_body_filter,
    ngx_http_top_header_filter, ngx_int_t, ngx_palloc, ngx_pcalloc, ngx_str_t,
};

use super::request::{add_header, known};
use super::{ERROR, conf, guard, text};
use crate::check::{RETRY_AFTER_S, Rejection};

/// What comes after this module's filters. Written while the configuration is read.
static mut NEXT_HEADER: ngx_http_output_header_filter_pt = None;
static mut NEXT_BODY: ngx_http_output_body_filter_pt = None;

/// Puts the filters before those that are there.
///
/// # Safety
/// Called by nginx after it has read `http`.
pub(super) unsafe fn chain() {
    // SAFETY: nobody reads or writes these meanwhile.
    unsafe {
        NEXT_HEADER = ngx_http_top_header_filter;
        ngx_http_top_header_filter = Some(header);
        NEXT_BODY = ngx_http_top_body_filter;
        ngx_http_top_body_filter = Some(body);
    }
}

/// # Safety
/// `cf` is nginx's.
pub(super) unsafe fn request_id_index(cf: *mut ngx_conf_t) -> ngx_int_t {
    let mut name = text("request_id");
    // SAFETY: the name is only read.
    unsafe { ngx_http_get_variable_index(cf, &raw mut name) }
}

unsafe extern "C" fn header(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: `r` is nginx's.
    if !guard(false, || unsafe { put_json_in_place(r) }) {
        return ERROR;
    }
    // SAFETY: written by `chain`, before there was a request.
    match unsafe { NEXT_HEADER } {
        // SAFETY: the next filter, with what nginx gave to this one.
        Some(next) => unsafe { next(r) },
        None => ERROR,
    }
}

/// Decides about an answer, once. False if there is no memory.
///
/// # Safety
/// `r` is a request of nginx.
unsafe fn put_json_in_place(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: the request, and what is known of it. Subrequests have no entry.
    unsafe {
        let Some(checked) = known(r) else { return true };
        let Some(rejection) = checked.rejection.filter(|_| checked.is_refused_here) else { return true };
        // Its own page, for the status that the access phase gave: no internal redirect has come in between.
        let status = usize::from(rejection.status());
        if (*r).err_status != status || (*r).headers_out.status != status || !checked.body.data.is_null() {
            return true;
        }
        let json = rejection.to_json(request_id(r));
        let to = ngx_palloc((*r).pool, json.len()).cast::<u8>();
        if to.is_null() || add_header(r, "Cache-Control", "no-store").is_null() {
            return false;
        }
        ptr::copy_nonoverlapping(json.as_ptr(), to, json.len());
        if rejection == Rejection::Unavailable && add_header(r, "Retry-After", RETRY_AFTER_S).is_null() {
            return false;
        }
        checked.body = ngx_str_t { len: json.len(), data: to };
        let out = &raw mut (*r).headers_out;
        (*out).content_type = text("application/json");
        (*out).content_type_len = (*out).content_type.len;
        (*out).content_type_lowcase = ptr::null_mut();
        (*out).charset.len = 0;
        (*out).content_length_n = i64::try_from(json.len()).unwrap_or(-1) as _;
        if !(*out).content_length.is_null() {
            (*(*out).content_length).hash = 0;
            (*out).content_length = ptr::null_mut();
        }
    }
    true
}

/// nginx's own id of the request.
///
/// # Safety
/// `r` is a request of nginx.
unsafe fn request_id<'a>(r: *mut ngx_http_request_t) -> &'a str {
    // SAFETY: the index was given out for this configuration, and the value lives as long as the request.
    unsafe {
        let index = usize::try_from(conf::main_of(r).request_id).unwrap_or_default();
        let value = ngx_http_get_indexed_variable(r, index);
        let value = value.as_ref().filter(|value| value.valid() != 0 && value.not_found() == 0);
        value.map_or("", |value| std::str::from_utf8(value.as_bytes()).unwrap_or_default())
    }
}

unsafe extern "C" fn body(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: `r` and `chain` are nginx's.
    let chain = guard(None, || unsafe { replaced(r, chain) });
    // SAFETY: written by `chain`, before there was a request.
    match (unsafe { NEXT_BODY }, chain) {
        // SAFETY: the next filter, with what nginx gave to this one, or a chain in the request's pool.
        (Some(next), Some(chain)) => unsafe { next(r, chain) },
        _ => ERROR,
    }
}

/// The chain to pass on; `None` if there is no memory.
///
/// # Safety
/// `r` is a request of nginx, `chain` a chain of buffers or null.
unsafe fn replaced(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> Option<*mut ngx_chain_t> {
    // SAFETY: the request, what is known of it, and buffers in its pool. All zero is an empty buffer.
    unsafe {
        let Some(checked) = known(r).filter(|checked| !checked.body.data.is_null()) else { return Some(chain) };
        if chain.is_null() {
            return Some(chain);
        }
        // nginx's own page is in memory, and read by nobody.
        let mut link = chain;
        let mut is_first = true;
        while let Some(part) = link.as_mut() {
            let buffer = part.buf;
            (*buffer).pos = (*buffer).last;
            is_first &= (*buffer).flush() == 0;
            link = part.next;
        }
        if checked.body.len == 0 || !is_first {
            return Some(ptr::null_mut());
        }
        let buffer = ngx_pcalloc((*r).pool, size_of::<ngx_buf_t>()).cast::<ngx_buf_t>();
        let link = ngx_palloc((*r).pool, size_of::<ngx_chain_t>()).cast::<ngx_chain_t>();
        if buffer.is_null() || link.is_null() {
            return None;
        }
        (*buffer).pos = checked.body.data;
        (*buffer).last = checked.body.data.add(checked.body.len);
        (*buffer).set_memory(1);
        (*buffer).set_last_buf(1);
        (*buffer).set_last_in_chain(1);
        checked.body.len = 0;
        link.write(ngx_chain_t { buf: buffer, next: ptr::null_mut() });
        Some(link)
    }
}
