//! What a server is made from: apps, services, and everything that the routes need to know of the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use crate::claims::WebOrigin;
use crate::hook::Hook;
use crate::http::services::claim_template::ClaimTemplate;
use crate::http::transport::peer::TrustedProxy;
use crate::jwt::ACCESS_TOKEN_TYPE;
use crate::keyring::AppId;
use crate::platform::Platform;
use crate::secret::SecretText;
use crate::ticket::Policy;

/// One mini-program that the server serves.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "what callers configure for an app")]
pub struct App {
    /// Its id.
    pub id: AppId,
    /// Its platform, with the app's secret inside.
    pub platform: Box<dyn Platform>,
    /// Which identifier of the user is the `sub` of tokens.
    pub subject: Subject,
}

/// An identifier of a user.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "what platforms give")]
pub enum Subject {
    /// The user's id within one app.
    #[default]
    Openid,
    /// The user's id across the apps of one owner.
    Unionid,
}

/// A back-end service that may introspect tickets and exchange them for JWTs.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "what callers configure for a service")]
pub struct Service {
    /// Its client id.
    pub id: String,
    /// Its client secret.
    pub secret: SecretText,
    /// The apps whose tickets it may see.
    pub apps: Vec<AppId>,
    /// Whether it may have data signed with the `session_key` of a ticket.
    pub may_sign: bool,
}

/// JWTs for services.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "settings that callers fill in")]
pub struct JwtSettings {
    /// A JWT's life, in seconds; its key's `max_ttl_s` may shorten it.
    pub ttl_s: u64,
    /// Whom JWTs may be for; names differ.
    pub audiences: Vec<Audience>,
    /// Whether the phone number goes into JWTs.
    pub phone: bool,
    /// The `typ` of access tokens and assertions.
    pub typ: TokenType,
}

/// What an access token or an assertion calls itself in its header.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the two that consumers take")]
pub enum TokenType {
    /// `at+jwt` (RFC 9068 section 2.1): no other kind of JWT is taken for one.
    #[default]
    AtJwt,
    /// `JWT`, for consumers that refuse the other.
    Jwt,
}

impl TokenType {
    /// The text in the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtJwt => ACCESS_TOKEN_TYPE,
            Self::Jwt => "JWT",
        }
    }
}

/// Five minutes, for nobody.
impl Default for JwtSettings {
    fn default() -> Self {
        Self { ttl_s: 300, audiences: Vec::new(), phone: false, typ: TokenType::AtJwt }
    }
}

/// Whom a JWT is for: services that take each other's, and whose users they know.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Audience {
    /// The `aud` of its JWTs.
    pub name: String,
    /// The apps whose tickets are exchanged for its JWTs. A service that looks at `sub` alone would mix users of several.
    pub apps: Vec<AppId>,
    /// Whether the mini-program itself may ask for a JWT.
    pub is_public: bool,
    /// What `scope` may ask for (RFC 6749 section 3.3).
    pub scopes: Vec<String>,
    /// What its JWTs say besides.
    pub claims: ClaimTemplate,
}

impl Audience {
    /// For services with a secret, without scopes and claims of its own.
    pub fn new(name: impl Into<String>, apps: impl IntoIterator<Item = AppId>) -> Self {
        Self {
            name: name.into(),
            apps: apps.into_iter().collect(),
            is_public: false,
            scopes: Vec::new(),
            claims: ClaimTemplate::default(),
        }
    }
}

/// The routes of `[compat]`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "settings that callers fill in")]
pub struct CompatSettings {
    /// Whether they are there.
    pub enabled: bool,
    /// Whether a ticket needs a proven phone number.
    pub require_phone: bool,
}

/// What the routes need to know of the configuration.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "settings that callers fill in")]
pub struct Settings {
    /// How long tickets and sessions live.
    pub policy: Policy,
    /// Whether `/v1/verify` without an appid passes tickets of any of several apps.
    pub any_app: bool,
    /// Of several apps the one that a login, or `/v1/verify`, without an appid is for.
    pub default_app: Option<AppId>,
    /// Whom the JWT on a 200 of `/v1/verify` is for, for tickets of each app; the others have none. Needs an `issuer`.
    ///
    /// Who takes two apps' must look at the appid as well.
    pub assertion_audiences: BTreeMap<AppId, String>,
    /// Whether a phone number that came encrypted is taken only after the platform has confirmed the ciphertext.
    pub phone_check_origin: bool,
    /// That answers of the simulator count although others than this machine reach the server, for operators to be warned of;
    /// what allows them is each platform's [`Outbound`](crate::platform::Outbound).
    pub allow_simulator: bool,
    /// The routes of `[compat]`.
    pub compat: CompatSettings,
    /// Which web pages may call the routes for clients: origins, `*` for all, or none.
    pub cors_origins: Vec<String>,
    /// Which web pages may take over a session from a mini-program.
    pub handover_origins: Vec<WebOrigin>,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// What clients and apps may ask for.
    pub limits: ClientLimits,
    /// How clients and services reach the server, byte for byte: the issuer of JWTs.
    pub issuer: Option<String>,
    /// JWTs for services.
    pub jwt: JwtSettings,
    /// Whom to ask for the owner's own claims; needs `issuer`.
    pub hook: Option<Arc<Hook>>,
}

/// Tickets of two hours, sessions of thirty days, and nothing that has to be turned on.
impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy { ttl_s: 2 * 3600, max_session_s: 30 * 86400 },
            any_app: false,
            default_app: None,
            assertion_audiences: BTreeMap::new(),
            phone_check_origin: true,
            allow_simulator: false,
            compat: CompatSettings::default(),
            cors_origins: Vec::new(),
            handover_origins: Vec::new(),
            body_timeout: Duration::from_secs(10),
            limits: ClientLimits::default(),
            issuer: None,
            jwt: JwtSettings::default(),
            hook: None,
        }
    }
}

impl Settings {
    /// Whether the server is to sign JWTs.
    pub(crate) fn signs(&self) -> bool {
        !self.assertion_audiences.is_empty() || !self.jwt.audiences.is_empty()
    }
}

/// What is logged from now on, once it is called.
pub type LogChange = Box<dyn FnOnce() + Send>;

/// Chooses what is logged, and knows how much was lost.
pub trait LogControl: fmt::Debug + Send + Sync {
    /// Makes ready what a text like that of `RUST_LOG` asks for; `None` if it is not understood.
    fn prepare(&self, directives: &str) -> Option<LogChange>;

    /// How many lines were dropped since the start, since nobody read them.
    fn lines_dropped(&self) -> u64;
}

/// What clients and apps may ask for. Nothing is limited by default.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "settings that callers fill in")]
pub struct ClientLimits {
    /// Most open connections of one address; behind a trusted proxy, most requests of one address in flight. 0 is no limit.
    pub max_connections_per_address: usize,
    /// How often one address may log in to one app.
    pub login_rate_per_address: Option<Rate>,
    /// How often all users of one app may log in.
    pub login_rate_per_app: Option<Rate>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<TrustedProxy>,
}

/// How often something may happen: `count` times at once, and after that as often in each `per`, evenly.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "two numbers that callers fill in")]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time; at least a nanosecond for each.
    pub per: Duration,
}

impl From<Rate> for Quota {
    fn from(Rate { count, per }: Rate) -> Self {
        let each = (per / count.get()).max(Duration::from_nanos(1));
        Self::with_period(each).expect("it is not zero").allow_burst(count)
    }
}
