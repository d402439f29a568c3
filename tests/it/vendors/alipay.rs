//! Alipay, by <https://opendocs.alipay.com/common/02kf5q> (signing), 02mse7 (verifying) and the page of `alipay.system.oauth.token`.
//! What it signs and encrypts is in `tests/vectors/alipay.json`, made with openssl.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, command, exactly};
use crate::support::{Outcome, Reply, auth_ticket};

const APP: &str = "appid = \"2021000000000001\"\nplatform = \"alipay\"\nprivate_key_file = \"{dir}/app.pem\"\n\
                   alipay_public_key_file = \"{dir}/alipay.pem\"\n";
const WITH_PHONE: &str = "phone = true\naes_key_env = \"AES_KEY\"\n";

fn keys(name: &str) -> String {
    let keys: Value = serde_json::from_str(include_str!("../../vectors/rsa.json")).unwrap();
    keys[name].as_str().unwrap().to_owned()
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../vectors/alipay.json")).unwrap()
}

fn phone(name: &str) -> String {
    vectors()["phones"][name].as_str().unwrap().to_owned()
}

/// `yyyy-MM-dd HH:mm:ss`, a few minutes around the present in China.
fn is_now(timestamp: &str) -> bool {
    let shape: String = timestamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let Ok(told) = time::PrimitiveDateTime::parse(timestamp, format) else { return false };
    let now = time::OffsetDateTime::now_utc() + time::Duration::hours(8);
    let apart = (told.assume_utc() - now).abs();
    shape == "0000-00-00 00:00:00" && apart < time::Duration::minutes(2)
}

/// What the pages demand of a request; the code of a good one.
fn checked(request: &Received) -> Result<String, String> {
    request.is("POST")?;
    if request.path != "/gateway.do" {
        return Err("another path".to_owned());
    }
    let query = request.query();
    let names = ["app_id", "method", "format", "charset", "sign_type", "timestamp", "version", "sign"];
    let [app_id, method, format, charset, sign_type, timestamp, version, sign] = exactly(&query, names)?;
    let form = request.form()?;
    let [grant_type, code] = exactly(&form, ["grant_type", "code"])?;
    let fixed = [&*app_id, &*method, &*format, &*charset, &*sign_type, &*version, &*grant_type];
    let expected =
        ["2021000000000001", "alipay.system.oauth.token", "JSON", "utf-8", "RSA2", "1.0", "authorization_code"];
    if fixed != expected || !is_now(&timestamp) {
        return Err("another value".to_owned());
    }
    let mut signed: Vec<_> = query.into_iter().chain(form).filter(|(name, _)| name != "sign").collect();
    signed.sort();
    let text = signed.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let pem = keys("public");
    let der = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der);
    let sign = STANDARD.decode(sign).map_err(|error| error.to_string())?;
    key.verify(text.as_bytes(), &sign).map_err(|_| format!("not signed: {text}"))?;
    Ok(code)
}

/// JSON under the label that the gateway gives it.
fn html(body: String) -> Reply {
    Reply::Http("200 OK\r\nContent-Type: text/html;charset=utf-8", body)
}

fn response(name: &str, text: &Value, sign: &Value) -> String {
    format!("{{\"{name}\":{},\"sign\":{sign}}}", text.as_str().unwrap())
}

const OK: &str = "alipay_system_oauth_token_response";

