//! Encrypted and signed data: right, it is handed out; wrong in any way, it is one answer.

use auth_ticket::claims::{PlatformId, SessionKey};
use auth_ticket::ticket::Session;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{APPID, Call, OTHER_APPID, START, TestServer, session};

fn user_data(ticket: &str, body: &Value) -> Call {
    Call::post("/v1/userdata").ticket(ticket).json(body)
}

/// A profile as the platform encrypts and signs it for `name`, all four fields.
async fn profile(server: &TestServer, name: &str) -> Value {
    server.simulator("encrypt", &json!({ "appid": APPID, "name": name })).await
}

fn without(body: &Value, names: &[&str]) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().retain(|name, _| !names.contains(&&**name));
    body
}

fn with(body: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut body = body.clone();
    body[name] = value.into();
    body
}

const VECTOR_APPID: &str = "wx4f4bc4dec97d474b";

/// A profile, encrypted. Source of this and of what goes with it: "Signature and decryption of open data" in `WeChat`'s
/// documentation, <https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/signature.html>.
fn vector() -> Value {
    json!({
        "iv": "r7BXXKkLb8qrSNn05n0qiA==",
        "encryptedData": "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew==",
    })
}

/// The login that the vector belongs to.
fn vector_session() -> Session {
    let mut claims = session("oGZUI0egBJY1zhBYw2KhdUfwVJJE", START);
    claims.unionid = Some(PlatformId::parse("ocMvos6NjeKLIBqg5Mr9QjxrP1FA").unwrap());
    claims.session_key = Some(SessionKey::parse("tiihtNczf5v6AKRyjwEUhQ==").unwrap());
    claims
}

#[tokio::test]
async fn the_platforms_published_vectors_pass_through_the_server() {
    let server = TestServer::builder().app(VECTOR_APPID).start().await;
    let claims = vector_session();
    let answer = server.call(user_data(&server.sealed(&claims), &vector())).await;
    let data = &answer.is_ok().json()["data"];
    assert_eq!((&data["nickName"], &data["openId"]), (&json!("Band"), &json!("oGZUI0egBJY1zhBYw2KhdUfwVJJE")));
    assert_eq!(data["watermark"], json!({ "timestamp": 1_477_314_187, "appid": VECTOR_APPID }));
    assert_eq!(answer.json().as_object().unwrap().len(), 1);

    let mut claims = claims;
    claims.session_key = Some(SessionKey::parse("HyVFkGl5F5OQWJZZaNzBBg==").unwrap());
    let raw_data = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;
    let body = json!({ "rawData": raw_data, "signature": "75e81ceda165f4ffa64f4068af58c64b8f54b88c" });
    let answer = server.call(user_data(&server.sealed(&claims), &body)).await;
    assert_eq!(answer.is_ok().json(), json!({ "signature_valid": true }));
}

#[tokio::test]
async fn a_profile_comes_out_as_it_went_in() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let body = profile(&server, "alice").await;
    let both = server.call(user_data(&ticket, &body)).await.is_ok().json();
    assert_eq!((&both["data"]["openId"], &both["signature_valid"]), (&json!(server.openid("alice")), &json!(true)));
    assert_eq!(both["data"]["watermark"]["appid"], APPID);
    let encrypted = server.call(user_data(&ticket, &without(&body, &["rawData", "signature"]))).await.is_ok().json();
    assert_eq!(encrypted, without(&both, &["signature_valid"]));
    let signed = server.call(user_data(&ticket, &without(&body, &["encryptedData", "iv"]))).await.is_ok().json();
    assert_eq!(signed, json!({ "signature_valid": true }));
    // A renewed ticket, on whichever replica, has the same session_key inside.
    let renewed = server.call(Call::post("/v1/renew").ticket(&ticket)).await.ticket();
    assert_eq!(server.call(user_data(&renewed, &body)).await.is_ok().json(), both);
    assert_eq!(server.calls("checksession").await, 0, "nobody asks while all is well");
}

