//! `WeChat` where a third-party platform acts for the app, from
//! <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/miniprogram-management/login/thirdpartyCode2Session.html>: a GET
//! with five parameters, the access token of the third-party platform among them, and no secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, exactly};
use crate::support::Reply;

const APP: &str = "appid = \"wx0123456789abcdef\"\nplatform = \"weapp\"\ncomponent_appid = \"wxfedcba9876543210\"\n";
const CODE: &str = "good+code&=%/";
const PATH: &str = "/sns/component/jscode2session";

fn answer(request: &Received, valid: &str) -> Result<Reply, String> {
    request.is("GET")?;
    if request.path != PATH {
        return Err(format!("another address: {}", request.path));
    }
    let names = ["component_access_token", "component_appid", "appid", "js_code", "grant_type"];
    let [token, component_appid, appid, js_code, grant_type] = exactly(&request.query(), names)?;
    if (&*component_appid, &*appid, &*grant_type) != ("wxfedcba9876543210", "wx0123456789abcdef", "authorization_code")
    {
        return Err("another app or grant_type".to_owned());
    }
    let answer = match &*js_code {
        _ if token != valid => refusal(&json!(42001)),
        CODE => json!({
            "openid": "oGZUI0egBJY1zhBYw2KhdUfwVJJE", "session_key": "tiihtNczf5v6AKRyjwEUhQ==", "unionid": "oHAUs6LSuwgHq",
        }),
        "not-authorized" => refusal(&json!(61003)),
        // The page's example has the number as text.
        _ => refusal(&json!("40029")),
    };
    Ok(Reply::Http("200 OK\r\nContent-Type: text/plain", answer.to_string()))
}

fn refusal(errcode: &Value) -> Value {
    json!({ "errcode": errcode, "errmsg": "no, rid: 652d44d0-0e4a1b2c-00000001" })
}

/// The owner's side: a file with the token, and the platform's idea of it.
struct Owner {
    _directory: tempfile::TempDir,
    file: PathBuf,
    valid: Arc<Mutex<String>>,
}

impl Owner {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let owner = Self { file: directory.path().join("token"), valid: Arc::default(), _directory: directory };
        owner.platform_takes("canary/1+=");
        owner.writes("canary/1+=\n");
        owner
    }

    fn platform_takes(&self, token: &str) {
        token.clone_into(&mut self.valid.lock().unwrap());
    }

    /// Replaces the file as a whole.
    fn writes(&self, text: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    fn vendor(&self) -> Vendor {
        let valid = Arc::clone(&self.valid);
        Vendor::start(move |request| {
            let valid = valid.lock().unwrap().clone();
            answer(request, &valid)
        })
    }

    fn app(&self) -> String {
        format!("{APP}component_access_token_file = \"{}\"\n", self.file.display())
    }
}

fn mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_third_party_platform_is_asked_as_its_page_says() {
    let owner = Owner::new();
    let vendor = owner.vendor();
    let login = vendor.login(&owner.app(), &[], &[]);
    let session = login.session(&login.ticket(CODE));
    let expected = json!(["oGZUI0egBJY1zhBYw2KhdUfwVJJE", "oHAUs6LSuwgHq"]);
    assert_eq!(json!([session["openid"], session["unionid"]]), expected);
    login.is_error(&login.code("other"), 401, "invalid_code");
    login.is_error(&login.code("not-authorized"), 500, "server_misconfigured");
    login.says("has not authorized the third-party platform");
    assert!(!login.log().contains("canary"), "{}", login.log());
    assert_eq!(vendor.calls(PATH), 3, "nothing is asked twice");
    vendor.is_content();
}

#[test]
fn the_token_is_read_again_when_the_owner_replaces_it() {
    let owner = Owner::new();
    let vendor = owner.vendor();
    let login = vendor.login(&owner.app(), &[], &[]);
    login.ticket(CODE);
    owner.platform_takes("canary/2+=");
    login.is_error(&login.code(CODE), 500, "server_misconfigured");
    assert_eq!(vendor.calls(PATH), 2, "the same token is not sent twice");
    owner.writes("canary/2+=\n");
    login.ticket(CODE);
    login.says("refuses the token in component_access_token_file");
    assert!(!login.log().contains("canary"), "{}", login.log());
    vendor.is_content();
}

#[test]
fn a_file_that_is_missing_empty_or_open_is_told_with_its_remedy() {
    let owner = Owner::new();
    let vendor = owner.vendor();
    let login = vendor.login(&owner.app(), &[], &[]);
    let refused = |login: &Login, wanted: &str| {
        login.is_error(&login.code(CODE), 500, "server_misconfigured");
        login.says(wanted);
    };
    owner.writes("");
    refused(&login, "is empty");
    fs::remove_file(&owner.file).unwrap();
    refused(&login, "there is no such file");
    owner.writes("canary/1+=\n");
    mode(&owner.file, 0o644);
    refused(&login, "open to every user");
    assert_eq!(vendor.calls(PATH), 0, "no code is spent");
    mode(&owner.file, 0o600);
    login.ticket(CODE);
    assert!(!login.log().contains("canary"), "{}", login.log());
    vendor.is_content();
}

#[test]
fn such_a_file_has_to_be_there_at_start() {
    let owner = Owner::new();
    let vendor = owner.vendor();
    for (text, wanted) in
        [(None, "there is no such file"), (Some(""), "is empty"), (Some("\"t\""), "has quotes around")]
    {
        match text {
            None => fs::remove_file(&owner.file).unwrap(),
            Some(text) => owner.writes(text),
        }
        let (_keys, mut command) = vendor.command(&owner.app(), &[], &[]);
        let output = command.output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        let named = message.contains("app[0].component_access_token_file: ");
        assert!(!output.status.success() && named && message.contains(wanted), "{message}");
    }
}

#[test]
fn what_needs_a_token_of_the_app_is_not_supported() {
    let owner = Owner::new();
    let vendor = owner.vendor();
    let login = vendor.login(&owner.app(), &[], &[]);
    let ticket = login.ticket(CODE);
    let data = json!({ "encryptedData": "A".repeat(64), "iv": "A".repeat(22) + "==" });
    for (path, body) in [
        ("/v1/phone", &json!({ "code": "c" })),
        ("/v1/phone", &data),
        ("/v1/session/check", &json!({})),
        ("/v1/session/reset", &json!({})),
    ] {
        login.is_error(&login.post(path, &ticket, body), 400, "not_supported");
    }
    // This needs the session_key alone.
    login.is_error(&login.post("/v1/userdata", &ticket, &data), 400, "bad_user_data");
    assert_eq!(vendor.calls(PATH), 1);
    vendor.is_content();
}