/// Answers by the code: a name of the vectors, or `CODE/SUB_CODE` in one of the three forms of errors.
fn answer(request: &Received) -> Result<Reply, String> {
    let code = checked(request)?;
    let vectors = vectors();
    let code = if code == "auth-ticket-doctor" { "invalid:sign" } else { &*code };
    let (kind, rest) = code.split_once(':').unwrap_or(("", code));
    let error = |rest: &str| {
        let (code, sub_code) = rest.split_once('/').unwrap();
        match sub_code {
            "" => json!({"code": code, "msg": "x"}),
            sub_code => json!({"code": code, "msg": "x", "sub_code": sub_code, "sub_msg": "x"}),
        }
    };
    let reply = &vectors["replies"][rest];
    Ok(html(match kind {
        "good" => response(OK, &reply["text"], &reply["sign"]),
        "other-key" => response(OK, &reply["text"], &reply["sign_by_another_key"]),
        "unsigned" => format!("{{\"{OK}\":{}}}", reply["text"].as_str().unwrap()),
        "invalid" => response("error_response", &vectors["code_invalid"]["text"], &vectors["code_invalid"][rest]),
        "error" => json!({"error_response": error(rest)}).to_string(),
        "error-inside" => json!({OK: error(rest), "sign": "AAAA"}).to_string(),
        _ => return Err("no such code".to_owned()),
    }))
}

fn login(vendor: &Vendor, more: &str) -> Login {
    let files = [("app.pem", &*keys("pkcs8")), ("alipay.pem", &*keys("other_public"))];
    let aes_key = vectors()["aes_key"].as_str().unwrap().to_owned();
    vendor.login(&format!("{APP}{more}"), &files, &[("AES_KEY", &*aes_key)])
}

#[test]
fn a_code_becomes_a_session_by_the_id_that_the_configuration_names() {
    let vendor = Vendor::start(answer);
    let server = login(&vendor, "");
    let open_id = "083luGU2AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-A";
    for code in ["good:both", "good:texts"] {
        let session = server.session(&server.ticket(code));
        assert_eq!((&session["openid"], &session["platform"]), (&json!(open_id), &json!("alipay")), "{code}");
        assert_eq!(session["unionid"], Value::Null);
    }
    // The other id would make a second openid for the same person.
    server.is_error(&server.code("good:user_id_only"), 502, "upstream_failed");
    server.logs("set subject_id to the one that this app has");
    let older = login(&vendor, "subject_id = \"user_id\"\n");
    for code in ["good:both", "good:user_id_only"] {
        assert_eq!(older.session(&older.ticket(code))["openid"], "2088123412341234", "{code}");
    }
    older.is_error(&older.code("good:texts"), 502, "upstream_failed");
    vendor.is_content();
}

#[test]
fn an_answer_that_alipay_has_not_signed_logs_nobody_in() {
    let vendor = Vendor::start(answer);
    let server = login(&vendor, "");
    for code in ["other-key:both", "unsigned:both", "other-key:texts", "invalid:sign_by_another_key"] {
        server.is_error(&server.code(code), 502, "upstream_failed");
    }
    server.logs("copy Alipay's public key of this app");
    server.is_error(&server.code("invalid:sign"), 401, "invalid_code");
    vendor.is_content();
}

