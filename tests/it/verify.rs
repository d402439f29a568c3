//! What gateways ask: 200 with the identity in headers, 401 or 403, whatever is sent. The client checks the statuses.

use std::time::Duration;

use auth_ticket::claims::{PhoneNumber, PlatformId};
use auth_ticket::keyring::Purpose;
use serde_json::json;

use crate::support::{APPID, Call, OTHER_APPID, Plan, START, TestKey, TestServer, seal, session};

fn check() -> Call {
    Call::get("/v1/verify")
}

#[tokio::test]
async fn every_200_has_all_headers_and_empty_ones_where_there_is_no_value() {
    let server = TestServer::start().await;
    let mut claims = session("o-alice", START);
    for (unionid, phone) in [("", ""), ("u-alice", ""), ("", "+8613800000000"), ("u-alice", "+8613800000000")] {
        claims.unionid = PlatformId::parse(unionid).ok();
        claims.phone = PhoneNumber::parse(phone).ok();
        let answer = server.verify(&server.sealed(&claims)).await;
        let mut found: Vec<(&str, &str)> = answer
            .headers
            .iter()
            .map(|(name, value)| (&**name, std::str::from_utf8(value).unwrap()))
            .filter(|(name, _)| name.starts_with("x-"))
            .collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("x-auth-appid", APPID),
                ("x-auth-assertion", ""),
                ("x-auth-claims", ""),
                ("x-auth-expires-at", "1800007200"),
                ("x-auth-login-id", "00112233445566aa"),
                ("x-auth-openid", "o-alice"),
                ("x-auth-phone", phone),
                ("x-auth-platform", "weapp"),
                ("x-auth-unionid", unionid),
            ]
        );
        assert!(answer.is_ok().body.is_empty());
    }
}

#[tokio::test]
async fn a_ticket_comes_in_weixinauth_or_as_a_bearer_token() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let bearer = format!("Bearer {ticket}");
    let calls = [
        check().ticket(&ticket),
        check().header("WeiXinAuth", &ticket),
        check().header("weixinauth", format!(" \t {ticket}  ")),
        check().header("authorization", &bearer),
        check().header("authorization", format!("bearer {ticket}")),
        check().header("authorization", format!("BEARER {ticket}")),
        check().header("authorization", format!("bEaReR   {ticket} ")),
        check().ticket(&ticket).header("authorization", &bearer),
        check().ticket("").header("authorization", &bearer),
        check().ticket("  ").header("authorization", &bearer),
        check().ticket(&ticket).header("authorization", "Basic YTpi"),
        check().ticket(&ticket).header("authorization", "Digest username=x"),
        check().ticket(&ticket).header("authorization", "Bearer"),
        check().ticket(&ticket).header("authorization", ""),
        check().ticket(&ticket).header("authorization", b"\xff\xfe"),
    ];
    for call in calls {
        server.raw(call).await.is_openid(&server.openid("alice"));
    }
}

#[tokio::test]
async fn any_doubt_about_the_ticket_is_401() {
    let server = TestServer::start().await;
    let (ticket, other) = (server.ticket_for("alice").await, server.ticket_for("alice").await);
    let bearer = format!("Bearer {ticket}");
    let calls = [
        check(),
        check().ticket(""),
        check().header("authorization", "Basic YTpi"),
        check().header("authorization", format!("Basic {ticket}")),
        check().header("authorization", &ticket),
        check().header("authorization", format!("Bearer\t{ticket}")),
        check().header("authorization", format!("Bearer: {ticket}")),
        check().ticket(&ticket).header("authorization", format!("Bearer {other}")),
        check().ticket(&ticket).header("authorization", format!("bearer  {}", &other[..2])),
        check().ticket(&ticket).header("authorization", format!("Bearer {other}{}", "A".repeat(1024 - other.len()))),
        check().ticket("x").header("authorization", &bearer),
        check().ticket(&ticket).ticket(&ticket),
        check().ticket(&ticket).ticket(""),
        check().header("authorization", &bearer).header("Authorization", &bearer),
        check().header("authorization", &bearer).header("authorization", "Basic YTpi"),
        check().ticket(&ticket).header("authorization", "Basic YTpi").header("authorization", "Basic YTpi"),
        check().ticket(&format!("{ticket},{other}")),
        check().ticket(&format!("{ticket}, {ticket}")),
        check().header("authorization", format!("{bearer}, {bearer}")),
        check().header("authorization", format!("Bearer {ticket} {other}")),
        check().header("weixinauth", b"\xff\xfe\x80"),
        check().header("authorization", b"Bearer \xff\xfe"),
        check().ticket(&"A".repeat(8192)),
        check().ticket(&format!("{ticket}{}", "A".repeat(8192))),
        check().header("authorization", format!("Bearer {}", "/".repeat(8192))),
        check().header("cookie", format!("weixinauth={ticket}; AUTH_TICKET={ticket}")),
        check().header("x-auth-openid", server.openid("alice")).header("x-auth-appid", APPID),
        check().header("auth_ticket", &ticket),
        check().header("weixin-auth", &ticket),
        Call::get(&format!("/v1/verify?weixinauth={ticket}")),
        Call::post("/v1/verify").form(&format!("weixinauth={ticket}&AUTH_TICKET={ticket}")),
    ];
    for call in calls {
        assert_eq!(server.raw(call.clone()).await.is_error("invalid_ticket").status, 401, "{call:?}");
    }
}

