//! What each worker does by itself: it looks at the verifier files every two seconds.

use std::ptr;

use auth_ticket::keystore::VerifierReload;
use nginx_sys::{
    NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER, ngx_add_timer, ngx_connection_t, ngx_cycle, ngx_cycle_t, ngx_event_t,
    ngx_int_t, ngx_log_t, ngx_process,
};

use super::conf::{MainConf, main_of_cycle};
use super::{OK, guard, log, now};

/// How often, in milliseconds.
const EVERY_MS: usize = 2000;

/// Called once in each process of nginx, after its configuration was read.
pub(super) unsafe extern "C" fn start(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(OK, || {
        // SAFETY: nginx writes it before it calls.
        let kind = unsafe { ngx_process };
        let is_single = kind == NGX_PROCESS_SINGLE as usize;
        let is_worker = kind == NGX_PROCESS_WORKER as usize;
        // SAFETY: the cycle is nginx's, and its configuration was read.
        let has_files = unsafe { main_of_cycle(cycle) }.is_some_and(|main| !main.files.is_empty());
        // Helpers, such as the cache's manager, check no request.
        if !(is_single || (is_worker && has_files)) {
            return OK;
        }
        // SAFETY: an all-zero event and connection are how nginx makes them, too. Both stay for as long as the process:
        // nginx asks the connection of a timer for its descriptor, for the debug log. A cancelable timer does not hold up a
        // worker that is told to end.
        unsafe {
            let connection = Box::leak(Box::new(std::mem::zeroed::<ngx_connection_t>()));
            connection.fd = -1;
            let event = Box::leak(Box::new(std::mem::zeroed::<ngx_event_t>()));
            event.handler = Some(look);
            event.log = (*cycle).log;
            event.data = ptr::from_mut(connection).cast();
            event.set_cancelable(1);
            // At once, so that a worker that may not read a file says so.
            ngx_add_timer(event, 1);
        }
        OK
    })
}

unsafe extern "C" fn look(event: *mut ngx_event_t) {
    guard((), || {
        // SAFETY: the cycle in use, which is another one after a reload without a master.
        let cycle = unsafe { ngx_cycle };
        // SAFETY: nginx replaces the cycle only by one whose configuration was read; its log goes with it.
        unsafe {
            (*event).log = (*cycle).log;
            if let Some(main) = main_of_cycle(cycle) {
                look_at(main, (*cycle).log);
            }
        }
    });
    // SAFETY: the event is the one that `start` made, and is not set while it runs.
    unsafe { ngx_add_timer(event, EVERY_MS) };
}

/// # Safety
/// `log` is a log of nginx.
unsafe fn look_at(main: &MainConf, log: *mut ngx_log_t) {
    for file in &main.files {
        // Nobody holds one across a turn of the event loop.
        let Ok(mut file) = file.try_borrow_mut() else { continue };
        let found = file.look(now());
        let path = file.path().display();
        let (level, line) = match found {
            VerifierReload::Unchanged => continue,
            VerifierReload::Taken { is_right_again: false, .. } => {
                (log::INFO, format!("\"{path}\" has changed and is used"))
            }
            VerifierReload::Taken { .. } => (log::NOTICE, format!("\"{path}\" is right again and is used")),
            VerifierReload::Kept { why, .. } => {
                let remedy = why.remedy();
                (log::ERR, format!("{why}; its revocations and cut-offs are used, and the former keys; {remedy}"))
            }
        };
        // SAFETY: the caller's promise.
        unsafe { log::write(log, level, || line) };
    }
}
