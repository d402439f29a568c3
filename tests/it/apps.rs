//! Several apps behind one server: no user of one can be taken for one of another, and nobody takes anything from another
//! app's users.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use auth_ticket::keyring::{AppId, LoginId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{APPID, Answer, Builder, Call, OTHER_APPID, START, TestServer, session_of};

const APPS: [&str; 2] = [APPID, OTHER_APPID];
const SECRET: &str = "a-long-secret-of-services";
/// Services, and whose tickets they may see.
const SERVICES: [(&str, &[&str]); 3] = [("first", &[APPID]), ("second", &[OTHER_APPID]), ("both", &APPS)];
/// Audiences, the apps that they know, and whether mini-programs may ask.
const AUDIENCES: [(&str, &[&str], bool); 3] =
    [("orders", &[APPID], true), ("stock", &[OTHER_APPID], false), ("billing", &APPS, true)];

fn two_apps() -> Builder {
    let assertions = |settings: &mut auth_ticket::http::Settings| {
        for appid in APPS {
            settings.assertion_audiences.insert(AppId::parse(appid).unwrap(), format!("gateway-{appid}"));
        }
    };
    let server = TestServer::builder().two_apps().compat().settings(assertions);
    let server = SERVICES.iter().fold(server, |server, (id, apps)| server.service_of(id, SECRET, apps));
    AUDIENCES.iter().fold(server, |server, (name, apps, is_public)| server.audience_of(name, apps, *is_public))
}