#[tokio::test]
async fn beside_weixinauth_authorization_is_the_services_own_unless_it_bears_a_ticket() {
    let server = TestServer::start().await;
    let (ticket, other) = (server.ticket_for("alice").await, server.ticket_for("bob").await);
    let openid = server.openid("alice");
    let (jwt, long) =
        ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", format!("{other}{}", "A".repeat(1025 - other.len())));
    for token in
        [jwt, &long, "x", "A", "AP8", "Agx", "BQx", "aQx", "AQ.x", "AQ+/", "AQ==", "AQ x", "AQx,", "0123456789abcdef"]
    {
        let bearer = format!("Bearer {token}");
        server.raw(check().ticket(&ticket).header("authorization", &bearer)).await.is_openid(&openid);
        let renewed = server.raw(Call::post("/v1/renew").ticket(&ticket).header("authorization", &bearer)).await;
        assert_eq!(renewed.status, 200, "{token}");
        // weixinauth alone decides, also when it is not good; and alone it is a ticket that is not valid.
        for call in [check().ticket("x").header("authorization", &bearer), check().header("authorization", &bearer)] {
            let refused = server.raw(call).await;
            assert_eq!(refused.is_error("invalid_ticket").status, 401, "{token}");
            assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{token}");
        }
    }
    for scheme in ["", "AuthTicket ", "Token ", "Basic ", "Bearer: ", "Bearer\t"] {
        let call = check().ticket(&ticket).header("authorization", format!("{scheme}{other}"));
        server.raw(call).await.is_openid(&openid);
    }
    // A ticket of its own is another ticket, and a header given twice says nothing.
    let twice = check().ticket(&ticket).header("authorization", "Bearer x").header("authorization", "Bearer y");
    for call in [check().ticket(&ticket).header("authorization", format!("bEARER  {other}")), twice] {
        assert_eq!(server.raw(call).await.is_error("invalid_ticket").status, 401);
    }
}

#[tokio::test]
async fn who_writes_a_ticket_in_another_way_is_told_how_and_not_to_log_in_again() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let own_token = "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    let miswritten = [
        ("authorization", ticket.clone()),
        ("authorization", format!("AuthTicket {ticket}")),
        ("authorization", format!("authticket   {ticket} ")),
        ("authorization", format!("Token {ticket}")),
        ("authorization", format!("Bearer: {ticket}")),
        ("authorization", format!("Bearer\t{ticket}")),
        ("authorization", format!("Bearer Bearer {ticket}")),
        ("weixinauth", format!("Bearer {ticket}")),
        ("weixinauth", format!("bearer  {ticket}")),
        ("weixinauth", format!("AuthTicket {ticket}")),
    ];
    for (name, value) in miswritten {
        for path in ["/v1/verify", "/v1/session"] {
            let mut calls = vec![Call::get(path).header(name, &value)];
            if name == "weixinauth" {
                calls.extend(
                    [own_token, &format!("Bearer {ticket}"), &value]
                        .map(|token| Call::get(path).header(name, &value).header("authorization", token)),
                );
            }
            for call in calls {
                let refused = server.raw(call.clone()).await;
                assert_eq!(refused.is_error("invalid_ticket").status, 401, "{call:?}");
                let told = refused.text("error_description");
                assert_eq!(
                    told, "send the ticket as weixinauth: TICKET or as Authorization: Bearer TICKET",
                    "{call:?}"
                );
                // The ticket is not blamed: it may be good.
                assert_eq!(refused.header("www-authenticate"), Some("Bearer"), "{call:?}");
            }
        }
    }
    for (value, told) in [("Basic YTpi", "no ticket was sent"), ("Digest username=x", "no ticket was sent")] {
        assert_eq!(server.raw(check().header("authorization", value)).await.text("error_description"), told);
    }
}

