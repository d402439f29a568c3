//! The headers of a request: reading them, and replacing those that a service must not see.

use nginx_sys::{ngx_http_request_t, ngx_list_part_t, ngx_list_t, ngx_palloc, ngx_pool_t, ngx_str_t, ngx_table_elt_t};
use std::ptr;

use super::bytes;
use crate::check::{IDENTITY_HEADERS, LOWER_CASE, TicketHeaders, is_kept_back};

/// nginx's hash of a name in lower case, by which it finds what `proxy_set_header` and its like replace.
const fn hash(name: &str) -> usize {
    let bytes = name.as_bytes();
    let (mut hash, mut at) = (0_usize, 0);
    while at < bytes.len() {
        #[expect(clippy::indexing_slicing, reason = "below the length")]
        let byte = bytes[at];
        hash = hash.wrapping_mul(31).wrapping_add(byte as usize);
        at += 1;
    }
    hash
}

const _: () = assert!(hash("ab") == 97 * 31 + 98, "as ngx_hash_key has it");

/// The hashes of [`LOWER_CASE`].
const HASHES: [usize; LOWER_CASE.len()] = {
    let (mut hashes, mut at) = ([0; LOWER_CASE.len()], 0);
    while at < hashes.len() {
        #[expect(clippy::indexing_slicing, reason = "below the length of both")]
        (hashes[at] = hash(LOWER_CASE[at]));
        at += 1;
    }
    hashes
};

/// The elements of a list, part by part.
struct Elements {
    part: *mut ngx_list_part_t,
    at: usize,
}

impl Iterator for Elements {
    type Item = *mut ngx_table_elt_t;

    fn next(&mut self) -> Option<*mut ngx_table_elt_t> {
        while !self.part.is_null() {
            // SAFETY: a part of the list that `elements` was given, so its first `nelts` elements are there.
            let (elements, len, next) = unsafe { ((*self.part).elts, (*self.part).nelts, (*self.part).next) };
            if self.at < len {
                // SAFETY: `at` is below the number of elements.
                let element = unsafe { elements.cast::<ngx_table_elt_t>().add(self.at) };
                self.at += 1;
                return Some(element);
            }
            (self.part, self.at) = (next, 0);
        }
        None
    }
}

/// # Safety
/// `list` is a list of headers that does not change while the result is used.
unsafe fn elements(list: *mut ngx_list_t) -> Elements {
    // SAFETY: the first part is inside the list.
    Elements { part: unsafe { &raw mut (*list).part }, at: 0 }
}

/// The name in lower case, and the value.
///
/// # Safety
/// `element` is a header of a request that lives for `'a`.
unsafe fn name_and_value<'a>(element: *mut ngx_table_elt_t) -> (&'a [u8], &'a [u8]) {
    // SAFETY: nginx keeps a name of the same length in lower case beside each header of a request.
    unsafe {
        let name = ngx_str_t { len: (*element).key.len, data: (*element).lowcase_key };
        (bytes(name), bytes((*element).value))
    }
}

/// # Safety
/// `r` is a request of nginx whose headers do not change for `'a`.
pub(super) unsafe fn ticket_headers<'a>(r: *mut ngx_http_request_t) -> TicketHeaders<'a> {
    let mut headers = TicketHeaders::default();
    // SAFETY: the list is the request's.
    for element in unsafe { elements(&raw mut (*r).headers_in.headers) } {
        // SAFETY: an element of it.
        let (name, value) = unsafe { name_and_value(element) };
        headers.add(name, value);
    }
    headers
}

/// Memory for `count` values.
///
/// # Safety
/// `pool` is a pool of nginx, whose memory is aligned for every type that nginx has.
unsafe fn allocate<T>(pool: *mut ngx_pool_t, count: usize) -> Option<ptr::NonNull<T>> {
    let size = size_of::<T>().checked_mul(count)?;
    // SAFETY: the caller's promise.
    ptr::NonNull::new(unsafe { ngx_palloc(pool, size) }.cast::<T>())
}

