//! Secrets come from a variable or a file, and go nowhere.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::super::Config;
use super::super::secret::unix::may_be_read_from;
use super::super::secret::{from_file, from_variable};
use super::{APP, CANARY, good, mistakes, mistakes_with, parse, with_secrets};

#[test]
fn debug_output_shows_no_secret() {
    let service = "[[service]]\nid = \"orders\"\nsecret_env = \"ORDERS_SECRET\"\n";
    let shown = format!("{:?}", good(&format!("{APP}{service}")));
    assert_eq!(shown.matches("SecretText(..)").count(), 1, "the app's is left out: {shown}");
    assert!(!shown.contains("canary") && !shown.contains(CANARY), "{shown}");
}

#[test]
fn the_secret_itself_in_the_file_is_refused_without_showing_it() {
    for key in ["secret", "app_secret", "appSecret"] {
        let text = APP.replace("secret_env = \"WX_SECRET\"", &format!("{key} = \"canary\""));
        let expected =
            format!("login.toml:4: app[0].{key}: never put the secret itself here; use secret_env or secret_file");
        assert_eq!(mistakes(&text), [expected]);
    }
}

#[test]
fn the_secret_itself_in_place_of_a_name_is_not_shown() {
    for secret in ["canary", "0123456789abcdef0123456789abcdef", "QWERTZUIOP", "a/b+canary"] {
        for key in ["secret_env", "secret_file"] {
            let found = mistakes(&APP.replace("secret_env = \"WX_SECRET\"", &format!("{key} = \"{secret}\"")));
            assert!(found.len() == 1 && found[0].starts_with(&format!("login.toml:4: app[0].{key}: ")), "{found:?}");
            assert!(!found[0].contains(secret), "{found:?}");
        }
    }
}

#[test]
fn exactly_one_source_of_a_secret_is_needed() {
    assert_eq!(
        mistakes(&format!("{APP}secret_file = \"/canary\"\n")),
        ["login.toml:5: app[0].secret_file: secret_env is given, too; keep one of the two"]
    );
}

#[test]
fn the_named_variable_holds_the_secret_and_nothing_else() {
    let text = APP.replace("WX_SECRET", "MY_SECRET");
    for (value, expected) in [
        ("", "MY_SECRET is empty; it should hold the secret"),
        ("canary ", "MY_SECRET holds white space or control characters; it should hold the secret and nothing else"),
        ("canary\n", "MY_SECRET holds white space or control characters; it should hold the secret and nothing else"),
        (
            "\u{7f}canary",
            "MY_SECRET holds white space or control characters; it should hold the secret and nothing else",
        ),
        (
            "\"canary\"",
            "MY_SECRET has quotes around the secret; write the secret without them, for docker's --env-file keeps them as \
             part of the value",
        ),
        (
            "'canary'",
            "MY_SECRET has quotes around the secret; write the secret without them, for docker's --env-file keeps them as \
             part of the value",
        ),
        ("\u{feff}canary", "MY_SECRET begins with a byte order mark; save it as UTF-8 without one"),
        (
            "canary\u{ff11}",
            "MY_SECRET holds characters beyond ASCII, which no secret has; copy it again from where it is shown",
        ),
        (
            "\u{201c}canary\u{201d}",
            "MY_SECRET holds characters beyond ASCII, which no secret has; copy it again from where it is shown",
        ),
    ] {
        let found = mistakes_with(&text, &[("MY_SECRET", value)]);
        assert_eq!(found, [format!("login.toml:4: app[0].secret_env: {expected}")]);
    }
    assert_eq!(
        mistakes(&text),
        ["login.toml:4: app[0].secret_env: MY_SECRET is not set in the environment; set it to the secret, or use \
          secret_file"]
    );
    let mut env = with_secrets(&[]);
    env.push(("MY_SECRET".into(), OsString::from_vec(b"canary\xff".to_vec())));
    let error = Config::parse("login.toml", &text, env, &[]).unwrap_err();
    assert!(error.to_string().ends_with("MY_SECRET holds text that is not UTF-8; set it to the secret"), "{error}");
    assert_eq!(from_variable("A_B", Some(OsStr::new("s"))).unwrap(), "s");
}