#[test]
fn each_code_has_its_answer_in_both_forms() {
    let vendor = Vendor::start(answer);
    let server = login(&vendor, "");
    for (code, status, error) in [
        ("40002/isv.code-invalid", 401, "invalid_code"),
        ("40001/isv.missing-method", 500, "server_misconfigured"),
        ("40001/isv.missing-signature", 500, "server_misconfigured"),
        ("40002/isv.invalid-app-id", 500, "server_misconfigured"),
        ("40002/isv.invalid-signature", 500, "server_misconfigured"),
        ("40002/isv.invalid-signature-type", 500, "server_misconfigured"),
        ("40002/isv.invalid-timestamp", 500, "server_misconfigured"),
        ("40002/isv.invalid-charset", 500, "server_misconfigured"),
        ("40002/isv.invalid-method", 500, "server_misconfigured"),
        ("40002/isv.invalid-parameter", 500, "server_misconfigured"),
        ("40002/isv.suspected-attack", 500, "server_misconfigured"),
        ("40002/isv.forbidden-api", 500, "server_misconfigured"),
        ("40002/app-cert-expired", 500, "server_misconfigured"),
        ("40002/not-online-app", 500, "server_misconfigured"),
        ("40003/isv.missing-signature-config", 500, "server_misconfigured"),
        ("40006/isv.insufficient-isv-permissions", 500, "server_misconfigured"),
        ("40006/anything", 500, "server_misconfigured"),
        ("20001/aop.invalid-auth-token", 500, "server_misconfigured"),
        ("20000/isp.unknow-error", 503, "upstream_busy"),
        ("20000/aop.unknow-error", 503, "upstream_busy"),
        ("40005/isv.app-call-limited", 503, "upstream_busy"),
        ("40005/isv.method-call-limited", 503, "upstream_busy"),
        ("40004/ACQ.SYSTEM", 502, "upstream_failed"),
        ("40002/isv.never-heard-of", 502, "upstream_failed"),
        ("99999/", 502, "upstream_failed"),
    ] {
        server.is_error(&server.code(&format!("error:{code}")), status, error);
        // Under its own name a code that is not known has to be signed by the right key, as it is otherwise.
        if error != "invalid_code" {
            server.is_error(&server.code(&format!("error-inside:{code}")), status, error);
        }
    }
    for remedy in ["check it in the configuration", "private_key_file is not the one", "compare this server's with NTP"]
    {
        server.logs(remedy);
    }
    vendor.is_content();
}

#[test]
fn a_signed_phone_number_is_taken_only_where_the_configuration_says_so() {
    let vendor = Vendor::start(answer);
    let body = |name: &str| json!({ "response": phone(name) });
    let without = login(&vendor, "");
    let ticket = without.ticket("good:both");
    without.is_error(&without.post("/v1/phone", &ticket, &body("good")), 400, "not_supported");
    let server = login(&vendor, WITH_PHONE);
    server.logs("phone: nothing ties such a phone number to a user or a time");
    for name in ["good", "with_more"] {
        let answer = server.post("/v1/phone", &server.ticket("good:both"), &body(name));
        assert_eq!(
            (answer.status, &answer.json()["phone_number"]),
            (200, &json!("+8613800000000")),
            "{name} {answer:?}"
        );
        let sealed = server.session(answer.json()["ticket"].as_str().unwrap());
        assert_eq!(sealed["phone_number"], "+8613800000000", "{sealed}");
    }
    for bad in [
        "signed_without_quotes",
        "signed_by_the_app",
        "unsigned",
        "unsigned_error",
        "under_another_key",
        "abroad",
        "more_members",
    ] {
        let answer = server.post("/v1/phone", &server.ticket("good:both"), &body(bad));
        server.is_error(&answer, 400, "bad_user_data");
    }
    for (name, status, error) in [
        ("missing_encrypt_key", 500, "server_misconfigured"),
        ("no_permission", 500, "server_misconfigured"),
        ("no_agreement", 400, "invalid_phone_code"),
        ("busy", 503, "upstream_busy"),
        ("busy_inside", 503, "upstream_busy"),
    ] {
        server.is_error(&server.post("/v1/phone", &server.ticket("good:both"), &body(name)), status, error);
    }
    server.logs("the app has no AES key");
    // Codes and other platforms' data are nothing here.
    server.is_error(&server.phone_code(&server.ticket("good:both"), "code"), 400, "not_supported");
    for (path, wrong) in [("/v1/phone", json!({"response": "{}", "code": "x"})), ("/v1/phone", json!({"response": 1}))]
    {
        server.is_error(&server.post(path, &server.ticket("good:both"), &wrong), 400, "invalid_request");
    }
    let no_json = json!({"response": "no JSON"});
    server.is_error(&server.post("/v1/phone", &server.ticket("good:both"), &no_json), 400, "bad_user_data");
    // A ticket of another server's keys.
    server.is_error(&server.post("/v1/phone", &ticket, &body("good")), 401, "invalid_ticket");
    vendor.is_content();
}