/// Whether [`replace`] has been here.
///
/// # Safety
/// `r` is a request of nginx.
unsafe fn is_replaced(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: the last part of a list of headers holds `nelts` of them.
    unsafe {
        let last = (*r).headers_in.headers.last;
        let first = (*last).elts.cast::<ngx_table_elt_t>();
        let [ours, ..] = IDENTITY_HEADERS;
        (*last).nelts >= IDENTITY_HEADERS.len() && ptr::eq((*first).key.data, ours.as_ptr())
    }
}

/// Takes away what the service must not see, and gives it all nine headers. False if there is no memory.
///
/// No header moves, since nginx points to many of them: what stays becomes a new chain of parts, each a run of old elements.
///
/// # Safety
/// `r` is a request of nginx, and `values` end with a zero byte each and live as long as its pool.
pub(super) unsafe fn replace(r: *mut ngx_http_request_t, values: &[ngx_str_t; 9]) -> bool {
    // SAFETY: the caller's promise.
    if unsafe { is_replaced(r) } {
        return true;
    }
    // SAFETY: pool and list are the request's. The chain is made of parts from its pool, and put in place when it is whole.
    unsafe {
        let pool = (*r).pool;
        let headers = &raw mut (*r).headers_in.headers;
        let capacity = (*headers).nalloc.max(IDENTITY_HEADERS.len());
        let Some(own) = identity(pool, values, capacity) else { return false };

        let mut first = ngx_list_part_t { elts: (*headers).part.elts, nelts: 0, next: ptr::null_mut() };
        let mut last = &raw mut first;
        let mut end_of_run = ptr::null_mut::<ngx_table_elt_t>();
        for element in elements(headers) {
            let (name, value) = name_and_value(element);
            if is_kept_back(name, value) {
                if (*r).headers_in.authorization == element {
                    (*r).headers_in.authorization = ptr::null_mut();
                }
                continue;
            }
            if end_of_run == element {
                (*last).nelts += 1;
            } else {
                last = match run(pool, &raw mut first, last, element) {
                    Some(part) => part,
                    None => return false,
                };
            }
            end_of_run = element.add(1);
        }
        let Some(part) = allocate::<ngx_list_part_t>(pool, 1) else { return false };
        part.write(ngx_list_part_t { elts: own.as_ptr().cast(), nelts: IDENTITY_HEADERS.len(), next: ptr::null_mut() });
        (*last).next = part.as_ptr();
        (*headers).part = first;
        (*headers).last = part.as_ptr();
        (*headers).nalloc = capacity;
    }
    true
}

/// Begins a run with `element`: in the first part if it is empty, or in a new one after `last`.
///
/// # Safety
/// `first` and `last` are parts of one chain, `pool` is where it lives.
unsafe fn run(
    pool: *mut ngx_pool_t,
    first: *mut ngx_list_part_t,
    last: *mut ngx_list_part_t,
    element: *mut ngx_table_elt_t,
) -> Option<*mut ngx_list_part_t> {
    let begun = ngx_list_part_t { elts: element.cast(), nelts: 1, next: ptr::null_mut() };
    // SAFETY: the caller's promise.
    unsafe {
        if (*first).nelts == 0 {
            first.write(begun);
            return Some(first);
        }
        let part = allocate::<ngx_list_part_t>(pool, 1)?;
        part.write(begun);
        (*last).next = part.as_ptr();
        Some(part.as_ptr())
    }
}

/// The nine headers, with room for `capacity`.
///
/// # Safety
/// As of [`replace`].
unsafe fn identity(
    pool: *mut ngx_pool_t,
    values: &[ngx_str_t; 9],
    capacity: usize,
) -> Option<ptr::NonNull<ngx_table_elt_t>> {
    // SAFETY: the caller's promise.
    let own = unsafe { allocate::<ngx_table_elt_t>(pool, capacity)? };
    let names = IDENTITY_HEADERS.iter().zip(LOWER_CASE).zip(HASHES);
    for (at, (((name, lower_case), hash), value)) in names.zip(values).enumerate() {
        // SAFETY: `at` is below `capacity`. All zero is a header of nginx; later versions have one more field, which is null.
        unsafe {
            let element = own.add(at);
            element.write(std::mem::zeroed());
            let element = element.as_ptr();
            (*element).hash = hash;
            (*element).key = super::text(name);
            (*element).value = *value;
            (*element).lowcase_key = lower_case.as_ptr().cast_mut();
        }
    }
    Some(own)
}