#[tokio::test]
async fn whatever_is_wrong_the_answer_is_one_and_the_same() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let good = profile(&server, "alice").await;
    let data = STANDARD.decode(good["encryptedData"].as_str().unwrap()).unwrap();
    let iv = STANDARD.decode(good["iv"].as_str().unwrap()).unwrap();
    let encrypted =
        |data: &[u8], iv: &[u8]| json!({ "encryptedData": STANDARD.encode(data), "iv": STANDARD.encode(iv) });
    let mut wrong = Vec::new();
    for bit in (0..16).chain(72..128) {
        // The first two characters, and those of the quote, colon and value that follow the name openId.
        let mut iv = iv.clone();
        iv[bit / 8] ^= 1 << (bit % 8);
        wrong.push(encrypted(&data, &iv));
    }
    for len in [16, 32, data.len() - 16] {
        wrong.push(encrypted(&data[..len], &iv));
    }
    // The end of the data: its watermark and padding.
    for at in data.len() - 48..data.len() {
        let mut data = data.clone();
        data[at] ^= 0x40;
        wrong.push(encrypted(&data, &iv));
    }
    // Every signature but the right one, over every text but the right one.
    let signature = good["signature"].as_str().unwrap();
    for other in ["", "0", &signature[1..], &signature.to_uppercase(), &format!("{signature} "), &"0".repeat(40)] {
        wrong.push(with(&good, "signature", other));
    }
    wrong.push(with(&good, "rawData", ""));
    wrong.push(with(&good, "rawData", format!("{} ", good["rawData"].as_str().unwrap())));
    wrong.push(with(&profile(&server, "bob").await, "iv", good["iv"].clone()));
    // Right in all but what it says.
    for data in [
        json!({ "openId": server.openid("bob") }),
        json!({ "openId": 1 }),
        json!({ "openId": null }),
        json!({ "unionId": server.unionid("bob") }),
        json!({ "openId": server.openid("alice"), "unionId": server.unionid("bob") }),
        json!({ "unionId": 1 }),
        json!({ "watermark": { "timestamp": 1, "appid": OTHER_APPID } }),
        json!({ "watermark": { "timestamp": 1 } }),
        json!({ "watermark": APPID }),
        json!({ "phoneNumber": "13800000000" }),
        json!({ "openId": server.openid("alice"), "phoneNumber": null }),
        json!("[]"),
        json!("null"),
        json!("{"),
        json!(""),
    ] {
        wrong.push(server.simulator("encrypt", &json!({ "appid": APPID, "name": "alice", "data": data })).await);
    }
    let other_app = json!({ "appid": OTHER_APPID, "name": "alice" });
    wrong.push(server.simulator("encrypt", &other_app).await);

    let mut said = Vec::new();
    for body in &wrong {
        let mut answer = server.call(user_data(&ticket, body)).await.is_error("bad_user_data").json();
        answer["request_id"].take();
        said.push(answer);
    }
    assert!(wrong.len() > 140);
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(server.calls("checksession").await <= 4, "asking is bounded");
    server.call(user_data(&ticket, &good)).await.is_ok();
}

/// A changed block becomes 16 bytes that nobody chose, which may stand in a text as characters that are none. Whose data it is
/// stands all the same.
#[tokio::test]
async fn a_changed_block_is_refused_or_garbles_a_text() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let good = without(&profile(&server, "alice").await, &["rawData", "signature"]);
    let data = STANDARD.decode(good["encryptedData"].as_str().unwrap()).unwrap();
    for at in (0..data.len()).step_by(5) {
        let mut data = data.clone();
        data[at] ^= 0x40;
        let answer = server.call(user_data(&ticket, &with(&good, "encryptedData", STANDARD.encode(data)))).await;
        if answer.status == 200 {
            let told = answer.json()["data"].clone();
            let own = [("openId", server.openid("alice")), ("unionId", server.unionid("alice"))];
            for (name, own) in own {
                assert!(told.get(name).is_none_or(|told| *told == own), "{told}");
            }
            assert!(told.as_object().unwrap().keys().all(|name| name.is_ascii()), "no name is garbled: {told}");
        } else {
            answer.is_error("bad_user_data");
        }
    }
}

