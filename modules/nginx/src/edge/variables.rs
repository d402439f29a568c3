//! `$auth_ticket_openid` and the others.

use nginx_sys::{
    NGX_HTTP_VAR_NOCACHEABLE, ngx_conf_t, ngx_http_add_variable, ngx_http_request_t, ngx_http_variable_value_t,
    ngx_int_t,
};

use super::conf::{Mode, location_of};
use super::{ERROR, OK, guard, request, text};

/// `$auth_ticket_error`; the other variables are indices of `IDENTITY_HEADERS`.
const ERROR_NAME: usize = usize::MAX;

const VARIABLES: [(&str, usize); 9] = [
    ("auth_ticket_appid", 0),
    ("auth_ticket_platform", 1),
    ("auth_ticket_openid", 2),
    ("auth_ticket_unionid", 3),
    ("auth_ticket_phone", 4),
    ("auth_ticket_claims", 5),
    ("auth_ticket_login_id", 6),
    ("auth_ticket_expires_at", 7),
    ("auth_ticket_error", ERROR_NAME),
];

/// Makes them known, before the configuration is read.
pub(super) unsafe extern "C" fn add(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard(ERROR, || {
        for (name, data) in VARIABLES {
            let mut name = text(name);
            // SAFETY: nginx copies the name. The variable is its own, and this is what belongs into it.
            unsafe {
                let variable = ngx_http_add_variable(cf, &raw mut name, NGX_HTTP_VAR_NOCACHEABLE as usize);
                if variable.is_null() {
                    return ERROR;
                }
                (*variable).get_handler = Some(evaluate);
                (*variable).data = data;
            }
        }
        OK
    })
}

/// In any phase, also before the access phase: the check is made for the first who asks.
unsafe extern "C" fn evaluate(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    guard(ERROR, || {
        // SAFETY: `r` and `value` are nginx's, and what is known of the request lives as long as its pool.
        unsafe {
            (*value).set_valid(0);
            (*value).set_not_found(1);
            let main = (*r).main;
            let checked = match request::recall(main) {
                Some(checked) => checked,
                None if location_of(r).mode() == Mode::Off => return OK,
                None => match request::checked(main) {
                    Some(checked) => checked,
                    None => return ERROR,
                },
            };
            let text = match data {
                ERROR_NAME => checked.rejection.map(|rejection| text(rejection.error())),
                at => checked.values.get(at).copied(),
            };
            if let Some(text) = text.filter(|text| text.len > 0) {
                (*value).set_len(u32::try_from(text.len).unwrap_or_default());
                (*value).data = text.data;
                (*value).set_no_cacheable(1);
                (*value).set_valid(1);
                (*value).set_not_found(0);
            }
        }
        OK
    })
}
