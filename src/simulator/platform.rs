//! What a simulated platform is to the simulator.

use std::sync::Arc;

use axum::Router;
use serde::Serialize;

use super::users::{MAX_APPID_LEN, Name, SimulatedUser};

/// One simulated platform: its own routes, and what tests may ask of it below `/_sim`.
pub(super) trait SimulatedPlatform: Send + Sync {
    /// As configurations name it.
    fn name(&self) -> &'static str;

    /// The names under which its interfaces are counted and have faults planned.
    fn interfaces(&self) -> &'static [&'static str];

    /// The routes of its interfaces, and those of its own below `/_sim/NAME/`.
    fn routes(self: Arc<Self>) -> Router;

    /// Whether a request is for this platform on a path that another has among its [`SimulatedPlatform::routes`], too. On both
    /// the appid decides.
    fn claims(&self, _path: &str, _appid: &str) -> bool {
        false
    }

    /// The routes for the requests that this platform claims.
    fn claimed_routes(self: Arc<Self>) -> Router {
        Router::new()
    }

    /// What everybody may know of a user.
    fn user(&self, appid: &str, name: &Name) -> SimulatedUser;

    /// A login code, as a client would get one.
    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError>;

    /// Forgets everything.
    fn forget(&self);

    /// A phone code, as a client would get one.
    fn phone_code(&self, _appid: String, _name: Name) -> Result<String, ControlError> {
        Err(ControlError::Unsupported)
    }

    /// What a client would get of the user, or what a test wants it to be.
    fn encrypt(&self, _appid: &str, _name: &Name, _content: DataContent) -> Result<DataForClient, ControlError> {
        Err(ControlError::Unsupported)
    }

    /// Ends the access tokens of one app, or of all, at once; says how many.
    fn expire_tokens(&self, _appid: Option<&str>, _errcode: Option<i64>) -> Result<u64, ControlError> {
        Err(ControlError::Unsupported)
    }

    /// Makes every `session_key` of a user stale; says how often that has happened.
    fn reset_session_key(&self, _name: &Name) -> Result<u64, ControlError> {
        Err(ControlError::Unsupported)
    }
}

/// What is to be encrypted.
pub(super) enum DataContent {
    UserInfo,
    Phone,
    /// An object that a test gives; `is_marked` if it has a watermark.
    Object {
        text: String,
        is_phone: bool,
        is_marked: bool,
    },
    /// Whatever a test gives.
    Text {
        text: String,
        is_phone: bool,
    },
}

/// Data as a client hands it on.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum DataForClient {
    Encrypted {
        #[serde(rename = "encryptedData")]
        encrypted_data: String,
        iv: String,
        #[serde(rename = "rawData", skip_serializing_if = "Option::is_none")]
        raw_data: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// One text, which the platform has signed.
    Signed { response: String },
}

/// Why the simulator's own interface refuses.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum ControlError {
    #[error("the body is cut off or above 64 KiB")]
    Cut,
    #[error("the body is not the expected JSON object: {0}")]
    Body(String),
    #[error("appid is not 1 to {MAX_APPID_LEN} visible ASCII characters")]
    Appid,
    #[error("name is not 1 to {max} visible ASCII characters without a dash", max = Name::MAX_LEN)]
    Name,
    #[error("data is neither an object nor a text")]
    Data,
    #[error("fault is not err-N, slow-MILLISECONDS, http-500, garbage, hang or cut")]
    Fault,
    #[error("path does not begin with / and belong to a platform")]
    Path,
    #[error("the simulator has no room for another answer; DELETE /_sim/answers")]
    FullOfAnswers,
    #[error("answer is neither an object nor a text")]
    Answer,
    #[error("the simulator remembers no more users with a reset session_key; POST /_sim/reset, or restart it")]
    Full,
    #[error("the platform has no such thing")]
    Unsupported,
    #[error("the simulator has no such platform")]
    Platform,
    #[error("endpoint is none of {0}")]
    Endpoint(String),
    #[error("the public key is not RSA of 2048 bits or more, as PEM (BEGIN PUBLIC KEY) or base64")]
    PublicKey,
    #[error("the AES key is not base64 of 16 bytes, or the app has none; POST /_sim/alipay/app sets it")]
    AesKey,
    #[error("the operating system provides no randomness")]
    NoRandomness,
}