/// Base64 changes on its way: through forms, through libraries, by hand. That depends on no key, so it is told, and nobody asked.
#[tokio::test]
async fn base64_that_is_none_is_told_apart_before_anything_is_asked() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    // The same for every key: no question to the platform could tell more.
    let data = STANDARD.encode([&[0xfb, 0xef, 0xbe, 0xff, 0xff, 0xff][..], &[7; 90]].concat());
    let iv = "r7BXXKkLb8qrSNn05n0qiA==";
    let lines =
        data.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\n");
    for (bad_data, bad_iv, says) in [
        (data.replace('+', " "), iv, "a + was read as one"),
        (data.replace('+', "-").replace('/', "_"), iv, "base64url"),
        (lines, iv, "line breaks"),
        (data.replace('+', "%2B"), iv, "percent-encoded"),
        (String::new(), iv, "encryptedData is empty"),
        (data[..data.len() - 2].to_owned(), iv, "is missing"),
        (STANDARD.encode([7; 17]), iv, "whole blocks"),
        (data.clone(), "x", "iv is not whole base64"),
        (data.clone(), "", "iv is empty"),
        (data.clone(), "r7BXXKkLb8qrSNn05n0qiA%3D%3D", "iv is not base64: it looks percent-encoded"),
        (data.clone(), "r7BXXKkLb8qrSNn05n0q", "not of 16 bytes"),
    ] {
        let body = json!({ "encryptedData": bad_data, "iv": bad_iv });
        for path in ["/v1/userdata", "/v1/phone"] {
            let answer = server.call(Call::post(path).ticket(&ticket).json(&body)).await;
            let told = answer.is_error("invalid_request").text("error_description");
            assert!(told.contains(says), "{path} {body}: {told}");
        }
        // With a signature beside it, which is wrong: still nobody is asked.
        let both = json!({ "encryptedData": bad_data, "iv": bad_iv, "rawData": "x", "signature": "x" });
        server.call(user_data(&ticket, &both)).await.is_error("invalid_request");
    }
    assert_eq!((server.calls("checksession").await, server.calls("checkencryptedmsg").await), (0, 0));
    let check = server.call(Call::post("/v1/session/check").ticket(&ticket)).await;
    assert_eq!(check.is_ok().json(), json!({ "session_key_valid": true }), "the quota is untouched");
}

