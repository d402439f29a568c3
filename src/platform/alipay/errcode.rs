//! What Alipay's `code` and `sub_code` mean: <https://opendocs.alipay.com/common/02km9f>.

use serde::Deserialize;

use crate::platform::app_client::BUSY_RETRY_AFTER_S;
use crate::platform::{Errcode, ErrorDetail, FailedReason, PlatformError};

/// `Retry-After` when the app calls too often.
const LIMITED_RETRY_AFTER_S: u64 = 60;
/// The `code` of a success, where there is one.
const SUCCESS: &str = "10000";

/// An answer with an error. Of the wording it holds nothing.
pub(super) struct AlipayRefusal {
    code: String,
    sub_code: String,
}

impl AlipayRefusal {
    /// What the text of an object refuses, if it does: it has a `code`, and another one than that of a success.
    pub(super) fn of(object: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Codes {
            code: Option<String>,
            #[serde(alias = "subCode")]
            sub_code: Option<String>,
        }
        let Codes { code, sub_code } = serde_json::from_str(object).ok()?;
        let code = code.filter(|code| code != SUCCESS)?;
        Some(Self { code, sub_code: sub_code.unwrap_or_default() })
    }

    /// As the interface for login codes means it. A used code is as bad as none.
    pub(super) fn of_a_login_code(&self) -> PlatformError {
        match (&*self.code, &*self.sub_code) {
            ("40002", "isv.code-invalid") => PlatformError::InvalidCode(self.detail()),
            _ => self.in_general(),
        }
    }

    /// As the phone button means it: 40003 is a user who has not agreed, or an agreement that is over.
    pub(super) fn of_a_phone(&self) -> PlatformError {
        match (&*self.code, &*self.sub_code) {
            ("40003", "isv.invalid-auth-relations") => PlatformError::InvalidCode(self.detail()),
            _ => self.in_general(),
        }
    }

    fn in_general(&self) -> PlatformError {
        let detail = self.detail();
        let sub_code = self.sub_code.strip_prefix("isv.").unwrap_or(&self.sub_code);
        match (&*self.code, sub_code) {
            ("20000", _) => PlatformError::Busy { detail, retry_after_s: BUSY_RETRY_AFTER_S },
            ("40005", "app-call-limited" | "method-call-limited") => {
                PlatformError::Busy { detail, retry_after_s: LIMITED_RETRY_AFTER_S }
            }
            (code, sub_code) if blames_the_app(code, sub_code) => {
                PlatformError::Misconfigured { detail, address: None, client_may_cause: false }
            }
            _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
        }
    }

    /// The finer code, where there is one.
    fn detail(&self) -> ErrorDetail {
        let errcode = Errcode::parse_text(&self.sub_code).or_else(|| Errcode::parse_text(&self.code));
        errcode.map(|errcode| ErrorDetail::new(errcode, None)).unwrap_or_default()
    }
}

/// Whether an error is the app's or its owner's, whoever logs in; `sub_code` is without `isv.`.
fn blames_the_app(code: &str, sub_code: &str) -> bool {
    const REQUEST: [&str; 11] = [
        "invalid-app-id",
        "invalid-signature",
        "invalid-signature-type",
        "invalid-timestamp",
        "invalid-charset",
        "invalid-method",
        "invalid-parameter",
        "suspected-attack",
        "forbidden-api",
        "app-cert-expired",
        "not-online-app",
    ];
    match code {
        "20001" | "40006" => true,
        "40001" => sub_code.starts_with("missing-"),
        "40002" => REQUEST.contains(&sub_code),
        "40003" => sub_code == "missing-signature-config",
        _ => false,
    }
}

/// What an operator does about a [`PlatformError::Misconfigured`].
pub(super) fn remedy(errcode: Option<&Errcode>) -> &'static str {
    let Some(Errcode::Text(errcode)) = errcode else { return "look for notices on open.alipay.com" };
    match errcode.strip_prefix("isv.").unwrap_or(errcode) {
        "invalid-app-id" => "the platform does not know this appid; check it in the configuration",
        "invalid-signature" | "missing-signature-config" => {
            "the key in private_key_file is not the one whose public half open.alipay.com has for this app; upload that, or \
             name the right file"
        }
        "invalid-timestamp" => "the platform's clock is another one; compare this server's with NTP",
        "missing-encrypt-key" => "the app has no AES key; set one on open.alipay.com, and aes_key_env to it",
        "app-cert-expired" => {
            "the app's certificate has expired; this server signs with a key, so choose the key mode on open.alipay.com"
        }
        "not-online-app" => "the app is not online; publish it on open.alipay.com",
        "forbidden-api" | "insufficient-isv-permissions" => {
            "the app may not use this interface; add the feature to it on open.alipay.com"
        }
        _ => "the platform does not accept the request; look for notices and missing permissions on open.alipay.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_another_code_than_that_of_a_success_refuses() {
        for good in [r#"{"open_id":"o"}"#, r#"{"code":"10000","msg":"Success"}"#, "{}", "[]", "1"] {
            assert!(AlipayRefusal::of(good).is_none(), "{good}");
        }
        for (bad, expected) in [
            (r#"{"code":"40002","sub_code":"isv.code-invalid"}"#, "isv.code-invalid"),
            (r#"{"code":"40002","subCode":"isv.code-invalid"}"#, "isv.code-invalid"),
            (r#"{"code":"40004","msg":"5ecretcanary"}"#, "40004"),
            (r#"{"code":"40004","sub_code":"5ecret canary"}"#, "40004"),
        ] {
            let error = AlipayRefusal::of(bad).unwrap().of_a_login_code();
            assert_eq!(error.errcode().unwrap().to_string(), expected, "{bad}");
        }
    }
}