#[test]
fn what_the_configuration_lacks_or_has_too_much_is_told() {
    let (app, alipay) = (keys("pkcs8"), keys("other_public"));
    let without = |key: &str| APP.split_inclusive('\n').filter(|line| !line.starts_with(key)).collect::<String>();
    for (table, app, alipay, expected) in [
        (
            without("private_key_file"),
            &*app,
            &*alipay,
            "private_key_file: is missing, and platform \"alipay\" needs it",
        ),
        (
            without("alipay_public"),
            &app,
            &alipay,
            "alipay_public_key_file: is missing, and platform \"alipay\" needs it",
        ),
        (
            format!("{APP}phone = true\n"),
            &app,
            &alipay,
            "aes_key_env: is missing, and so is aes_key_file, and phone needs it",
        ),
        (format!("{APP}secret_env = \"AES_KEY\"\n"), &app, &alipay, "secret_env: platform \"alipay\" does not take it"),
        (format!("{APP}subject_id = \"openid\"\n"), &app, &alipay, "write \"open_id\" or \"user_id\""),
        (
            format!("{APP}phone = true\naes_key_env = \"BAD_KEY\"\n"),
            &app,
            &alipay,
            "aes_key_env: the key there is not base64 of 16 bytes",
        ),
        (APP.to_owned(), &alipay, &alipay, "private_key_file: the file holds a public key or a certificate"),
        (APP.to_owned(), &app, &app, "alipay_public_key_file: the file holds a private key"),
        (APP.to_owned(), "canary", &alipay, "private_key_file: the file is no PEM"),
    ] {
        let files = [("app.pem", app), ("alipay.pem", alipay)];
        let env = [("AES_KEY", "canary"), ("BAD_KEY", "canary")];
        let (_keys, mut command) = command("127.0.0.1:9".parse().unwrap(), &table, &files, &env);
        let refused = Outcome::of(&mut command).refused();
        assert!(refused.contains(expected) && !refused.contains("canary"), "{expected}: {refused}");
    }
}

#[test]
fn the_doctor_tells_the_wrong_one_of_two_public_keys() {
    let vendor = Vendor::start(answer);
    for (alipay, expected) in [
        ("other_public", "the platform accepts appid and secret"),
        ("public", "the answer is not signed with the key in alipay_public_key_file"),
    ] {
        let files = [("app.pem", &*keys("pkcs8")), ("alipay.pem", &*keys(alipay))];
        let (keys, _) = vendor.command(APP, &files, &[]);
        let outcome = Outcome::of(auth_ticket(&["doctor", "--config"]).arg(keys.root().join("login.toml")));
        assert!(outcome.stdout.contains(expected), "{expected}: {outcome:#?}");
    }
}

#[test]
fn no_output_shows_a_key_or_a_phone_number() {
    let vendor = Vendor::start(answer);
    let mut server = login(&vendor, WITH_PHONE);
    let ticket = server.ticket("good:both");
    for name in ["good", "under_another_key", "unsigned", "busy_inside"] {
        server.post("/v1/phone", &ticket, &json!({ "response": phone(name) }));
    }
    server.code("error:40002/isv.invalid-signature");
    server.code("other-key:both");
    server.server.stop();
    let (log, key, vectors) = (server.log(), keys("pkcs8"), vectors());
    let aes_key = vectors["aes_key"].as_str().unwrap();
    let blob: Value = serde_json::from_str(&phone("good")).unwrap();
    let [response, sign] = ["response", "sign"].map(|name| blob[name].as_str().unwrap());
    let lines = key.lines().filter(|line| !line.starts_with("-----"));
    let aes_hex = hex::encode(STANDARD.decode(aes_key).unwrap());
    for secret in lines.chain([aes_key, &aes_hex, "authusrBcanary", "13800000000", response, sign]) {
        assert!(!log.contains(secret), "the log shows {secret}: {log}");
    }
}
