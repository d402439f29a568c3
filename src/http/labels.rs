//! The names under which operators count: in metrics, in the log, in `/readyz`.

/// A limit that closes connections or refuses requests, as it is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Limit {
    MaxConnections,
    ConnectionsPerAddress,
    RequestsPerAddress,
    HeaderTimeout,
    HeaderSize,
    IdleTimeout,
    BodyTimeout,
    BodySize,
    LoginRatePerAddress,
    LoginRatePerApp,
    UpstreamConcurrent,
    ClaimsConcurrent,
    SessionKeyAsks,
    PhoneCalls,
    ClaimsAsks,
    WrongSecrets,
}

impl Limit {
    pub(crate) const ALL: [Self; 16] = [
        Self::MaxConnections,
        Self::ConnectionsPerAddress,
        Self::RequestsPerAddress,
        Self::HeaderTimeout,
        Self::HeaderSize,
        Self::IdleTimeout,
        Self::BodyTimeout,
        Self::BodySize,
        Self::LoginRatePerAddress,
        Self::LoginRatePerApp,
        Self::UpstreamConcurrent,
        Self::ClaimsConcurrent,
        Self::SessionKeyAsks,
        Self::PhoneCalls,
        Self::ClaimsAsks,
        Self::WrongSecrets,
    ];

    /// The name of its setting, where it has one of its own.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::MaxConnections => "max_connections",
            Self::ConnectionsPerAddress => "max_connections_per_address",
            Self::RequestsPerAddress => "requests_per_address",
            Self::HeaderTimeout => "header_timeout",
            Self::HeaderSize => "header_size",
            Self::IdleTimeout => "idle_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::BodySize => "body_size",
            Self::LoginRatePerAddress => "login_rate_per_address",
            Self::LoginRatePerApp => "login_rate_per_app",
            Self::UpstreamConcurrent => "upstream_max_concurrent",
            Self::ClaimsConcurrent => "claims_max_concurrent",
            Self::SessionKeyAsks => "session_key_asks",
            Self::PhoneCalls => "phone_calls",
            Self::ClaimsAsks => "claims_asks",
            Self::WrongSecrets => "wrong_secrets",
        }
    }
}

/// What a platform is called for. Each is an interface of its own: one may be out of order while the others are well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Interface {
    Exchange,
    Phone,
    VouchesFor,
    CheckSession,
    ResetSession,
}

impl Interface {
    pub(crate) const ALL: [Self; 5] =
        [Self::Exchange, Self::Phone, Self::VouchesFor, Self::CheckSession, Self::ResetSession];

    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Phone => "phone",
            Self::VouchesFor => "vouches_for",
            Self::CheckSession => "check_session",
            Self::ResetSession => "reset_session",
        }
    }
}

/// Which of the routes for gateways a check came by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    Verify,
    VerifyApp,
    ExtAuthz,
    ExtAuthzBelow,
    ExtAuthzApp,
    /// Something below them that is no route: some gateway's mistake, of which no 404 must be made.
    None,
}

impl Route {
    pub(crate) const ALL: [Self; 6] =
        [Self::Verify, Self::VerifyApp, Self::ExtAuthz, Self::ExtAuthzBelow, Self::ExtAuthzApp, Self::None];

    /// As `/openapi.json` writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "/v1/verify",
            Self::VerifyApp => "/v1/verify/{appid}",
            Self::ExtAuthz => "/v1/ext-authz",
            Self::ExtAuthzBelow => "/v1/ext-authz/{path}",
            Self::ExtAuthzApp => "/v1/ext-authz-app/{appid}/{path}",
            Self::None => "none",
        }
    }
}

/// What the owner is asked about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum HookEvent {
    /// A session begins.
    Login,
    /// It gets another ticket.
    Renewal,
}

impl HookEvent {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Renewal => "renewal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = Limit::ALL.iter().map(|limit| limit.as_str()).collect();
        assert_eq!(names.len(), Limit::ALL.len());
    }
}
