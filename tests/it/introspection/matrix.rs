//! What introspection says of a ticket and of the access token made from it, whatever has become of them, to either service.

use serde_json::{Value, json};

use super::{OTHER_SECRET, SECRET, builder, exchange, part};
use crate::support::{APPID, Call, JWT_TTL_S, OTHER_APPID, Plan, START, TTL_S, TestKey, TestServer};

/// What has happened between the exchange and the question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Nothing,
    CutOff(&'static str),
    Rotation,
    TicketKeyRevoked,
    JwtKeyRevoked,
    TokenExpired,
    TicketExpired,
    Tampered,
    /// Both are of a server with the same keys that calls itself otherwise.
    OtherIssuer,
    /// Both are of a server that has other keys.
    OtherKeys,
    /// Both are of the second app.
    OtherApp,
}

/// A ticket and its access token.
struct Pair {
    ticket: String,
    token: String,
}

impl Pair {
    async fn of(server: &TestServer, appid: &str) -> Self {
        let (service, secret) = if appid == APPID { ("orders", SECRET) } else { ("mails", OTHER_SECRET) };
        let ticket = server.ticket_at(appid, "alice").await;
        let client = format!("client_id={service}&client_secret={secret}");
        let token = exchange(server, &client, &ticket).await.text("access_token");
        Self { ticket, token }
    }

    /// With one character changed in the middle of each.
    fn tampered(self) -> Self {
        let changed = |text: String| {
            let (before, after) = text.split_at(text.len() / 2);
            format!("{before}{}{}", if after.starts_with('A') { "B" } else { "A" }, &after[1..])
        };
        Self { ticket: changed(self.ticket), token: changed(self.token) }
    }
}

impl Fate {
    /// A server that is asked, and what it is asked about.
    async fn play(self) -> (TestServer, Pair) {
        let server = builder().start().await;
        let pair = match self {
            Self::OtherIssuer => {
                let name = |settings: &mut auth_ticket::http::Settings| {
                    settings.issuer = Some("https://other.example.com".to_owned());
                };
                Pair::of(&builder().settings(name).start().await, APPID).await
            }
            Self::OtherKeys => {
                let keys = vec![TestKey::new(7, START), TestKey::jwt(107, START)];
                Pair::of(&builder().plan(Plan { keys, ..Plan::one_key() }).start().await, APPID).await
            }
            Self::OtherApp => Pair::of(&server, OTHER_APPID).await,
            _ => Pair::of(&server, APPID).await,
        };
        match self {
            Self::CutOff(scope) => {
                let before = START.plus(1).to_string();
                server.cut_off(match scope {
                    "all" => json!({ "scope": scope, "before": before }),
                    "app" => json!({ "scope": scope, "appid": APPID, "before": before }),
                    "openid" => {
                        json!({ "scope": scope, "appid": APPID, "openid": server.openid("alice"), "before": before })
                    }
                    _ => json!({ "scope": scope, "login_id": part(&pair.token, 1)["login_id"] }),
                });
            }
            Self::Rotation => {
                server.change_ring(|plan| {
                    plan.keys.extend([TestKey::new(2, START.plus(1)), TestKey::jwt(102, START.plus(1))]);
                });
                server.clock.advance(2);
            }
            Self::TicketKeyRevoked => server.change_ring(|plan| plan.revoked.push(1)),
            Self::JwtKeyRevoked => server.change_ring(|plan| plan.revoked.push(101)),
            Self::TokenExpired => server.clock.advance(JWT_TTL_S),
            Self::TicketExpired => server.clock.advance(TTL_S),
            Self::Tampered => return (server, pair.tampered()),
            Self::Nothing | Self::OtherIssuer | Self::OtherKeys | Self::OtherApp => {}
        }
        (server, pair)
    }
}

#[tokio::test]
async fn a_ticket_and_its_token_are_active_where_they_should_be_and_nowhere_else() {
    const NONE: [bool; 2] = [false, false];
    // For the service of the first app, then for that of the second: the ticket, the token.
    for (fate, orders, mails) in [
        (Fate::Nothing, [true, true], NONE),
        (Fate::CutOff("all"), NONE, NONE),
        (Fate::CutOff("app"), NONE, NONE),
        (Fate::CutOff("openid"), NONE, NONE),
        (Fate::CutOff("login"), NONE, NONE),
        (Fate::Rotation, [true, true], NONE),
        (Fate::TicketKeyRevoked, [false, true], NONE),
        (Fate::JwtKeyRevoked, [true, false], NONE),
        (Fate::TokenExpired, [true, false], NONE),
        (Fate::TicketExpired, NONE, NONE),
        (Fate::Tampered, NONE, NONE),
        // A ticket says nothing of an issuer: replicas that share the keys share tickets.
        (Fate::OtherIssuer, [true, false], NONE),
        (Fate::OtherKeys, NONE, NONE),
        (Fate::OtherApp, NONE, [true, true]),
    ] {
        let (server, pair) = fate.play().await;
        for (service, secret, expected) in [("orders", SECRET, orders), ("mails", OTHER_SECRET, mails)] {
            for (text, is_active) in [&pair.ticket, &pair.token].into_iter().zip(expected) {
                for hint in ["", "&token_type_hint=access_token", "&token_type_hint=refresh_token"] {
                    let form = format!("client_id={service}&client_secret={secret}&token={text}{hint}");
                    let told: Value = server.call(Call::post("/v1/introspect").form(&form)).await.is_ok().json();
                    assert_eq!(told["active"], is_active, "{fate:?}, {service}: {text} {told}");
                    assert!(is_active || told == json!({ "active": false }), "and nothing more: {told}");
                }
            }
        }
    }
}
