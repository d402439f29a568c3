//! What `WeChat`'s numbers mean. Most mean the same on every interface; where one does not, the interface says so.

use std::net::IpAddr;

use crate::platform::app_client::BUSY_RETRY_AFTER_S;
use crate::platform::error::address_in;
use crate::platform::{Errcode, ErrorDetail, FailedReason, PlatformError, Rid};

/// A code of another app than the one that asks.
const OTHER_APP: i64 = 40013;
/// `Retry-After` when the app's quota for this minute is gone.
const MINUTE_RETRY_AFTER_S: u64 = 60;
/// `Retry-After` when the day's quota is gone: it comes back at midnight, or when an operator has it cleared.
const QUOTA_RETRY_AFTER_S: u64 = 600;

/// An answer with an error code, before an interface has said what that means. Of the wording it holds only what was recognised.
pub(crate) struct ErrorAnswer {
    errcode: i64,
    rid: Option<Rid>,
    address: Option<IpAddr>,
}

impl ErrorAnswer {
    pub(super) fn new(errcode: i64, errmsg: &str) -> Self {
        let address = (errcode == 40164).then(|| address_in(errmsg)).flatten();
        Self { errcode, rid: rid_in(errmsg), address }
    }

    pub(crate) fn errcode(&self) -> i64 {
        self.errcode
    }

    /// Whether the platform did not look at the request, because the access token with it is not, or no longer, good.
    pub(super) fn blames_the_access_token(&self) -> bool {
        matches!(self.errcode, 40001 | 40014 | 42001)
    }

    /// As almost all interfaces mean it.
    pub(crate) fn in_general(self) -> PlatformError {
        match self.errcode {
            // 42003 is the word for "timed out" in the table that all of WeChat's interfaces share.
            40029 | 42003 => PlatformError::InvalidCode(self.detail()),
            40163 => PlatformError::CodeUsed(self.detail()),
            40226 | 50002 => PlatformError::UserBlocked(self.detail()),
            45011 => PlatformError::RateLimited(self.detail()),
            -1 => self.busy(BUSY_RETRY_AFTER_S),
            45009 => self.busy(QUOTA_RETRY_AFTER_S),
            40002 | 40013 | 40125 | 40164 | 40243 | 41001 | 41002 | 41004 | 41008 | 43002 | 48001 | 48004 | 61003
            | 61004 | 89503 | 89506 | 89507 => self.misconfigured(),
            _ => PlatformError::Failed(FailedReason::UnknownErrcode(self.detail())),
        }
    }

    /// As the interface for access tokens means it: 40001 is about the secret there, 45011 about the app.
    pub(super) fn of_an_access_token(self) -> PlatformError {
        match self.errcode {
            40001 => self.misconfigured(),
            45011 => self.busy(MINUTE_RETRY_AFTER_S),
            _ => self.in_general(),
        }
    }

    /// As the interface for third-party platforms means it: their access token is the owner's to keep fresh.
    pub(super) fn of_a_component(self) -> PlatformError {
        match self.errcode {
            40001 | 40014 | 41018 | 41021 | 42001 => self.misconfigured(),
            _ => self.in_general(),
        }
    }

    /// As the interface for phone numbers means it: 40003 is a code of another user than the openid's, and a spent code is
    /// as bad as none. 40013 stays what it is elsewhere: an operator has to look, though a code of another app causes it, too.
    pub(super) fn of_a_phone_code(self) -> PlatformError {
        match self.errcode {
            40003 | 40163 => PlatformError::InvalidCode(self.detail()),
            OTHER_APP => PlatformError::Misconfigured { address: None, detail: self.detail(), client_may_cause: true },
            _ => self.in_general(),
        }
    }

    pub(crate) fn detail(&self) -> ErrorDetail {
        ErrorDetail::new(self.errcode, self.rid.clone())
    }

    fn misconfigured(self) -> PlatformError {
        PlatformError::Misconfigured { address: self.address, detail: self.detail(), client_may_cause: false }
    }

    fn busy(self, retry_after_s: u64) -> PlatformError {
        PlatformError::Busy { detail: self.detail(), retry_after_s }
    }
}

/// Whether the app's secret is what the platform does not accept.
pub(super) const fn blames_the_secret(errcode: Option<&Errcode>) -> bool {
    matches!(errcode, Some(Errcode::Number(40001 | 40125 | 40243)))
}