/// Data as phones really send it.
#[tokio::test]
async fn odd_data_of_ones_own_comes_out() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let watermark = format!(r#""watermark":{{"timestamp":1,"appid":"{APPID}"}}"#);
    for (members, name, expected) in [
        ("\"nickName\":\"a\u{14}b\"".to_owned(), "nickName", json!("a\u{fffd}b")),
        (r#""nickName":"\ud83d""#.to_owned(), "nickName", json!("\u{fffd}")),
        (r#""unionId":"""#.to_owned(), "unionId", json!("")),
        (format!(r#""openId":"{}""#, server.openid("alice")), "openId", json!(server.openid("alice"))),
    ] {
        let text = json!(format!("{{{members},{watermark}}}"));
        let made = server.simulator("encrypt", &json!({ "appid": APPID, "name": "alice", "data": text })).await;
        let answer = server.call(user_data(&ticket, &made)).await;
        assert_eq!(answer.is_ok().json()["data"][name], expected, "{members}");
    }
    let text = format!(r#"{{"id":123456789012345678901234567890,"rate":1.50,{watermark}}}"#);
    let made = server.simulator("encrypt", &json!({ "appid": APPID, "name": "alice", "data": text })).await;
    let answer = server.call(user_data(&ticket, &made)).await;
    let body = answer.is_ok().body_text();
    assert_eq!(body, format!(r#"{{"data":{text}}}"#), "numbers are as they were written");
    assert_eq!(server.calls("checksession").await, 0);
}

/// The cipher has no MAC, so a user can rename the first field of his own data.
#[tokio::test]
async fn a_changed_iv_renames_a_field_of_ones_own_data_and_no_more() {
    let server = TestServer::start().await;
    let good = without(&profile(&server, "alice").await, &["rawData", "signature"]);
    let whole = server.call(user_data(&server.ticket_for("alice").await, &good)).await.is_ok().json();
    let iv = STANDARD.decode(good["iv"].as_str().unwrap()).unwrap();
    let mut renamed = 0;
    for bit in 16..72 {
        let mut iv = iv.clone();
        iv[bit / 8] ^= 1 << (bit % 8);
        let ticket = server.ticket_for("alice").await;
        let answer = server.call(user_data(&ticket, &with(&good, "iv", STANDARD.encode(iv)))).await;
        if answer.status == 200 {
            let data = answer.json()["data"].clone();
            assert!(data.get("openId").is_none(), "no openid is shown but the ticket's: {data}");
            let rest = |data: &Value| without(data, &["openId"]).as_object().unwrap().clone();
            let (left, all) = (rest(&data), rest(&whole["data"]));
            assert_eq!(left.len(), all.len() + 1);
            assert!(all.iter().all(|(name, value)| left.get(name) == Some(value)), "{data}");
            renamed += 1;
        } else {
            answer.is_error("bad_user_data");
        }
    }
    assert!(renamed > 0, "the reason for the checks is gone");
}

#[tokio::test]
async fn another_users_data_is_refused() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.ticket_for("alice").await, server.ticket_for("bob").await);
    let of_bob = profile(&server, "bob").await;
    server.call(user_data(&alice, &of_bob)).await.is_error("bad_user_data");
    server.call(user_data(&bob, &of_bob)).await.is_ok();
}

#[tokio::test]
async fn a_stale_session_key_is_called_that_only_when_the_platform_says_so() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let before = profile(&server, "alice").await;
    server.simulator("users/alice/reset-session-key", &json!({})).await;
    let after = profile(&server, "alice").await;
    // The old ticket goes with the old data: that is authentic, whatever has become of the key.
    server.call(user_data(&ticket, &before)).await.is_ok();
    server.call(user_data(&ticket, &after)).await.is_error("session_key_stale");
    let new = server.ticket_for("alice").await;
    server.call(user_data(&new, &after)).await.is_ok();
    server.call(user_data(&new, &before)).await.is_error("bad_user_data");

    // Trouble at the platform is no word of it, and the client is not told of that trouble.
    for fault in ["err--1", "err-87008", "http-500", "garbage", "cut"] {
        server.simulator("faults", &json!({ "endpoint": "checksession", "fault": fault, "times": 1 })).await;
        let ticket = server.ticket_for("alice").await;
        server.simulator("users/alice/reset-session-key", &json!({})).await;
        let after = profile(&server, "alice").await;
        server.call(user_data(&ticket, &after)).await.is_error("bad_user_data");
        server.call(user_data(&ticket, &after)).await.is_error("session_key_stale");
    }
}

#[tokio::test]
async fn a_unionid_that_the_login_did_not_have_is_not_believed() {
    let server = TestServer::builder().app(VECTOR_APPID).start().await;
    for (unionid, is_taken) in [("", false), ("another", false), ("ocMvos6NjeKLIBqg5Mr9QjxrP1FA", true)] {
        let mut claims = vector_session();
        claims.unionid = PlatformId::parse(unionid).ok();
        let answer = server.call(user_data(&server.sealed(&claims), &vector())).await;
        if is_taken {
            answer.is_ok()
        } else {
            answer.is_error("bad_user_data")
        };
    }
}

#[tokio::test]
async fn a_number_passes_through_no_other_door() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let made = server.simulator("encrypt", &json!({ "appid": APPID, "name": "alice", "kind": "phone" })).await;
    server.call(user_data(&ticket, &made)).await.is_error("bad_user_data");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let good = profile(&server, "alice").await;
    for body in [
        json!({}),
        json!([]),
        json!(1),
        without(&good, &["iv"]),
        without(&good, &["encryptedData"]),
        without(&good, &["signature"]),
        without(&good, &["rawData"]),
        with(&good, "iv", 1),
        with(&good, "rawData", json!({})),
    ] {
        server.call(user_data(&ticket, &body)).await.is_error("invalid_request");
    }
    let twice = br#"{"rawData":"a","rawData":"b","signature":""}"#;
    let call = Call::post("/v1/userdata").ticket(&ticket).body("application/json", twice);
    server.call(call).await.is_error("invalid_request");
    server.call(user_data("garbage", &good)).await.is_error("invalid_ticket");
    server.call(Call::post("/v1/userdata").json(&good)).await.is_error("invalid_ticket");
    server.call(Call::post("/v1/userdata").ticket(&ticket).body("", "{}")).await.is_error("unsupported_media_type");
    let mut claims = session("o-alice", START);
    claims.session_key = None;
    server.call(user_data(&server.sealed(&claims), &good)).await.is_error("invalid_request");
}