#[test]
fn a_secret_of_a_service_fits_into_http_basic() {
    let text = format!("{APP}[[service]]\nid = \"orders\"\nsecret_env = \"MY_SECRET\"\n");
    let long = |end: &str| format!("canary-canary-canary{end}");
    for secret in [&long(":"), &long("%41"), &long("+"), &"canary".repeat(22), "canary-canary-c"] {
        assert_eq!(
            mistakes_with(&text, &[("MY_SECRET", secret)]),
            [
                "login.toml:7: service[0].secret_env: the secret there does not do; use 16 to 128 visible ASCII characters \
              without % + :, such as openssl rand -hex 32 prints"
            ]
        );
    }
}

fn secret_file(dir: &tempfile::TempDir, content: &[u8], mode: u32) -> PathBuf {
    let path = dir.path().join(format!("secret-{}-{mode:o}", content.len()));
    fs::File::create(&path).and_then(|mut file| std::io::Write::write_all(&mut file, content)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_secret_file_loses_one_newline_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    for (content, expected) in [
        ("s3", Ok("s3")),
        ("s3\n", Ok("s3")),
        ("s33\r\n", Ok("s33")),
        ("s3\n\n", Err("the file holds white space or control characters; it should hold the secret and nothing else")),
        ("", Err("the file is empty; it should hold the secret")),
        ("\n", Err("the file is empty; it should hold the secret")),
    ] {
        let found = from_file(secret_file(&dir, content.as_bytes(), 0o440).to_str().unwrap(), false);
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{content:?}");
    }
    let most = from_file(secret_file(&dir, &[b'x'; 4096], 0o600).to_str().unwrap(), false).unwrap();
    assert_eq!(most.len(), 4096);
    let config =
        good(&APP.replace(
            "secret_env = \"WX_SECRET\"",
            &format!("secret_file = {:?}", secret_file(&dir, b"canary!", 0o600)),
        ));
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn a_secret_file_is_regular_small_text_that_not_every_user_may_read() {
    let dir = tempfile::tempdir().unwrap();
    let error = |content: &[u8], mode| {
        let path = secret_file(&dir, content, mode);
        (from_file(path.to_str().unwrap(), false).unwrap_err(), path)
    };
    for mode in [0o644, 0o601, 0o602] {
        let (message, path) = error(b"canary", mode);
        let hint = "or, where that cannot be done and only this server sees the file, write secret_files = \"shared\"";
        assert_eq!(
            message,
            format!("the file is open to every user (mode 0{mode:o}); run: chmod o-rwx {path:?}; {hint}")
        );
    }
    let too_much = "the file has more than 4096 bytes; it should hold the secret and nothing else";
    assert_eq!(error(&[b'x'; 4097], 0o600).0, too_much);
    assert_eq!(error(b"canary\xff", 0o600).0, "the file is not UTF-8 text; write the secret into it");
    let not_regular = "this is not a regular file; name the file that holds the secret";
    assert_eq!(from_file(dir.path().to_str().unwrap(), false).unwrap_err(), not_regular);
    assert_eq!(from_file("/dev/null", false).unwrap_err(), not_regular);
    let missing = from_file(dir.path().join("canary").to_str().unwrap(), false).unwrap_err();
    assert!(missing.starts_with("the file cannot be opened: there is no such file;") && !missing.contains("canary"));
}

#[test]
fn a_file_that_every_user_may_read_is_taken_where_it_cannot_be_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let open = secret_file(&dir, b"canary", 0o444);
    assert_eq!(from_file(open.to_str().unwrap(), true).unwrap(), "canary");
    let text = APP.replace("secret_env = \"WX_SECRET\"", &format!("secret_file = {open:?}"));
    assert!(mistakes(&text)[0].contains("write secret_files = \"shared\""));
    good(&format!("secret_files = \"shared\"\n{text}"));
    assert_eq!(
        mistakes(&format!("secret_files = \"public\"\n{APP}")),
        ["login.toml:1: secret_files: \"public\" is not one of two; write \"private\" or \"shared\""]
    );
    let taken = |mode, may_be_shared: bool| may_be_read_from(mode, || may_be_shared);
    for mode in [0o400, 0o440, 0o640, 0o660, 0o700] {
        assert!(taken(mode, false), "{mode:o}");
    }
    for mode in [0o444, 0o644, 0o404] {
        assert!(taken(mode, true) && !taken(mode, false), "{mode:o}");
    }
    // What others may write is nobody's secret.
    for mode in [0o446, 0o442, 0o447, 0o445, 0o664] {
        assert!(!taken(mode, true), "{mode:o}");
    }
}

#[test]
fn a_secret_unlike_the_platforms_is_warned_of() {
    let warnings =
        |secret: &str, base_url: &str| parse(&format!("{APP}{base_url}"), &[("WX_SECRET", secret)]).unwrap().warnings;
    let regional = "base_url = \"https://sh.api.weixin.qq.com\"\n";
    for odd in ["canary", &CANARY[1..], &CANARY.replace('c', "g"), &format!("{CANARY}0")] {
        for base_url in ["", regional] {
            let told = warnings(odd, base_url);
            let about = "login.toml:4: app[0].secret_env: the secret there is not 32 hex";
            assert_eq!(told.iter().filter(|line| line.starts_with(about)).count(), 1, "{told:#?}");
            assert!(!told.concat().contains(odd));
        }
        let simulated = warnings(odd, "base_url = \"http://127.0.0.1:9999\"\n");
        assert!(!simulated.concat().contains("secret"), "a simulator takes any: {simulated:#?}");
    }
    assert!(warnings(CANARY, "").is_empty());
    assert!(!warnings(&CANARY.to_uppercase(), regional).concat().contains("secret"));
}

/// The table of a mini-program for which a third-party platform acts, with `file` as its token and `more`.
fn component(file: &str, more: &str) -> String {
    let app = APP.replace("secret_env = \"WX_SECRET\"\n", "");
    format!("{app}component_appid = \"wxc\"\ncomponent_access_token_file = {file:?}\n{more}")
}

#[test]
fn a_third_party_platforms_token_stands_in_for_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let file = secret_file(&dir, b"canary\n", 0o600);
    let config = good(&component(file.to_str().unwrap(), ""));
    let options = &config.apps[0].platform;
    assert!(options.secret.is_none() && options.settings.component_access_token.is_some());
    assert!(!format!("{config:?}").contains("canary"));
    let taken = |more: &str| mistakes(&component(file.to_str().unwrap(), more));
    let both = "component_access_token_file is given, too; keep one of the two";
    assert_eq!(taken("secret_env = \"WX_SECRET\"\n"), [format!("login.toml:6: app[0].secret_env: {both}")]);
}