/// What an operator does about a [`PlatformError::Misconfigured`].
pub(super) fn remedy(errcode: Option<&Errcode>, address: Option<IpAddr>, client_may_cause: bool) -> String {
    if client_may_cause {
        return "the phone code is not of this appid; check that the appid is the one of the mini-program that sends such \
                codes, and that phone numbers are enabled for it on mp.weixin.qq.com"
            .to_owned();
    }
    if let Some(address) = address {
        return format!("add this server's IP {address} to the app's API IP allow-list on mp.weixin.qq.com");
    }
    let remedy = match errcode.and_then(Errcode::as_number) {
        Some(40013) => "the platform does not know this appid; check it in the configuration",
        Some(40001 | 40125) => {
            "the app secret is wrong; compare it with the one on mp.weixin.qq.com, or reset it there"
        }
        Some(40164 | 61004) => "add this server's IP to the app's API IP allow-list on mp.weixin.qq.com",
        Some(40243) => "the app secret is frozen; unfreeze it on mp.weixin.qq.com",
        Some(48001 | 48004 | 61003) => "the app may not use this interface; look for notices on mp.weixin.qq.com",
        Some(89503 | 89506 | 89507) => {
            "the app's administrator has to allow this server's IP; look for messages in WeChat"
        }
        _ => "the platform misses a parameter that was sent; is something changing requests on their way?",
    };
    remedy.to_owned()
}

/// The request id at the end of an errmsg: `rid: ` and three groups of hex digits. Any other form is left alone.
fn rid_in(errmsg: &str) -> Option<Rid> {
    let (_, rest) = errmsg.rsplit_once("rid: ")?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit() && c != '-').unwrap_or(rest.len());
    let rid = rest.get(..end)?;
    let groups = rid.split('-').filter(|group| matches!(group.len(), 1..=8)).count();
    (groups == 3 && rid.split('-').count() == 3).then(|| Rid::parse(rid))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_request_id_is_shown() {
        for (errmsg, rid) in [
            ("invalid code, rid: 652d44d0-0e4a1b2c-00000001", Some("652d44d0-0e4a1b2c-00000001")),
            (
                "invalid code hint: [qigBTVNre-vXl5ra] rid: 6437cc6f-48613c7c-0bdbbd0d",
                Some("6437cc6f-48613c7c-0bdbbd0d"),
            ),
            ("rid: 1-2-3]", Some("1-2-3")),
            ("invalid code", None),
            ("rid: ", None),
            ("rid: 5ecretcanary", None),
            ("rid: 652d44d0-0e4a1b2c", None),
            ("rid: 652d44d0-0e4a1b2c-1-1", None),
            ("rid: 652d44d01-0e4a1b2c-1", None),
            ("rid: --", None),
            ("rid: é", None),
        ] {
            assert_eq!(rid_in(errmsg).map(|rid| rid.to_string()).as_deref(), rid, "{errmsg}");
        }
    }

    #[test]
    fn a_number_means_what_its_interface_says() {
        let meanings = |errcode| {
            [ErrorAnswer::in_general, ErrorAnswer::of_an_access_token, ErrorAnswer::of_a_phone_code].map(|meaning| {
                let error = meaning(ErrorAnswer::new(errcode, ""));
                assert_eq!(error.errcode(), Some(&Errcode::Number(errcode)));
                format!("{error:?}").split(['(', ' ']).next().unwrap().to_owned()
            })
        };
        for (errcode, expected) in [
            (-1, ["Busy", "Busy", "Busy"]),
            (40001, ["Failed", "Misconfigured", "Failed"]),
            (40003, ["Failed", "Failed", "InvalidCode"]),
            (40013, ["Misconfigured", "Misconfigured", "Misconfigured"]),
            (40029, ["InvalidCode", "InvalidCode", "InvalidCode"]),
            (40163, ["CodeUsed", "CodeUsed", "InvalidCode"]),
            (40164, ["Misconfigured", "Misconfigured", "Misconfigured"]),
            (45009, ["Busy", "Busy", "Busy"]),
            (45011, ["RateLimited", "Busy", "RateLimited"]),
            (89503, ["Misconfigured", "Misconfigured", "Misconfigured"]),
            (87009, ["Failed", "Failed", "Failed"]),
        ] {
            assert_eq!(meanings(errcode), expected, "{errcode}");
        }
    }
}