#[tokio::test]
async fn a_forged_ticket_is_401() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let mut forged = vec![
        ticket[..ticket.len() - 1].to_owned(),
        ticket[1..].to_owned(),
        format!("{ticket}A"),
        format!("{ticket}="),
        format!("{ticket}%3D"),
        ticket.to_lowercase(),
        ticket.replace(['-', '_'], "+"),
        "e30".to_owned(),
        "eyJhbGciOiJub25lIn0.eyJvcGVuaWQiOiJyb290In0.".to_owned(),
        server.openid("alice"),
        "null".to_owned(),
        "A".repeat(182),
        "A".repeat(1024),
        "A".repeat(1025),
    ];
    for at in 0..ticket.len() {
        let other = if ticket.as_bytes()[at] == b'A' { "B" } else { "A" };
        forged.push(format!("{}{other}{}", &ticket[..at], &ticket[at + 1..]));
    }
    let mut connection = server.connect().await;
    for text in forged.into_iter().filter(|text| *text != ticket) {
        connection.call(&check().ticket(&text)).await.is_error("invalid_ticket");
    }
    connection.call(&check().ticket(&ticket)).await.is_ok();
}

#[tokio::test]
async fn a_ticket_of_other_keys_is_401() {
    let server = TestServer::builder().two_apps().any_app().start().await;
    let claims = session("o-alice", START);
    let mut stranger = Plan::one_key();
    stranger.keys[0].number = 9;
    server.verify(&server.sealed_by(&stranger, &claims, Purpose::Ticket)).await.is_error("invalid_ticket");
    let unconfigured = seal(&Plan::one_key(), "wxSomeOtherApp", &claims, Purpose::Ticket, START);
    server.verify(&unconfigured).await.is_error("invalid_ticket");
    let ticket = server.sealed(&claims);
    server.verify(&ticket).await.is_openid("o-alice");
    server.change_ring(|plan| plan.revoked.push(1));
    server.verify(&ticket).await.is_error("invalid_ticket");
}

#[tokio::test]
async fn a_login_handle_is_no_ticket() {
    let server = TestServer::builder().compat().start().await;
    let handle = server.sealed_by(&Plan::one_key(), &session("o-alice", START), Purpose::LoginHandle);
    server.verify(&handle).await.is_error("invalid_ticket");
    server.session(&handle).await.is_error("invalid_ticket");
    server.call(Call::post("/v1/renew").ticket(&handle)).await.is_error("invalid_ticket");
}

#[tokio::test]
async fn any_method_is_a_check() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    for method in [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH", "PURGE", "get",
        "X",
    ] {
        server.raw(Call::new(method, "/v1/verify").ticket(&ticket)).await.is_openid(&server.openid("alice"));
        server.raw(Call::new(method, &format!("/v1/verify/{APPID}")).ticket(&ticket)).await.is_ok();
        assert_eq!(server.raw(Call::new(method, "/v1/verify")).await.status, 401, "{method}");
    }
}

#[tokio::test]
async fn a_check_never_waits_for_a_body() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    for call in [
        check().header("content-length", "3"),
        Call::post("/v1/verify").header("content-length", "3"),
        Call::post("/v1/verify").header("content-length", "3").header("expect", "100-continue"),
        Call::post("/v1/verify").header("content-length", "9223372036854775807"),
        Call::post("/v1/verify").header("transfer-encoding", "chunked"),
        Call::post("/v1/verify").header("content-length", "3").header("content-type", "what/ever; x"),
        Call::post("/v1/verify").header("content-length", "3").body("", "abc"),
        Call::post("/v1/verify").body("application/json", "{\"half\":"),
        Call::post("/v1/verify").body("application/json", vec![b'x'; 100 << 10]),
    ] {
        let mut connection = server.connect().await;
        let answer = connection.call(&call.ticket(&ticket)).await;
        answer.is_openid(&server.openid("alice"));
        assert_eq!(connection.continues, 0);
        // A gateway that sent its next request after such a body would lose it.
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    }
}

