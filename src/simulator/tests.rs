use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::clock::{FixedClock, UnixSeconds};

const SESSION: &str = "/sns/jscode2session?appid=wx1&secret=s&grant_type=authorization_code&js_code=";

pub(super) fn simulator() -> Simulator {
    clocked().0
}

/// With the clock that it lives by.
pub(super) fn clocked() -> (Simulator, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000)));
    (Simulator::new(Arc::<FixedClock>::clone(&clock)), clock)
}

pub(super) async fn call(
    simulator: &Simulator,
    method: Method,
    path: &str,
    body: impl Into<Body>,
) -> (StatusCode, String, String) {
    send(simulator, Request::builder().method(method).uri(path).body(body.into()).unwrap()).await
}

/// Status, label and body of the answer.
pub(super) async fn send(simulator: &Simulator, request: Request<Body>) -> (StatusCode, String, String) {
    let response = simulator.router().oneshot(request).await.unwrap();
    let status = response.status();
    let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, content_type, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(simulator: &Simulator, path: &str) -> Value {
    let (status, content_type, body) = call(simulator, Method::GET, path, "").await;
    assert_eq!((status, &*content_type), (StatusCode::OK, "text/plain"), "{body}");
    serde_json::from_str(&body).unwrap()
}

pub(super) async fn post(simulator: &Simulator, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let (status, content_type, body) = call(simulator, Method::POST, path, body).await;
    assert_eq!(content_type, "application/json", "{body}");
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn a_login_answers_json_that_is_labelled_plain_text() {
    let simulator = simulator();
    let session = get(&simulator, &format!("{SESSION}demo-alice-1")).await;
    let alice = simulator.user("wx1", "alice").unwrap();
    assert_eq!(
        (session["openid"].as_str(), session["unionid"].as_str()),
        (Some(&*alice.openid), Some(&*alice.unionid))
    );
    assert_eq!(session.get("errcode"), None);
    assert_eq!(get(&simulator, &format!("{SESSION}demo-alice-1")).await["errcode"], 40163);
}

#[tokio::test]
async fn parameters_are_decoded_and_the_first_of_a_name_counts() {
    let simulator = simulator();
    let session = get(&simulator, &format!("{SESSION}demo-alice%2D1&js_code=err-1&more=%ff")).await;
    assert!(session["openid"].is_string(), "{session}");
    assert_eq!(get(&simulator, "/sns/jscode2session").await["errcode"], 41002);
    assert_eq!(get(&simulator, "/sns/jscode2session?%ff=%&&=&appid=%00").await["errcode"], 41004);
}

#[tokio::test]
async fn only_a_get_spends_a_code() {
    let simulator = simulator();
    let path = format!("{SESSION}demo-alice-1");
    for (method, errcode) in [(Method::POST, 41002), (Method::PUT, 43001), (Method::OPTIONS, 43001)] {
        let (status, _, body) = call(&simulator, method, &path, "").await;
        assert!(status == StatusCode::OK && body.contains(&errcode.to_string()), "{body}");
    }
    assert_eq!(call(&simulator, Method::HEAD, &path, "").await.0, StatusCode::OK);
    assert!(get(&simulator, &path).await["openid"].is_string());
}

async fn stable_token(simulator: &Simulator) -> String {
    let body = r#"{"grant_type":"client_credential","appid":"wx1","secret":"s"}"#;
    let (_, _, body) = call(simulator, Method::POST, "/cgi-bin/stable_token", body).await;
    serde_json::from_str::<Value>(&body).unwrap()["access_token"].as_str().unwrap().to_owned()
}

/// The errcode of what `WeChat` says to a POST.
async fn errcode(simulator: &Simulator, path: &str, body: impl Into<Body>) -> i64 {
    let (status, content_type, body) = call(simulator, Method::POST, path, body).await;
    assert_eq!((status, &*content_type), (StatusCode::OK, "text/plain"), "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["errcode"].as_i64().unwrap_or_default()
}

#[tokio::test]
async fn interfaces_for_the_other_method_say_so() {
    let simulator = simulator();
    for (path, method, errcode) in [
        ("/cgi-bin/token", Method::POST, 43001),
        ("/wxa/checksession", Method::POST, 43001),
        ("/wxa/resetusersessionkey", Method::PUT, 43001),
        ("/cgi-bin/stable_token", Method::GET, 43002),
        ("/wxa/business/getuserphonenumber", Method::GET, 43002),
        ("/wxa/business/checkencryptedmsg", Method::DELETE, 43002),
    ] {
        let (status, _, body) = call(&simulator, method, path, "").await;
        assert!(status == StatusCode::OK && body.contains(&errcode.to_string()), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_stable_token_is_asked_for_in_json() {
    let simulator = simulator();
    let path = "/cgi-bin/stable_token";
    let form = "grant_type=client_credential&appid=wx1&secret=s";
    assert_eq!(errcode(&simulator, path, form).await, 41002);
    assert_eq!(errcode(&simulator, &format!("{path}?{form}"), "").await, 41002);
    for (body, expected) in [
        (r#"["client_credential","wx1","s"]"#, 41002),
        (r#"{"grant_type":"client_credential","appid":1,"secret":"s"}"#, 41002),
        (r#"{"grant_type":"client_credential","appid":"wx1","secret":"s","force_refresh":"true"}"#, 47001),
        (r#"{"grant_type":"client_credential","appid":"wx1","secret":"s","force_refresh":false}"#, 0),
    ] {
        assert_eq!(errcode(&simulator, path, body).await, expected, "{body}");
    }
    let first = stable_token(&simulator).await;
    assert_eq!(stable_token(&simulator).await, first);
    let refresh = r#"{"grant_type":"client_credential","appid":"wx1","secret":"s","force_refresh":true}"#;
    assert_eq!(errcode(&simulator, path, refresh).await, 0);
    assert_ne!(stable_token(&simulator).await, first);
}

#[tokio::test]
async fn malformed_bodies_have_their_errcodes() {
    let simulator = simulator();
    let token = stable_token(&simulator).await;
    for (path, missing) in [("/wxa/business/getuserphonenumber", 41008), ("/wxa/business/checkencryptedmsg", 40097)] {
        let with_token = format!("{path}?access_token={token}");
        for (body, expected) in [
            (b"".to_vec(), 44002),
            (b"{".to_vec(), 47001),
            (b"\xff".to_vec(), 47001),
            (vec![b' '; 65 * 1024], 47001),
            (b"[".repeat(60_000), 47001),
            (b"null".to_vec(), missing),
            (b"{}".to_vec(), missing),
            (br#"{"code":1,"encrypted_msg_hash":[]}"#.to_vec(), missing),
            (br#"{"code":"","encrypted_msg_hash":""}"#.to_vec(), missing),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert_eq!(errcode(&simulator, &with_token, body).await, expected, "{path} {shown}");
        }
        assert_eq!(errcode(&simulator, path, "{}").await, 41001);
    }
}

#[tokio::test]
async fn a_phone_code_can_be_minted() {
    let simulator = simulator();
    let token = stable_token(&simulator).await;
    let (_, minted) = post(&simulator, "/_sim/phone-code", r#"{"appid":"wx1","name":"hk.bob"}"#).await;
    assert_eq!(minted["code"].as_str().map(str::len), Some(64));
    let path = format!("/wxa/business/getuserphonenumber?access_token={token}");
    let (_, _, body) = call(&simulator, Method::POST, &path, minted.to_string()).await;
    let bob = simulator.user("wx1", "hk.bob").unwrap();
    let info = &serde_json::from_str::<Value>(&body).unwrap()["phone_info"];
    assert_eq!((&info["countryCode"], &info["purePhoneNumber"]), (&json!("852"), &json!(bob.phone)));
    assert_eq!(info["phoneNumber"], json!(format!("+{}{}", bob.country_code, bob.phone)));
    assert_eq!(errcode(&simulator, &path, minted.to_string()).await, 40029);
}

/// Decrypts with the key that alice has at `wx1` after a login.
async fn decrypt(simulator: &Simulator, answer: &Value, code: &str) -> String {
    use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
    use base64::Engine as _;
    let session = get(simulator, &format!("{SESSION}{code}")).await;
    let decode =
        |value: &Value| base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
    let [key, iv, mut data] = [&session["session_key"], &answer["iv"], &answer["encryptedData"]].map(decode);
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, &key).unwrap()).unwrap();
    let iv = DecryptionContext::Iv128(iv.as_slice().try_into().unwrap());
    String::from_utf8(key.decrypt(&mut data, iv).unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn data_is_encrypted_with_the_present_session_key() {
    let simulator = simulator();
    let alice = simulator.user("wx1", "alice").unwrap();
    post(&simulator, "/_sim/users/alice/reset-session-key", "").await;
    let (_, answer) = post(&simulator, "/_sim/encrypt", r#"{"appid":"wx1","name":"alice"}"#).await;
    let info: Value = serde_json::from_str(&decrypt(&simulator, &answer, "demo-alice-1").await).unwrap();
    assert_eq!((&info["openId"], &info["unionId"]), (&json!(alice.openid), &json!(alice.unionid)));
    assert_eq!(info["watermark"], json!({ "timestamp": 1_800_000_000, "appid": "wx1" }));
    let session = get(&simulator, &format!("{SESSION}demo-alice-2")).await;
    let signature =
        wechat::opendata::sign_raw_data(answer["rawData"].as_str().unwrap(), session["session_key"].as_str().unwrap());
    assert_eq!(answer["signature"], json!(signature));
    for (n, (request, plaintext)) in [
        (r#""data":{"b" : 1}"#, r#"{"b" : 1,"watermark":{"timestamp":1800000000,"appid":"wx1"}}"#),
        (r#""data":{"watermark":null}"#, r#"{"watermark":null}"#),
        (r#""data":{"watermark":{"appid":"wx2"}}"#, r#"{"watermark":{"appid":"wx2"}}"#),
        (r#""data":"no \"JSON""#, "no \"JSON"),
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!(r#"{{"appid":"wx1","name":"alice",{request}}}"#);
        let (_, answer) = post(&simulator, "/_sim/encrypt", body).await;
        assert_eq!(decrypt(&simulator, &answer, &format!("demo-alice-e{n}")).await, plaintext);
        assert!(answer.get("rawData").is_none() && answer.get("signature").is_none(), "{answer}");
    }
}

#[tokio::test]
async fn phone_numbers_alone_are_vouched_for() {
    use sha2::Digest as _;
    let simulator = simulator();
    let path = format!("/wxa/business/checkencryptedmsg?access_token={}", stable_token(&simulator).await);
    for (request, expected) in [
        ("", 1),
        (r#","kind":"userinfo""#, 1),
        (r#","kind":"phone""#, 0),
        (r#","data":{}"#, 1),
        (r#","data":{"phoneNumber":"1"}"#, 0),
        (r#","data":{"phoneNumber":"1"},"kind":"userinfo""#, 1),
        (r#","data":"{\"phoneNumber\":\"1\"}""#, 1),
        (r#","data":"{}","kind":"phone""#, 0),
    ] {
        let body = format!(r#"{{"appid":"wx1","name":"alice"{request}}}"#);
        let (_, answer) = post(&simulator, "/_sim/encrypt", body).await;
        let hash = hex::encode(sha2::Sha256::digest(answer["encryptedData"].as_str().unwrap()));
        let body = json!({ "encrypted_msg_hash": hash }).to_string();
        assert_eq!(errcode(&simulator, &path, body).await, expected, "{request}");
    }
}

#[tokio::test]
async fn access_tokens_can_be_ended() {
    let simulator = simulator();
    let expire =
        async |body: &'static str| post(&simulator, "/_sim/access-tokens/expire", body).await.1["expired"].clone();
    let errcode_of = async |token: &str| {
        errcode(&simulator, &format!("/wxa/business/getuserphonenumber?access_token={token}"), "").await
    };
    let token = stable_token(&simulator).await;
    assert_eq!(expire(r#"{"appid":"wx2"}"#).await, 0);
    assert_eq!(errcode_of(&token).await, 44002);
    assert_eq!(expire("").await, 1);
    assert_eq!(errcode_of(&token).await, 42001);
    let token = stable_token(&simulator).await;
    assert_eq!(expire(r#"{"appid":"wx1","errcode":40001}"#).await, 1);
    assert_eq!(errcode_of(&token).await, 40001);
}

#[tokio::test]
async fn faults_are_planned_for_interfaces_and_cleared() {
    let simulator = simulator();
    let plan = r#"{"endpoint":"stable_token","fault":"err-45009","times":2}"#;
    let (status, answer) = post(&simulator, "/_sim/faults", plan).await;
    assert_eq!((status, answer), (StatusCode::OK, serde_json::from_str(plan).unwrap()));
    for expected in [45009, 45009, 41002] {
        assert_eq!(errcode(&simulator, "/cgi-bin/stable_token", "").await, expected);
    }
    post(&simulator, "/_sim/faults", r#"{"endpoint":"stable_token","fault":"garbage"}"#).await;
    for _ in 0..3 {
        assert!(call(&simulator, Method::POST, "/cgi-bin/stable_token", "").await.2.starts_with('<'));
    }
    assert_eq!(call(&simulator, Method::DELETE, "/_sim/faults", "").await.0, StatusCode::OK);
    assert_eq!(errcode(&simulator, "/cgi-bin/stable_token", "").await, 41002);
}

#[tokio::test]
async fn calls_are_counted_and_forgotten() {
    let simulator = simulator();
    let stats = async || {
        let (status, _, body) = call(&simulator, Method::GET, "/_sim/stats", "").await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_str::<Value>(&body).unwrap()
    };
    let token = stable_token(&simulator).await;
    get(&simulator, &format!("/wxa/checksession?access_token={token}")).await;
    get(&simulator, "/wxa/checksession?access_token=no").await;
    let expected = json!({
        "checksession": { "": { "calls": 1, "ok": 0 }, "wx1": { "calls": 1, "ok": 0 } },
        "stable_token": { "wx1": { "calls": 1, "ok": 1 } },
    });
    assert_eq!(stats().await, expected);
    assert_eq!(post(&simulator, "/_sim/reset", "").await.0, StatusCode::OK);
    assert_eq!(stats().await, json!({}));
    assert_eq!(get(&simulator, &format!("/wxa/checksession?access_token={token}")).await["errcode"], 40001);
}

#[tokio::test]
async fn a_code_can_be_minted_and_a_session_key_reset() {
    let simulator = simulator();
    let mut session_keys = Vec::new();
    for _ in 0..2 {
        let (status, minted) = post(&simulator, "/_sim/code", r#"{"appid":"wx1","name":"alice"}"#).await;
        assert_eq!(status, StatusCode::OK);
        let session = get(&simulator, &format!("{SESSION}{}", minted["code"].as_str().unwrap())).await;
        session_keys.push(session["session_key"].clone());
        let (status, reset) = post(&simulator, "/_sim/users/alice/reset-session-key", "").await;
        assert_eq!((status, &reset["name"]), (StatusCode::OK, &json!("alice")));
    }
    assert_ne!(session_keys[0], session_keys[1]);
}

#[tokio::test]
async fn bad_input_to_its_own_routes_is_refused_with_a_400() {
    let simulator = simulator();
    for body in [
        Vec::new(),
        b"{".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"{\"appid\":\"\xff\",\"name\":\"a\"}".to_vec(),
        br#"{"appid":"wx1"}"#.to_vec(),
        br#"{"appid":"wx1","name":1}"#.to_vec(),
        br#"{"appid":"wx1","name":"a-b"}"#.to_vec(),
        br#"{"appid":"","name":"alice"}"#.to_vec(),
        b"[".repeat(60_000),
        vec![b' '; 64 * 1024 + 1],
        vec![b' '; 3 * 1024 * 1024],
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let (status, error) = post(&simulator, "/_sim/code", body).await;
        assert_eq!((status, &error["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{shown}");
    }
    for (path, body) in [
        ("/_sim/phone-code", r#"{"appid":"wx1","name":"a-b"}"#),
        ("/_sim/code", r#"["wx1","alice"]"#),
        ("/_sim/encrypt", ""),
        ("/_sim/encrypt", r#"{"appid":"wx1","name":"alice","data":[]}"#),
        ("/_sim/encrypt", r#"{"appid":"wx1","name":"alice","data":"\ud800"}"#),
        ("/_sim/encrypt", r#"{"appid":"wx1","name":"alice","kind":"telephone"}"#),
        ("/_sim/encrypt", r#"{"appid":"wx1","name":"alice","date":{}}"#),
        ("/_sim/access-tokens/expire", r#"{"errcode":"40001"}"#),
        ("/_sim/access-tokens/expire", r#"{"app":"wx1"}"#),
        ("/_sim/access-tokens/expire", r#"{"appid":""}"#),
        ("/_sim/faults", r#"{"endpoint":"login","fault":"hang"}"#),
        ("/_sim/faults", r#"{"endpoint":"token","fault":"slow-"}"#),
        ("/_sim/faults", r#"{"endpoint":"token","fault":"hang","times":-1}"#),
        ("/_sim/faults", r#"{"endpoint":"token","fault":"hang","time":1}"#),
        ("/_sim/reset", "null"),
    ] {
        let (status, error) = post(&simulator, path, body).await;
        assert_eq!((status, &error["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{path} {body}");
    }
    for name in ["%ff", "a-b", "%00", "a%20b", &"x".repeat(65)] {
        let (status, error) = post(&simulator, &format!("/_sim/users/{name}/reset-session-key"), "").await;
        assert_eq!((status, &error["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{name}");
    }
}

#[tokio::test]
async fn other_routes_and_methods_are_refused_in_json() {
    let simulator = simulator();
    assert_eq!(call(&simulator, Method::GET, "/_sim/code", "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(post(&simulator, "/_sim/nothing", "").await.0, StatusCode::NOT_FOUND);
    assert_eq!(post(&simulator, "/_sim", "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_interface_that_is_not_there_says_so_by_its_errcode() {
    let simulator = simulator();
    for path in ["/", "/wxa/msg_sec_check?access_token=x", "/sns/jscode2session/", "/_simulator", "/wxa/business"] {
        for method in [Method::GET, Method::POST] {
            let (status, content_type, body) = call(&simulator, method, path, "{}").await;
            assert_eq!((status, &*content_type), (StatusCode::OK, "text/plain"), "{path}");
            let told: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(told["errcode"], 40066, "{path}");
            assert!(told["errmsg"].as_str().unwrap().starts_with("invalid url, rid: "), "{told}");
        }
    }
}

#[tokio::test]
async fn a_body_in_chunks_is_a_412() {
    let simulator = simulator();
    let send = async |path: &str, name: &str, value: &str| {
        let request = Request::post(path).header(name, value).body(Body::from("{}")).unwrap();
        simulator.router().oneshot(request).await.unwrap().status()
    };
    for path in ["/cgi-bin/stable_token", "/wxa/business/getuserphonenumber", "/wxa/business/checkencryptedmsg"] {
        assert_eq!(send(path, "transfer-encoding", "chunked").await, StatusCode::PRECONDITION_FAILED, "{path}");
        assert_eq!(send(path, "content-length", "2").await, StatusCode::OK, "{path}");
    }
    // Its own routes take what tests send.
    assert_eq!(send("/_sim/reset", "transfer-encoding", "chunked").await, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_is_planted_for_any_interface_and_cleared() {
    let simulator = simulator();
    let plant = r#"{"path":"/wxa/msg_sec_check","answer":{"errcode": 0, "n": 1.50},"times":2}"#;
    let (status, told) = post(&simulator, "/_sim/answers", plant).await;
    assert_eq!((status, told), (StatusCode::OK, json!({ "path": "/wxa/msg_sec_check", "times": 2 })));
    let ask = async |path: &str| call(&simulator, Method::POST, path, "{}").await;
    for _ in 0..2 {
        let (status, content_type, body) = ask("/wxa/msg_sec_check?access_token=x").await;
        assert_eq!((status, &*content_type, &*body), (StatusCode::OK, "text/plain", r#"{"errcode": 0, "n": 1.50}"#));
    }
    assert!(ask("/wxa/msg_sec_check").await.2.contains("40066"), "twice, and no more");

    // One that it has, too; a text is its content; it holds until it is cleared.
    post(&simulator, "/_sim/answers", r#"{"path":"/sns/jscode2session","answer":"not \"JSON\""}"#).await;
    for _ in 0..3 {
        assert_eq!(call(&simulator, Method::GET, &format!("{SESSION}demo-alice-1"), "").await.2, r#"not "JSON""#);
    }
    assert_eq!(call(&simulator, Method::DELETE, "/_sim/answers", "").await.0, StatusCode::OK);
    assert!(get(&simulator, &format!("{SESSION}demo-alice-1")).await["openid"].is_string(), "the code was not spent");
    for bad in [
        r#"{"path":"wxa/x","answer":{}}"#,
        r#"{"path":"/wxa/x?a=b","answer":{}}"#,
        r#"{"path":"/_sim/reset","answer":{}}"#,
        r#"{"path":"/wxa/x","answer":1}"#,
        r#"{"path":"/wxa/x"}"#,
        r#"{"path":"/wxa/x","answer":{},"time":1}"#,
    ] {
        assert_eq!(post(&simulator, "/_sim/answers", bad).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    post(&simulator, "/_sim/answers", r#"{"path":"/wxa/x","answer":{}}"#).await;
    post(&simulator, "/_sim/reset", "").await;
    assert!(ask("/wxa/x").await.2.contains("40066"), "a reset forgets answers, too");
}

/// The developer tools get real codes, which nobody here has made.
#[tokio::test]
async fn a_demos_simulator_knows_the_codes_of_the_developer_tools() {
    let clock = Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000)));
    let simulator = Simulator::for_devtools(Arc::<FixedClock>::clone(&clock));
    let devtools = simulator.user("wx1", "devtools").unwrap();
    let real = "0a3Xu2000kxyzS1abc300def4Q0Xu20S";
    assert_eq!(get(&simulator, &format!("{SESSION}{real}")).await["openid"], *devtools.openid);
    assert_eq!(get(&simulator, &format!("{SESSION}{real}")).await["errcode"], 40163, "once, as any code");
    assert_eq!(
        get(&simulator, &format!("{SESSION}demo-alice-1")).await["openid"],
        *simulator.user("wx1", "alice").unwrap().openid
    );
    assert_eq!(get(&simulator, &format!("{SESSION}err-45011")).await["errcode"], 45011);
    // The phone button's as well; and a code that was minted stays what it is.
    let path = format!("/wxa/business/getuserphonenumber?access_token={}", stable_token(&simulator).await);
    let asked = json!({ "code": real, "openid": devtools.openid }).to_string();
    assert!(call(&simulator, Method::POST, &path, asked).await.2.contains(&devtools.phone));
    let minted = post(&simulator, "/_sim/code", r#"{"appid":"wx1","name":"alice"}"#).await.1;
    clock.advance(300);
    assert_eq!(get(&simulator, &format!("{SESSION}{}", minted["code"].as_str().unwrap())).await["errcode"], 40029);
}

#[test]
fn debug_output_shows_no_code() {
    assert_eq!(format!("{:?}", simulator()), "Simulator { .. }");
}
