//! The owner's user table: at a login and at each renewal his service is asked about the user, and what it says travels
//! in the ticket.

mod apps;
mod often;
mod owner;

use std::sync::Arc;
use std::time::Duration;

use auth_ticket::claims::PhoneNumber;
use auth_ticket::hook::{Hook, HookOptions};
use auth_ticket::http::Subject;
use auth_ticket::keyring::{KeyUse, LoginId};
use auth_ticket::ticket::Session;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::support::{APPID, Answer, Builder, Call, ISSUER, START, TestServer, session, session_of, stub, within_5_s};
use owner::{Owner, Question, Reply};

/// Above what any answer needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn hook_at(url: &str, limit: Duration, max_concurrent: usize) -> Hook {
    let options = HookOptions { url: url.parse().unwrap(), audience: url.to_owned(), timeout: limit, max_concurrent };
    Hook::new(options).unwrap()
}

fn asking(owner: &Owner) -> Builder {
    TestServer::builder().claims(hook_at(&owner.url(), PATIENCE, 64))
}

/// One that is asked with so little patience that its silence is soon over.
fn asking_briefly(owner: &Owner) -> Builder {
    TestServer::builder().claims(hook_at(&owner.url(), Duration::from_millis(200), 64))
}

/// A session of a login of its own.
fn another_login(number: usize) -> Session {
    session_of("o-alice", LoginId::parse(&format!("{number:016x}")).unwrap(), START)
}

async fn login(server: &TestServer, name: &str) -> Answer {
    server.call(Call::login(&server.code_for(name))).await
}

async fn renew(server: &TestServer, ticket: &str) -> Answer {
    server.call(Call::post("/v1/renew").ticket(ticket)).await
}

/// What a service learns of `ticket`: the claims of a JWT for it, and introspection.
async fn told_to_services(server: &TestServer, ticket: &str) -> (Value, Value) {
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&client_id=orders&client_secret=orders-secret\
         &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}"
    );
    let token = server.call(Call::post("/v1/token").form(&form)).await;
    let claims = checked(server, &token.text("access_token"), "at+jwt", "orders").await;
    let form = format!("token={ticket}&client_id=orders&client_secret=orders-secret");
    (claims, server.call(Call::post("/v1/introspect").form(&form)).await.json())
}

/// The claims of `jwt`, checked with the published keys as the manual tells owners and services to.
async fn checked(server: &TestServer, jwt: &str, typ: &str, audience: &str) -> Value {
    let keys: JwkSet = serde_json::from_str(&server.jwks().await).unwrap();
    let header = jsonwebtoken::decode_header(jwt).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::ES256, Some(typ)));
    let key = keys.find(&header.kid.unwrap()).expect("the key is published");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_required_spec_claims(&["exp", "aud", "iss"]);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    // The server's clock is the test's.
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(jwt, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims;
    assert!(claims["iat"] == server.now().as_u64() && claims["exp"].as_u64() > claims["iat"].as_u64(), "{claims}");
    claims
}

#[tokio::test]
async fn a_login_asks_one_signed_question_about_the_user() {
    let owner = Owner::always(Reply::claims("uid=1001")).await;
    let server = asking(&owner).start().await;
    let ticket = login(&server, "alice").await.ticket();
    let [question] = owner.asked().try_into().expect("one question");
    assert!(question.head.starts_with("POST /auth-ticket?tenant=1 HTTP/1.1\r\n"), "{}", question.head);
    assert!(question.head.contains("content-type: application/jwt"), "{}", question.head);
    let claims = checked(&server, &question.jwt, "claims-request+jwt", &owner.url()).await;
    let shown = server.session(&ticket).await;
    let expected = json!({
        "iss": ISSUER,
        "sub": server.openid("alice"),
        "aud": owner.url(),
        "exp": START.as_u64() + 60,
        "iat": START.as_u64(),
        "jti": claims["jti"],
        "event": "login",
        "appid": APPID,
        "platform": "weapp",
        "openid": server.openid("alice"),
        "unionid": server.unionid("alice"),
        "login_id": shown.text("login_id"),
        "auth_time": START.as_u64(),
    });
    assert_eq!(claims, expected, "that and nothing else: no session_key, no ticket");
    assert!(claims["jti"].as_str().unwrap().len() >= 16);
    login(&server, "alice").await.ticket();
    assert_ne!(owner.last().claims()["jti"], claims["jti"]);
}