#[tokio::test]
async fn nothing_but_the_ticket_and_the_routes_own_appid_decides() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    for call in [
        Call::get("/v1/verify?appid=wx0&x=%ff&%00"),
        Call::get("/v1/verify?"),
        Call::get(&format!("/v1/verify?{}", "q".repeat(10_000))),
        Call::get("http://other.example/v1/verify"),
        check().header("x-forwarded-uri", "/healthz").header("x-forwarded-method", "OPTIONS"),
        check().header("x-original-url", "/v1/login").header("x-forwarded-for", "203.0.113.1"),
        check().header("forwarded", "for=unix:").header("host", "b").header("x-http-method-override", "PUT"),
        check().header("x-auth-openid", "root").header("x-auth-phone", "+10000000").header("x_auth_openid", "root"),
        check().header("origin", "https://evil.example").header("access-control-request-method", "PUT"),
        check().header("content-encoding", "gzip").header("accept", "application/xml").header("range", "bytes=0-1"),
        check().header("if-none-match", "*").header("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT"),
        check().header("connection", "weixinauth, close"),
        check().header("upgrade", "websocket").header("connection", "upgrade"),
    ] {
        let with_ticket = server.raw(call.clone().ticket(&ticket)).await;
        with_ticket.is_openid(&server.openid("alice"));
        assert_eq!(with_ticket.header("x-auth-phone"), Some(""));
        assert_eq!(server.raw(call.clone()).await.status, 401, "{call:?}");
    }
}

#[tokio::test]
async fn a_ticket_of_another_app_is_403() {
    let server = TestServer::builder().two_apps().start().await;
    let route = |appid: &str| Call::get(&format!("/v1/verify/{appid}"));
    for (own, other) in [(APPID, OTHER_APPID), (OTHER_APPID, APPID)] {
        let ticket = server.ticket_at(own, "alice").await;
        assert_eq!(server.call(route(own).ticket(&ticket)).await.is_ok().header("x-auth-appid"), Some(own));
        server.call(route(other).ticket(&ticket)).await.is_error("wrong_app");
        server.call(route(own).ticket("x")).await.is_error("invalid_ticket");
        server.call(route("wxNobody").ticket(&ticket)).await.is_error("wrong_app");
        server.call(route(&own.to_uppercase()).ticket(&ticket)).await.is_error("wrong_app");
        server.call(route("wxNobody")).await.is_error("wrong_app");
    }
}

#[tokio::test]
async fn with_several_apps_the_bare_route_is_403_unless_any_app_is_set() {
    let server = TestServer::builder().two_apps().start().await;
    let ticket = server.ticket_at(OTHER_APPID, "alice").await;
    server.verify(&ticket).await.is_error("app_required");
    server.call(check()).await.is_error("app_required");
    let server = TestServer::builder().two_apps().any_app().start().await;
    for appid in [APPID, OTHER_APPID] {
        let ticket = server.ticket_at(appid, "alice").await;
        assert_eq!(server.verify(&ticket).await.is_ok().header("x-auth-appid"), Some(appid));
    }
}

#[tokio::test]
async fn below_the_route_there_is_401_and_403_and_nothing_else() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    for below in [
        "",
        "/",
        "//",
        "a/b",
        "a/",
        "a//",
        "a//b",
        "/a",
        "%",
        "%zz",
        "%ff",
        "%00",
        "%2e%2e",
        "..",
        "../login",
        "../../healthz",
        "%2F",
        "*",
        "{appid}",
        ":",
        ";",
        "a;b=c",
        "a,b",
        "%E4%BD%A0",
        "\u{7f51}",
        "%0d%0aX-Y:z",
        "wx 1",
    ] {
        let below = below.replace(' ', "%20");
        for method in ["GET", "OPTIONS", "PUT"] {
            let call = Call::new(method, &format!("/v1/verify/{below}"));
            assert_eq!(server.raw(call.clone()).await.status, 403, "{call:?}");
            assert_eq!(server.raw(call.clone().ticket(&ticket)).await.status, 403, "{call:?}");
        }
    }
    for tail in ["/", "/x", "//", "/..", "/%ff"] {
        let call = Call::get(&format!("/v1/verify/{APPID}{tail}")).ticket(&ticket);
        assert_eq!(server.raw(call.clone()).await.status, 403, "{call:?}");
    }
}