#[test]
fn a_third_party_platform_has_an_appid_and_a_token_in_a_secret_file() {
    let dir = tempfile::tempdir().unwrap();
    let app = APP.replace("secret_env = \"WX_SECRET\"\n", "");
    let told = mistakes(&format!("{app}component_appid = \"wxc\"\n"));
    assert!(told.iter().any(|line| line.contains("app[0].component_access_token_file: is missing")), "{told:?}");
    let file = secret_file(&dir, b"canary", 0o600);
    let told = mistakes(&format!("{app}component_access_token_file = {file:?}\n"));
    assert!(told.iter().any(|line| line.contains("app[0].component_appid: is missing")), "{told:?}");
    let open = secret_file(&dir, b"canary!", 0o644);
    for (file, wanted) in [
        (open.to_str().unwrap(), "the file is open to every user"),
        (secret_file(&dir, b"", 0o600).to_str().unwrap(), "is empty"),
        (dir.path().join("none").to_str().unwrap(), "there is no such file"),
    ] {
        let [told] = &mistakes(&component(file, ""))[..] else { panic!("{file}") };
        assert!(told.contains("app[0].component_access_token_file: ") && told.contains(wanted), "{told}");
    }
    let other = APP.replace("weapp", "weixin-web") + "component_appid = \"wxc\"\n";
    assert!(mistakes(&other)[0].contains("it is a setting of \"weapp\""), "{:?}", mistakes(&other));
}

#[test]
fn a_corp_is_needed_where_ids_are_a_corps_own() {
    for platform in ["dd", "wxwork"] {
        let app = APP.replace("weapp", platform);
        assert!(mistakes(&app)[0].contains("app[0].corp_id: is missing"), "{:?}", mistakes(&app));
        assert!(mistakes(&format!("{app}corp_id = \"a:b\"\n"))[0].contains("without a colon"));
        good(&format!("{app}corp_id = \"ww1\"\n"));
    }
}