#[tokio::test]
async fn what_the_owner_says_is_seen_wherever_the_user_is() {
    let owner = Owner::always(Reply::claims("uid=1001;role=member")).await;
    let server = asking(&owner).start().await;
    let mut ticket = login(&server, "alice").await.ticket();
    let same = "uid=1001;role=member";
    for (reply, claims) in [
        (Reply::claims(same), Some(same)),
        (Reply::claims("uid=1001;role=admin"), Some("uid=1001;role=admin")),
        (Reply::claims(&"~".repeat(64)), Some(&*"~".repeat(64))),
        (Reply::body(r#"{"claims":null}"#), None),
        (Reply::claims("0"), Some("0")),
        (Reply::claims(""), None),
    ] {
        let before = server.session(&ticket).await;
        owner.now(reply);
        server.clock.advance(60);
        ticket = renew(&server, &ticket).await.ticket();
        let question = owner.last().claims();
        assert_eq!((&question["event"], &question["claims"]), (&json!("renewal"), &before.field("claims")));
        let (session, verified) = (server.session(&ticket).await, server.verify(&ticket).await);
        assert_eq!(session.field("login_id"), before.field("login_id"));
        assert_eq!(session.field("claims"), json!(claims));
        assert_eq!(verified.is_ok().header("x-auth-claims"), Some(claims.unwrap_or_default()));
        let (token, introspection) = told_to_services(&server, &ticket).await;
        assert_eq!(
            (token.get("claims"), introspection.get("claims")),
            (claims.map(Value::from).as_ref(), claims.map(Value::from).as_ref())
        );
    }
}

#[tokio::test]
async fn the_question_has_the_phone_number_only_where_jwts_may() {
    let owner = Owner::always(Reply::claims("")).await;
    let mut claims = session("o-alice", START);
    claims.phone = Some(PhoneNumber::parse("+8613800000000").unwrap());
    for (builder, phone) in [(asking(&owner), None), (asking(&owner).jwt_phone(), Some("+8613800000000"))] {
        let server = builder.start().await;
        let renewed = renew(&server, &server.sealed(&claims)).await.ticket();
        assert_eq!(owner.last().claims().get("phone_number"), phone.map(Value::from).as_ref());
        assert_eq!(server.session(&renewed).await.text("phone_number"), "+8613800000000", "the ticket keeps it");
    }
}

#[tokio::test]
async fn the_subject_is_never_the_openid_where_the_unionid_is_asked_for() {
    let owner = Owner::always(Reply::claims("")).await;
    let server = asking(&owner).subject(Subject::Unionid).start().await;
    login(&server, "alice").await.ticket();
    assert_eq!(owner.last().claims()["sub"], server.unionid("alice"));
    let nobody = stub(&json!({ "openid": "o-alice", "session_key": "c2Vzc2lvbi1rZXktMTYhIQ==" }));
    let server = asking(&owner).subject(Subject::Unionid).platform(nobody).start().await;
    login(&server, "alice").await.ticket();
    let question = owner.last().claims();
    assert_eq!((question.get("sub"), &question["openid"]), (None, &json!("o-alice")));
}

#[tokio::test]
async fn whom_the_owner_does_not_know_or_want_gets_no_ticket() {
    let owner = Owner::always(Reply::claims("")).await;
    let server = asking(&owner).start().await;
    let ticket = login(&server, "alice").await.ticket();
    for (status, error) in [("404 Not Found", "not_bound"), ("403 Forbidden", "user_blocked")] {
        // Ten of them are no outage.
        for _ in 0..5 {
            owner.now(Reply::Http(status, r#"{"claims":"uid=1"}"#.to_owned()));
            login(&server, "alice").await.is_error(error);
            renew(&server, &ticket).await.is_error(error);
        }
    }
    server.verify(&ticket).await.is_ok();
    assert_eq!(owner.asked().len(), 21);
}

#[tokio::test]
async fn an_answer_that_lies_is_no_answer_and_stops_nobody_else() {
    let owner = Owner::always(Reply::claims("")).await;
    let server = asking(&owner).start().await;
    let ticket = login(&server, "alice").await.ticket();
    let good = r#"{"claims":"uid=1"}"#;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let lies = [
        Reply::claims(&"a".repeat(65)),
        Reply::claims("a\nb"),
        Reply::claims("a\r\nx-auth-openid: b"),
        Reply::claims("名"),
        Reply::claims("a b"),
        Reply::body(r#"{"claims":1001}"#),
        Reply::body(r#"{"claims":{"uid":1001}}"#),
        Reply::body(r#"{"claims":"a","claims":"b"}"#),
        Reply::body(r#"["a"]"#),
        Reply::body("uid=1001"),
        Reply::body(""),
        Reply::body(format!("{good:4097}")),
        Reply::body(format!("{good}{}", " ".repeat(10 << 20))),
        Reply::Raw(format!("{chunked}1000\r\n{good:4096}\r\n1\r\n \r\n0\r\n\r\n")),
        Reply::Http("201 Created", r#"{"claims":"a"}"#.to_owned()),
        Reply::Http("204 No Content", String::new()),
        Reply::Http("401 Unauthorized", r#"{"claims":"a"}"#.to_owned()),
        Reply::Http("500 Internal Server Error", r#"{"claims":"a"}"#.to_owned()),
    ];
    for (index, lie) in lies.iter().enumerate() {
        owner.now(lie.clone());
        // More often than outages in a row are enough for a stop.
        for round in 0..3 {
            let another = server.sealed(&another_login(3 * index + round));
            for answer in [login(&server, "alice").await, renew(&server, &another).await] {
                answer.is_error("upstream_busy");
                assert_eq!(answer.header("retry-after"), Some("5"), "{lie:?}");
            }
        }
        assert_eq!(owner.asked().len(), 6 * index + 7, "asked once each: {lie:?}");
    }
    owner.now(Reply::body(format!("{good:4096}")));
    login(&server, "bob").await.ticket();
    server.verify(&ticket).await.is_ok();
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Owner::always(Reply::claims("uid=1")).await;
    let owner = Owner::always(Reply::claims("")).await;
    let server = asking(&owner).start().await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let raw = format!("HTTP/1.1 {status}\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", other.url());
        owner.now(Reply::Raw(raw));
        login(&server, "alice").await.is_error("upstream_busy");
    }
    assert_eq!((owner.asked().len(), other.asked().len()), (5, 0));
}

#[tokio::test]
async fn a_service_that_hangs_or_breaks_off_is_waited_for_once_and_not_for_long() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n";
    for silence in [
        Reply::Hang(""),
        Reply::Hang("HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"claims\":"),
        Reply::Drip,
        Reply::Raw(String::new()),
        Reply::Raw("HTTP/1.1 200 OK\r\n".to_owned()),
        Reply::Raw(format!("{ok}{{\"claims\":\"uid=1\"")),
        Reply::Raw("garbage\r\n\r\n".to_owned()),
    ] {
        let owner = Owner::always(Reply::claims("")).await;
        let server = asking_briefly(&owner).start().await;
        let ticket = server.sealed(&session("o-alice", START));
        owner.now(silence.clone());
        within_5_s("a refusal", login(&server, "alice")).await.is_error("upstream_busy");
        within_5_s("a refusal", renew(&server, &ticket)).await.is_error("upstream_busy");
        assert_eq!(owner.asked().len(), 2, "{silence:?}");
        server.verify(&ticket).await.is_ok();
    }
}

#[tokio::test]
async fn checks_go_on_while_logins_wait_for_the_owner() {
    let owner = Owner::always(Reply::Hang("")).await;
    let server =
        Arc::new(TestServer::builder().claims(hook_at(&owner.url(), Duration::from_secs(60), 4)).start().await);
    let ticket = server.sealed(&session("o-alice", START));
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let (server, ticket) = (Arc::clone(&server), ticket.clone());
            tokio::spawn(async move {
                if number % 2 == 0 { login(&server, "bob").await } else { renew(&server, &ticket).await }
            })
        })
        .collect();
    owner.reached(4).await;
    for _ in 0..50 {
        server.verify(&ticket).await.is_ok();
        assert_eq!(server.session(&ticket).await.status, 200);
    }
    assert!(waiting.iter().all(|waits| !waits.is_finished()), "all of them still wait");
    assert_eq!(owner.asked().len(), 4, "the others wait for a place");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn who_gets_no_place_is_refused_in_time() {
    let owner = Owner::always(Reply::Hang("")).await;
    let server = TestServer::builder().claims(hook_at(&owner.url(), Duration::from_secs(2), 1)).start().await;
    let (one, other) = tokio::join!(login(&server, "alice"), login(&server, "bob"));
    one.is_error("upstream_busy");
    other.is_error("upstream_busy");
    assert_eq!(owner.asked().len(), 1);
    assert_eq!(server.limit_reached("claims_max_concurrent").await, 1);
}

/// Renewals get at most half of the permits, and a login has its own before its code is spent.
#[tokio::test]
async fn a_crowd_that_renews_leaves_room_to_log_in() {
    let owner = Owner::start(|question| match question.claims()["event"].as_str() {
        Some("renewal") => Reply::Hang(""),
        _ => Reply::claims("uid=1"),
    });
    let owner = owner.await;
    let server =
        Arc::new(TestServer::builder().claims(hook_at(&owner.url(), Duration::from_secs(60), 4)).start().await);
    let waiting: Vec<_> = (0..15)
        .map(|number| {
            let ticket = server.sealed(&another_login(number));
            let server = Arc::clone(&server);
            tokio::spawn(async move { renew(&server, &ticket).await })
        })
        .collect();
    owner.reached(2).await;
    for _ in 0..12 {
        within_5_s("a login", login(&server, "alice")).await.ticket();
    }
    assert_eq!(owner.asked().len(), 2 + 12, "no third renewal");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_code_is_not_spent_while_there_is_no_permit_to_ask() {
    let owner = Owner::always(Reply::Hang("")).await;
    let server = TestServer::builder().claims(hook_at(&owner.url(), Duration::from_secs(2), 1)).start().await;
    let kept = server.code_for("bob");
    let (_, refused) = tokio::join!(login(&server, "alice"), async {
        owner.reached(1).await;
        server.call(Call::login(&kept)).await
    });
    assert!(refused.is_error("upstream_busy").text("error_description").contains("same code"), "{refused:?}");
    assert_eq!(server.platform.exchanges(), 1, "alice's alone");
    owner.now(Reply::claims("uid=1"));
    server.call(Call::login(&kept)).await.ticket();
}

#[tokio::test]
async fn one_login_asks_the_owner_only_so_often() {
    let owner = Owner::always(Reply::claims("uid=1")).await;
    let server = asking(&owner).start().await;
    let (mallory, alice) = (login(&server, "mallory").await.ticket(), login(&server, "alice").await.ticket());
    let asked = owner.asked().len();
    let mut refused = 0;
    for _ in 0..60 {
        let answer = renew(&server, &mallory).await;
        if answer.status != 200 {
            assert!(answer.is_error("rate_limited").header("retry-after").is_some());
            refused += 1;
        }
    }
    assert!(refused >= 30, "{refused}");
    assert_eq!(owner.asked().len() - asked, 60 - refused);
    assert_eq!(server.limit_reached("claims_asks").await, u64::try_from(refused).unwrap());
    server.verify(&mallory).await.is_ok();
    renew(&server, &alice).await.ticket();
}

#[tokio::test]
async fn after_repeated_outages_no_code_is_spent_and_no_ticket_lost_until_the_owner_is_back() {
    let owner = Owner::always(Reply::claims("")).await;
    let server = asking(&owner).start().await;
    let ticket = login(&server, "alice").await.ticket();
    owner.now(Reply::Raw(String::new()));
    for _ in 0..5 {
        login(&server, "alice").await.is_error("upstream_busy");
    }
    // On a slow machine the pause of a second may be over, and a try goes out; the next pause is longer.
    let (code, refused) = loop {
        let (code, spent, asked) = (server.code_for("alice"), server.platform.exchanges(), owner.asked().len());
        let refused = server.call(Call::login(&code)).await;
        refused.is_error("upstream_busy");
        if owner.asked().len() == asked {
            assert_eq!(server.platform.exchanges(), spent, "the code is not spent");
            break (code, refused);
        }
        assert!(asked < 20, "it is never left alone");
    };
    assert!(refused.text("error_description").contains("same code"), "{refused:?}");
    renew(&server, &ticket).await.is_error("upstream_busy");
    server.verify(&ticket).await.is_ok();

    owner.now(Reply::claims("uid=1001"));
    let back = async {
        loop {
            let answer = renew(&server, &ticket).await;
            if answer.status == 200 {
                break answer.ticket();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let renewed = timeout(Duration::from_secs(20), back).await.expect("it is asked again");
    server.call(Call::login(&code)).await.ticket();
    assert_eq!(server.session(&renewed).await.text("claims"), "uid=1001");
    let metrics = server.metrics().await;
    for sample in [
        "auth_ticket_claims_hook_calls_total{event=\"login\",outcome=\"cut_off\"}",
        "auth_ticket_claims_hook_calls_total{event=\"renewal\",outcome=\"ok\"} 1",
        "auth_ticket_claims_hook_calls_total{event=\"renewal\",outcome=\"stopped\"}",
        "auth_ticket_claims_hook_latency_seconds_count",
    ] {
        assert!(metrics.contains(sample), "{sample}: {metrics}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_soon_left_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let server = TestServer::builder().claims(hook_at(&url, PATIENCE, 64)).start().await;
    for _ in 0..8 {
        within_5_s("a refusal", login(&server, "alice")).await.is_error("upstream_busy");
    }
    assert!(server.platform.exchanges() < 8, "some codes were not even spent");
}

#[tokio::test]
async fn the_same_code_twice_at_once_is_one_question() {
    let owner = Owner::always(Reply::claims("uid=1001")).await;
    let server = asking(&owner).start().await;
    let twice = || server.call(Call::login("slow-300-alice"));
    let (first, second) = tokio::join!(twice(), twice());
    for answer in [first, second] {
        assert_eq!(server.session(&answer.ticket()).await.text("claims"), "uid=1001");
    }
    assert_eq!((server.platform.exchanges(), owner.asked().len()), (1, 1));
}

#[tokio::test]
async fn nobody_gets_what_was_said_of_another() {
    let name_of = |question: &Question| question.claims()["openid"].as_str().unwrap().to_owned();
    let owner = Owner::start(move |question| Reply::claims(&format!("of={}", name_of(question)))).await;
    let server = Arc::new(asking(&owner).start().await);
    let places = Arc::new(Semaphore::new(16));
    let logins: Vec<_> = (0..100)
        .map(|number| {
            let (server, places) = (Arc::clone(&server), Arc::clone(&places));
            tokio::spawn(async move {
                let _place = places.acquire().await.unwrap();
                let name = format!("user{number}");
                let expected = format!("of={}", server.openid(&name));
                let mut ticket = login(&server, &name).await.ticket();
                for _ in 0..2 {
                    let answer = server.verify(&ticket).await;
                    answer.is_openid(&server.openid(&name));
                    assert_eq!(answer.header("x-auth-claims"), Some(&*expected));
                    ticket = renew(&server, &ticket).await.ticket();
                }
            })
        })
        .collect();
    for login in logins {
        login.await.unwrap();
    }
    assert_eq!(owner.asked().len(), 300);
}

#[tokio::test]
async fn without_a_key_to_sign_with_no_code_is_spent() {
    let owner = Owner::always(Reply::claims("uid=1001")).await;
    let server = asking(&owner).start().await;
    let ticket = login(&server, "alice").await.ticket();
    server.change_ring(|plan| plan.keys.retain(|key| key.key_use == KeyUse::Ticket));
    let spent = server.platform.exchanges();
    login(&server, "alice").await.is_error("no_sealing_key");
    renew(&server, &ticket).await.is_error("no_sealing_key");
    server.verify(&ticket).await.is_ok();
    assert_eq!((server.platform.exchanges(), owner.asked().len()), (spent, 1));
}

#[tokio::test]
async fn a_cut_off_that_comes_while_the_owner_is_asked_holds() {
    let changed = Arc::new(Notify::new());
    let owner = Owner::always(Reply::After(Arc::clone(&changed), r#"{"claims":""}"#)).await;
    let server = Arc::new(asking(&owner).start().await);
    let ticket = server.sealed(&session("o-alice", START));
    let renewal = tokio::spawn({
        let (server, ticket) = (Arc::clone(&server), ticket.clone());
        async move { renew(&server, &ticket).await }
    });
    owner.reached(1).await;
    server.cut_off(
        json!({ "scope": "openid", "appid": APPID, "openid": "o-alice", "before": (START.plus(60)).to_string() }),
    );
    changed.notify_one();
    renewal.await.unwrap().is_error("ticket_revoked");
}

/// The older two-step login asks at its second step, once it knows the phone number; and "not bound" is code 400 there.
#[tokio::test]
async fn a_user_whom_the_owner_does_not_know_binds_a_phone_number() {
    let owner = Owner::always(Reply::Http("404 Not Found", String::new())).await;
    let server = asking(&owner).compat().jwt_phone().start().await;
    let login = server.call(Call::get(&format!("/miniLogin/login.ajax?code={}", server.code_for("alice")))).await;
    let handle = login.json()["data"]["openid"].as_str().unwrap().to_owned();
    assert!(owner.asked().is_empty(), "a handle is nobody's login yet");
    let check = |phone: &str| {
        let form = format!("openid={handle}&unionid=&phoneNo={phone}");
        Call::post("/miniLogin/loginCheck.ajax").form(&form)
    };
    assert_eq!(server.call(check("")).await.field("code"), 400);
    assert!(owner.last().claims().get("phone_number").is_none());

    let bind = format!("openid={handle}&code=phone-alice-1");
    let bound = server.call(Call::post("/miniLogin/phone.ajax").form(&bind)).await;
    let proof = bound.json()["data"]["phoneNo"].as_str().unwrap().to_owned();
    owner.now(Reply::claims("uid=1001"));
    let checked = server.call(check(&proof)).await;
    let ticket = checked.json()["data"]["AUTH_TICKET"].as_str().unwrap().to_owned();
    assert_eq!(owner.last().claims()["phone_number"], server.phone("alice"));
    let verified = server.verify(&ticket).await;
    assert_eq!(verified.is_ok().header("x-auth-claims"), Some("uid=1001"));
    assert_eq!(verified.header("x-auth-phone"), Some(&*server.phone("alice")));

    // What services get of it.
    let (jwt, introspection) = told_to_services(&server, &ticket).await;
    for told in [&jwt, &introspection] {
        assert_eq!((&told["phone_number"], &told["claims"]), (&json!(server.phone("alice")), &json!("uid=1001")));
    }
    owner.now(Reply::Http("403 Forbidden", String::new()));
    assert_eq!(server.call(check(&proof)).await.field("code"), 403);
    owner.now(Reply::Http("500 Internal Server Error", String::new()));
    assert_eq!(server.call(check(&proof)).await.field("code"), 503);
}

/// A number is for JWTs only where that is configured; introspection shows it to services all the same.
#[tokio::test]
async fn a_phone_number_is_in_no_jwt_unless_configured() {
    let owner = Owner::always(Reply::claims("")).await;
    let server = asking(&owner).start().await;
    let ticket = login(&server, "alice").await.ticket();
    let call = Call::post("/v1/phone").ticket(&ticket).json(&json!({ "code": "phone-alice-1" }));
    let ticket = server.call(call).await.ticket();
    let (jwt, introspection) = told_to_services(&server, &ticket).await;
    assert!(jwt.get("phone_number").is_none(), "{jwt}");
    assert_eq!(introspection["phone_number"], server.phone("alice"));
}
