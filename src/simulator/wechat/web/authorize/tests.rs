use std::collections::HashMap;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use url::Url;

use crate::simulator::Simulator;
use crate::simulator::tests::{call, post, simulator};

const BACK: &str = "https%3A%2F%2Fh5.example.com%2Fa%3Fb%3D1%23c";

struct Shown {
    location: Option<Url>,
    cookie: Option<String>,
    text: String,
}

impl Shown {
    /// What is in the address that it leads to.
    fn query(&self) -> HashMap<String, String> {
        self.location.as_ref().unwrap().query_pairs().into_owned().collect()
    }
}

/// What a browser gets for a page of `WeChat`.
async fn open(simulator: &Simulator, path_and_query: &str, cookie: &str) -> Shown {
    let request = Request::get(path_and_query).header("cookie", cookie).body(Body::empty()).unwrap();
    let response = simulator.router().oneshot(request).await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (location, cookie) = (header("location").map(|url| url.parse().unwrap()), header("set-cookie"));
    let expected = if location.is_some() { StatusCode::FOUND } else { StatusCode::OK };
    assert_eq!(response.status(), expected);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Shown { location, cookie, text: String::from_utf8(body.to_vec()).unwrap() }
}

fn official_account(scope: &str, more: &str) -> String {
    format!("/connect/oauth2/authorize?appid=wx1&redirect_uri={BACK}&response_type=code&scope={scope}&state=a1{more}")
}

async fn log_in(simulator: &Simulator, code: &str) -> Value {
    let path = "/sns/oauth2/access_token?appid=wx1&secret=s&grant_type=authorization_code&code=";
    let (_, _, text) = call(simulator, Method::GET, &format!("{path}{code}"), "").await;
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_reader_who_agrees_comes_back_with_a_code_and_the_state() {
    let simulator = simulator();
    let asked = open(&simulator, &official_account("snsapi_userinfo", ""), "").await;
    assert!(asked.location.is_none() && asked.text.contains(r#"<input type="hidden" name="state" value="a1">"#));
    let back = open(&simulator, &official_account("snsapi_userinfo", "&sim_name=bob&sim_answer=allow"), "").await;
    let url = back.location.clone().unwrap();
    assert!(url.as_str().starts_with("https://h5.example.com/a?b=1&code="), "{url}");
    assert_eq!((&*back.query()["state"], url.fragment()), ("a1", Some("c")));
    let answer = log_in(&simulator, &back.query()["code"]).await;
    let bob = simulator.user("wx1", "bob").unwrap();
    assert_eq!((answer["openid"].as_str(), answer["unionid"].as_str()), (Some(&*bob.openid), Some(&*bob.unionid)));
    assert_eq!(log_in(&simulator, &back.query()["code"]).await["errcode"], 40163);
}

#[tokio::test]
async fn the_silent_scope_asks_once_and_shows_no_unionid() {
    let simulator = simulator();
    let path = official_account("snsapi_base", "");
    assert!(open(&simulator, &path, "").await.location.is_none());
    // A name with characters that end a cookie.
    let typed = open(&simulator, &official_account("snsapi_base", "&sim_name=b%3Bo%25b&sim_answer=allow"), "").await;
    let cookie = typed.cookie.unwrap();
    assert_eq!(cookie, "weixin_user=b%3Bo%25b; Path=/connect; HttpOnly");
    let again = open(&simulator, &path, &format!("x=y; {}", cookie.split(';').next().unwrap())).await;
    let answer = log_in(&simulator, &again.query()["code"]).await;
    let openid = simulator.user("wx1", "b;o%b").unwrap().openid;
    assert_eq!((answer["openid"].as_str(), answer.get("unionid")), (Some(&*openid), None));
    // The other scope asks all the same.
    assert!(open(&simulator, &official_account("snsapi_userinfo", ""), &cookie).await.location.is_none());
}

#[tokio::test]
async fn a_snapshot_is_nobodys_and_a_refusal_leads_nowhere() {
    let simulator = simulator();
    let snapshot = open(&simulator, &official_account("snsapi_userinfo", "&sim_answer=snapshot"), "").await;
    assert_eq!(snapshot.cookie, None);
    assert_eq!(log_in(&simulator, &snapshot.query()["code"]).await["is_snapshotuser"], 1);
    let refused = open(&simulator, &official_account("snsapi_userinfo", "&sim_answer=refuse"), "").await;
    assert!(refused.location.is_none() && refused.text.contains("refused"), "{}", refused.text);
}

#[tokio::test]
async fn a_wrong_request_is_refused_with_wechats_number() {
    let simulator = simulator();
    let website = |query: &str| format!("/connect/qrconnect?{query}");
    let good = format!("appid=wx1&redirect_uri={BACK}&response_type=code&scope=snsapi_login");
    assert!(open(&simulator, &website(&good), "").await.text.contains("Allow"));
    let long = "a".repeat(129);
    for (wrong, shown) in [
        (good.replace("wx1", ""), "10012: "),
        (good.replace(BACK, ""), "10011: "),
        (good.replace(BACK, "javascript%3Aalert(1)"), "10003: "),
        (good.replace("https", "nowhere"), "10003: "),
        (good.replace("snsapi_login", ""), "10010: "),
        (good.replace("snsapi_login", "snsapi_base"), "10005: "),
        (good.replace("=code", "=token"), "10005: "),
        (format!("{good}&state=%3Cb%3E"), "state is at most"),
        (format!("{good}&state={long}"), "state is at most"),
    ] {
        let refused = open(&simulator, &website(&format!("{wrong}&sim_name=bob&sim_answer=allow")), "").await;
        assert!(refused.location.is_none() && refused.text.contains(shown), "{wrong}: {}", refused.text);
    }
    // What others wrote into the address is shown as text.
    let hostile = open(&simulator, &website(&format!("{good}&x=%22%3E%3Cscript%3E")), "").await;
    assert!(hostile.text.contains("value=\"&quot;&gt;&lt;script&gt;\""), "{}", hostile.text);
}

#[tokio::test]
async fn a_planned_fault_comes_in_place_of_the_way_back() {
    let simulator = simulator();
    let plan = r#"{"endpoint":"weixin_web_authorize","fault":"err-10009","times":1}"#;
    assert_eq!(post(&simulator, "/_sim/faults", plan).await.0, StatusCode::OK);
    let path = official_account("snsapi_userinfo", "&sim_name=bob&sim_answer=allow");
    assert!(open(&simulator, &path, "").await.text.contains("10009"));
    assert!(open(&simulator, &path, "").await.location.is_some());
}