#[tokio::test]
async fn more_than_16_kib_of_headers_is_401_here_and_431_elsewhere() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    for (padding, is_too_much) in [(15 << 10, false), (16 << 10, true), (100 << 10, true)] {
        let padded = |call: Call| call.ticket(&ticket).header("x-padding", "x".repeat(padding));
        let check = server.raw(padded(check())).await;
        let session = server.raw(padded(Call::get("/v1/session"))).await;
        let unknown = server.raw(padded(Call::get("/v1/nothing"))).await;
        if is_too_much {
            check.is_error("invalid_ticket");
            session.is_error("headers_too_large");
            unknown.is_error("headers_too_large");
        } else {
            check.is_openid(&server.openid("alice"));
            session.is_ok();
            unknown.is_error("not_found");
        }
    }
}

#[tokio::test]
async fn a_cut_off_makes_tickets_revoked() {
    let before = START.plus(60).to_string();
    for entry in [
        json!({ "scope": "all", "before": before }),
        json!({ "scope": "app", "appid": APPID, "before": before }),
        json!({ "scope": "openid", "appid": APPID, "openid": "o-alice", "before": before }),
        json!({ "scope": "login", "login_id": "00112233445566aa" }),
    ] {
        let server = TestServer::builder().two_apps().any_app().start().await;
        let ticket = server.sealed(&session("o-alice", START));
        server.verify(&ticket).await.is_ok();
        server.cut_off(entry);
        let answer = server.verify(&ticket).await;
        assert_eq!(
            answer.is_error("ticket_revoked").header("www-authenticate"),
            Some("Bearer error=\"invalid_token\"")
        );
        server.session(&ticket).await.is_error("ticket_revoked");
        server.call(Call::post("/v1/renew").ticket(&ticket)).await.is_error("ticket_revoked");
    }
}

#[tokio::test]
async fn a_cut_off_spares_others_and_later_logins() {
    let server = TestServer::builder().two_apps().any_app().start().await;
    let (alice, bob) = (server.ticket_for("alice").await, server.ticket_for("bob").await);
    let elsewhere = server.ticket_at(OTHER_APPID, "alice").await;
    let before = START.plus(60).to_string();
    let openid = server.openid("alice");
    server.cut_off(json!({ "scope": "openid", "appid": APPID, "openid": openid, "before": before }));
    server.verify(&alice).await.is_error("ticket_revoked");
    server.verify(&bob).await.is_ok();
    server.verify(&elsewhere).await.is_ok();
    let again = json!({ "code": "demo-alice-again", "appid": APPID });
    server.call(Call::post("/v1/login").json(&again)).await.is_error("ticket_revoked");
    server.clock.advance(60);
    server.verify(&server.ticket_for("alice").await).await.is_openid(&openid);
}

#[tokio::test]
async fn a_connection_serves_check_after_check() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let mut connection = server.connect().await;
    for _ in 0..50 {
        connection.call(&check().ticket(&ticket)).await.is_openid(&server.openid("alice"));
        connection.call(&check()).await.is_error("invalid_ticket");
    }
    assert!(connection.is_silent_for(Duration::from_millis(1)).await);
}

#[tokio::test]
async fn a_ticket_never_outlives_its_key() {
    let mut plan = Plan::one_key();
    plan.keys[0] = TestKey { max_ttl_s: 600, ..plan.keys[0] };
    let server = TestServer::builder().plan(plan).start().await;
    let answer = server.call(Call::login("demo-alice-1")).await;
    assert_eq!(answer.field("expires_in"), 600);
    server.clock.advance(660);
    server.verify(&answer.ticket()).await.is_error("ticket_expired");
}