/// The claims of a JWT, whose signature others look at.
fn claims(jwt: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn get(server: &TestServer, path: &str, ticket: &str) -> Answer {
    server.call(Call::get(path).ticket(ticket)).await
}

async fn exchange(server: &TestServer, client: &str, audience: &str, ticket: &str) -> Answer {
    let form = format!(
        "{client}&audience={audience}&grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token_type=\
         urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}"
    );
    server.call(Call::post("/v1/token").form(&form)).await
}

/// What a token says, which has to be of `audience` and of an app that this knows; `None` if there is no token.
fn told(answer: &Answer, audience: &str, app: &str) -> Option<Value> {
    if answer.status != 200 {
        assert!(matches!(&*answer.text("error"), "invalid_target" | "invalid_request"), "{answer:?}");
        return None;
    }
    let claims = claims(&answer.text("access_token"));
    assert_eq!((&claims["aud"], &claims["appid"]), (&json!(audience), &json!(app)));
    Some(claims)
}

#[tokio::test]
async fn a_check_for_one_app_passes_no_user_of_another() {
    let server = two_apps().start().await;
    for of in APPS {
        let ticket = server.ticket_at(of, "alice").await;
        let openid = server.session(&ticket).await.text("openid");
        for wanted in APPS {
            for path in [
                format!("/v1/verify/{wanted}"),
                format!("/v1/ext-authz-app/{wanted}/v1/verify/{of}?appid={of}"),
                format!("/v1/ext-authz-app/{wanted}"),
            ] {
                let call = Call::get(&path).ticket(&ticket).header("x-auth-appid", of);
                let answer = server.call(call).await;
                if wanted != of {
                    answer.is_error("wrong_app");
                    continue;
                }
                answer.is_openid(&openid);
                assert_eq!(answer.header("x-auth-appid"), Some(of), "{path}");
                let claims = claims(answer.header("x-auth-assertion").unwrap());
                let told = (&claims["aud"], &claims["appid"], &claims["client_id"]);
                assert_eq!(told, (&json!(format!("gateway-{of}")), &json!(of), &json!(of)), "{path}");
            }
        }
        for path in ["/v1/verify", "/v1/ext-authz", "/v1/ext-authz/orders/1"] {
            get(&server, path, &ticket).await.is_error("app_required");
        }
    }
}

#[tokio::test]
async fn the_default_app_is_meant_where_none_is_named() {
    let server = two_apps().default_app().start().await;
    let first = server.call(Call::login(&server.code_for("alice"))).await.ticket();
    let empty = json!({ "code": server.code_for("alice"), "appid": "" });
    let second = server.call(Call::post("/v1/login").json(&empty)).await.ticket();
    let handle = server.call(Call::get(&format!("/miniLogin/login.ajax?code={}", server.code_for("alice")))).await;
    let form = format!("openid={}&unionid=&phoneNo=", handle.json()["data"]["openid"].as_str().unwrap());
    let third = server.call(Call::post("/miniLogin/loginCheck.ajax").form(&form)).await;
    let third = third.json()["data"]["AUTH_TICKET"].as_str().unwrap().to_owned();
    for ticket in [first, second, third] {
        for path in ["/v1/verify", "/v1/ext-authz", "/v1/ext-authz/orders/1"] {
            assert_eq!(get(&server, path, &ticket).await.is_ok().header("x-auth-appid"), Some(APPID), "{path}");
        }
    }
    let other = server.ticket_at(OTHER_APPID, "alice").await;
    for path in ["/v1/verify", "/v1/ext-authz", "/v1/ext-authz/orders/1"] {
        get(&server, path, &other).await.is_error("wrong_app");
    }
    get(&server, &format!("/v1/verify/{OTHER_APPID}"), &other).await.is_ok();
    // Where every app is meant, none is the default.
    let server = two_apps().default_app().any_app().start().await;
    let other = server.ticket_at(OTHER_APPID, "alice").await;
    assert_eq!(get(&server, "/v1/verify", &other).await.is_ok().header("x-auth-appid"), Some(OTHER_APPID));
}

#[tokio::test]
async fn an_audience_gets_no_token_for_a_user_of_an_app_that_it_does_not_know() {
    let server = two_apps().start().await;
    for app in APPS {
        let ticket = server.ticket_at(app, "alice").await;
        for (audience, known, is_public) in AUDIENCES {
            for (id, seen) in SERVICES {
                let client = format!("client_id={id}&client_secret={SECRET}");
                let answer = exchange(&server, &client, audience, &ticket).await;
                let expected = known.contains(&app) && seen.contains(&app);
                assert_eq!(told(&answer, audience, app).is_some(), expected, "{id}, {audience}, {app}");
                if seen.contains(&app) && !known.contains(&app) {
                    answer.is_error("invalid_target");
                }
            }
            for client in APPS {
                let answer = exchange(&server, &format!("client_id={client}"), audience, &ticket).await;
                let expected = client == app && is_public && known.contains(&app);
                assert_eq!(told(&answer, audience, app).is_some(), expected, "{client}, {audience}, {app}");
            }
        }
        for (id, seen) in SERVICES {
            let form = format!("client_id={id}&client_secret={SECRET}&token={ticket}");
            let answer = server.call(Call::post("/v1/introspect").form(&form)).await.json();
            assert_eq!(answer["active"], json!(seen.contains(&app)), "{id}, {app}: {answer}");
            assert!(answer["active"] == false || answer["appid"] == app, "{answer}");
        }
    }
}

#[tokio::test]
async fn scopes_are_granted_where_the_audience_has_them() {
    let with_scopes = |settings: &mut auth_ticket::http::Settings| {
        settings.jwt.audiences[0].scopes = vec!["read".to_owned(), "write".to_owned()];
    };
    let server = two_apps().settings(with_scopes).start().await;
    let ticket = server.ticket_for("alice").await;
    let client = |scope: &str| format!("client_id=first&client_secret={SECRET}&scope={scope}");
    for (audience, asked, granted) in [
        ("orders", "", Some(None)),
        ("orders", "read", Some(Some("read"))),
        ("orders", "write+read+write", Some(Some("write read"))),
        ("orders", "read+admin", None),
        ("orders", "read++write", None),
        ("billing", "read", None),
    ] {
        let answer = exchange(&server, &client(asked), audience, &ticket).await;
        let Some(granted) = granted else {
            answer.is_error("invalid_scope");
            continue;
        };
        let granted = granted.map_or(Value::Null, |scope| json!(scope));
        assert_eq!((&answer.json()["scope"], &claims(&answer.text("access_token"))["scope"]), (&granted, &granted));
    }
    let metadata = server.call(Call::get("/.well-known/oauth-authorization-server")).await.json();
    assert_eq!(metadata["scopes_supported"], json!(["read", "write"]));
}

#[tokio::test]
async fn what_belongs_to_a_user_of_one_app_is_nothing_to_the_other() {
    let server = two_apps().start().await;
    let made = async |what: &str, app: &str| server.simulator(what, &json!({ "appid": app, "name": "alice" })).await;
    for (own, other) in [(APPID, OTHER_APPID), (OTHER_APPID, APPID)] {
        let ticket = server.ticket_at(own, "alice").await;
        // Codes are of one app, for logins and for phone numbers.
        let login = json!({ "code": made("code", other).await["code"], "appid": own });
        assert_ne!(server.call(Call::post("/v1/login").json(&login)).await.status, 200);
        let code = json!({ "code": made("phone-code", other).await["code"] });
        assert_ne!(server.call(Call::post("/v1/phone").ticket(&ticket).json(&code)).await.status, 200);
        let data = made("encrypt", other).await;
        let data = json!({ "encryptedData": data["encryptedData"], "iv": data["iv"] });
        server.call(Call::post("/v1/userdata").ticket(&ticket).json(&data)).await.is_error("bad_user_data");
        // A renewal changes nothing of who it is.
        let renewed = server.call(Call::post("/v1/renew").ticket(&ticket)).await.ticket();
        assert_eq!(server.session(&renewed).await.text("appid"), own);
        // Nor does a phone number of another app's login.
        let handle = async |app: &str| {
            let form = format!("code={}&appid={app}", server.code_for("alice"));
            let answer = server.call(Call::post("/miniLogin/login.ajax").form(&form)).await;
            answer.json()["data"]["openid"].as_str().unwrap().to_owned()
        };
        let (own_handle, other_handle) = (handle(own).await, handle(other).await);
        let form = format!("openid={other_handle}&code=phone-alice-{own}");
        let proof = server.call(Call::post("/miniLogin/phone.ajax").form(&form)).await;
        let proof = proof.json()["data"]["phoneNo"].as_str().unwrap().to_owned();
        let form = format!("openid={own_handle}&phoneNo={proof}");
        let ticket = server.call(Call::post("/miniLogin/loginCheck.ajax").form(&form)).await;
        let ticket = ticket.json()["data"]["AUTH_TICKET"].as_str().unwrap().to_owned();
        let session = server.session(&ticket).await.json();
        assert_eq!((&session["appid"], session.get("phone_number")), (&json!(own), None));
    }
}

/// Rule: what users of one app ask for, as fast as they can, comes out of no other app's budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_users_of_one_app_take_nothing_from_another() {
    const USERS: u64 = 2000;
    const AT_ONCE: u64 = 50;
    let server = two_apps().max_concurrent(4).start().await;
    let (is_over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let flood = join_all((0..AT_ONCE).map(|lane| {
        let (server, is_over, refused) = (&server, &is_over, &refused);
        async move {
            let mut round = 0;
            while !is_over.load(Ordering::Relaxed) || round * AT_ONCE < USERS {
                let login_id = LoginId::parse(&format!("{:016x}", round * AT_ONCE + lane)).unwrap();
                let ticket = server.sealed(&session_of(&server.openid("alice"), login_id, START));
                let login = Call::post("/v1/login").json(&json!({ "code": "slow-300-alice", "appid": APPID }));
                let call = match round % 4 {
                    0 => login,
                    _ => Call::post("/v1/session/check").ticket(&ticket),
                };
                let answer = server.call(call).await;
                refused.fetch_add(usize::from(matches!(answer.status, 429 | 503)), Ordering::Relaxed);
                round += 1;
            }
        }
    }));
    let others = async {
        for user in 0..20 {
            let ticket = server.ticket_at(OTHER_APPID, &format!("bob{user}")).await;
            server.call(Call::post("/v1/session/check").ticket(&ticket)).await.is_ok();
            server.call(Call::post("/v1/renew").ticket(&ticket)).await.is_ok();
            let code = json!({ "code": format!("phone-bob{user}-1") });
            server.call(Call::post("/v1/phone").ticket(&ticket).json(&code)).await.is_ok();
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(flood, others);
    let refused = refused.into_inner();
    assert!(refused > 200, "the first app was at its limits: {refused}");
}
