//! The simulated `WeChat`.

use std::sync::Arc;

use axum::Router;

use super::codes::{random_login_code, random_phone_code};
use super::platform::{ControlError, DataContent, DataForClient, SimulatedPlatform};
use super::users::{Name, SimulatedUser};

mod errcode;
mod interfaces;
pub(super) mod opendata;
mod payment;
mod routes;
mod tokens;
pub(super) mod web;
mod xpay;

pub(super) use interfaces::Wechat;

use interfaces::State;
use opendata::{Watermark, Written};

/// The interfaces, named as the last part of their paths.
const INTERFACES: &[&str] = &[
    "jscode2session",
    "component_jscode2session",
    "token",
    "stable_token",
    "getuserphonenumber",
    "checksession",
    "resetusersessionkey",
    "checkencryptedmsg",
    "query_order",
    "query_user_balance",
];

impl SimulatedPlatform for Wechat {
    fn name(&self) -> &'static str {
        "weapp"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        INTERFACES
    }

    fn routes(self: Arc<Self>) -> Router {
        routes::routes().with_state(self)
    }

    fn user(&self, appid: &str, name: &Name) -> SimulatedUser {
        SimulatedUser::named(appid, name)
    }

    /// As `wx.login` would get one.
    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_login_code().map_err(|_| ControlError::NoRandomness)?;
        let mut state = self.state();
        state.users.meet(&name, &appid);
        state.login_codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    /// As the phone button would get one.
    fn phone_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_phone_code().map_err(|_| ControlError::NoRandomness)?;
        let mut state = self.state();
        state.users.meet(&name, &appid);
        state.phone_codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    fn encrypt(&self, appid: &str, name: &Name, content: DataContent) -> Result<DataForClient, ControlError> {
        let now = self.world.now();
        let watermark = Watermark { timestamp: now.as_u64(), appid };
        let Written { text, is_phone, raw_data } = opendata::written(content, name, watermark);
        let mut state = self.state();
        state.users.meet(name, appid);
        let session_key = state.users.session_key(name, appid);
        let encrypted = opendata::encrypt(&session_key, &text).ok_or(ControlError::NoRandomness)?;
        if is_phone {
            state.messages.remember(appid, &encrypted.data, now);
        }
        let signature = raw_data.as_ref().map(|raw_data| opendata::sign_raw_data(raw_data, &session_key));
        Ok(DataForClient::Encrypted { encrypted_data: encrypted.data, iv: encrypted.iv, raw_data, signature })
    }

    fn expire_tokens(&self, appid: Option<&str>, errcode: Option<i64>) -> Result<u64, ControlError> {
        Ok(self.state().tokens.expire(appid, errcode.unwrap_or(42001), self.world.now()))
    }

    fn reset_session_key(&self, name: &Name) -> Result<u64, ControlError> {
        self.state().users.reset(name).ok_or(ControlError::Full)
    }

    fn forget(&self) {
        *self.state() = State::default();
    }
}
