//! `auth_ticket_status`, and the memory that its numbers are in.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use nginx_sys::{
    NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_OK, ngx_buf_t, ngx_chain_t, ngx_conf_t, ngx_http_discard_request_body,
    ngx_http_output_filter, ngx_http_request_t, ngx_http_send_header, ngx_int_t, ngx_pagesize, ngx_palloc, ngx_pcalloc,
    ngx_pnalloc, ngx_shared_memory_add, ngx_shm_zone_t, ngx_slab_calloc, ngx_slab_pool_t,
};

use super::{ERROR, INTERNAL_SERVER_ERROR, NOT_ALLOWED, OK, conf, guard, text};
use crate::counters::{Counters, FileStatus, to_text};

/// Asks for memory that all workers share, and that survives a reload.
///
/// # Safety
/// `cf` is nginx's.
pub(super) unsafe fn add_zone(cf: *mut ngx_conf_t) -> Option<NonNull<ngx_shm_zone_t>> {
    let mut name = text("auth_ticket");
    // SAFETY: the name is only read. The tag says whose zone it is. nginx's bookkeeping needs at least eight pages; the
    // counters take twice their size at most.
    unsafe {
        let size = (8 * ngx_pagesize).max(4 * size_of::<Counters>());
        let tag = (&raw mut super::ngx_http_auth_ticket_module).cast::<c_void>();
        let zone = NonNull::new(ngx_shared_memory_add(cf, &raw mut name, size, tag))?;
        (*zone.as_ptr()).init = Some(init);
        Some(zone)
    }
}

#[expect(clippy::cast_ptr_alignment, reason = "nginx maps shared memory at whole pages")]
unsafe extern "C" fn init(zone: *mut ngx_shm_zone_t, former: *mut c_void) -> ngx_int_t {
    guard(ERROR, || {
        // SAFETY: nginx has mapped the zone and made a pool of slabs of it, and hands in what this function left in the zone
        // of the configuration before. The memory is all zero, and aligned to its size class, which is a power of two.
        unsafe {
            let counters = if former.is_null() {
                ngx_slab_calloc((*zone).shm.addr.cast::<ngx_slab_pool_t>(), size_of::<Counters>())
            } else {
                former
            };
            (*zone).data = counters;
            if counters.is_null() { ERROR } else { OK }
        }
    })
}

/// The counters, once workers run.
///
/// # Safety
/// `zone` is what [`add_zone`] returned for the configuration of a request.
pub(super) unsafe fn counters<'a>(zone: NonNull<ngx_shm_zone_t>) -> Option<&'a Counters> {
    // SAFETY: null or what `init` put there; atomics may be shared by processes.
    unsafe { (*zone.as_ptr()).data.cast::<Counters>().as_ref() }
}

/// Answers a scrape.
pub(super) unsafe extern "C" fn answer(r: *mut ngx_http_request_t) -> ngx_int_t {
    guard(INTERNAL_SERVER_ERROR, || {
        // SAFETY: `r` is nginx's; what it is given is in its pool.
        unsafe {
            if (*r).method & (NGX_HTTP_GET | NGX_HTTP_HEAD) as usize == 0 {
                return NOT_ALLOWED;
            }
            let discarded = ngx_http_discard_request_body(r);
            if discarded != OK {
                return discarded;
            }
            let main = conf::main_of(r);
            let files: Vec<_> =
                main.files.iter().filter_map(|file| file.try_borrow().ok()).map(|file| FileStatus::of(&file)).collect();
            let scrape = to_text(main.zone.and_then(|zone| counters(zone)), &files);
            let to = ngx_pnalloc((*r).pool, scrape.len()).cast::<u8>();
            let buffer = ngx_pcalloc((*r).pool, size_of::<ngx_buf_t>()).cast::<ngx_buf_t>();
            let link = ngx_palloc((*r).pool, size_of::<ngx_chain_t>()).cast::<ngx_chain_t>();
            if to.is_null() || buffer.is_null() || link.is_null() {
                return INTERNAL_SERVER_ERROR;
            }
            ptr::copy_nonoverlapping(scrape.as_ptr(), to, scrape.len());
            (*buffer).pos = to;
            (*buffer).last = to.add(scrape.len());
            (*buffer).set_memory(1);
            (*buffer).set_last_buf(u32::from((*r).main == r));
            (*buffer).set_last_in_chain(1);
            link.write(ngx_chain_t { buf: buffer, next: ptr::null_mut() });

            let out = &raw mut (*r).headers_out;
            (*out).status = NGX_HTTP_OK as usize;
            (*out).content_type = text("text/plain; version=0.0.4");
            (*out).content_type_len = "text/plain".len();
            (*out).content_type_lowcase = ptr::null_mut();
            (*out).content_length_n = i64::try_from(scrape.len()).unwrap_or(-1) as _;
            let sent = ngx_http_send_header(r);
            if sent == ERROR || sent > OK || (*r).header_only() != 0 {
                return sent;
            }
            ngx_http_output_filter(r, link)
        }
    })
}
