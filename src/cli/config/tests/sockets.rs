//! Where to listen, and what is wrong about it, word by word.

use super::super::Config;
use super::{APP, good, lines, mistakes, with_secrets};
use crate::cli::endpoint::MAX_SOCKET_PATH_LEN;

const UNIX: &str = "write an absolute path, for example \"unix:/run/auth-ticket/http.sock\"";
const SYSTEMD: &str = "write the FileDescriptorName= of the .socket unit, for example \"systemd:http\"";
const ADDRESS: &str = "write an IP and a port, for example \"[::]:8080\", \"127.0.0.1:8080\" or \"localhost:8080\"";
const APART: &str = "give them different ports or paths";

/// `listen`, in TOML, and what is said of it.
fn listens() -> Vec<(String, String)> {
    let is_none = |text: &str, hint: &str| (format!("{text:?}"), format!("listen: {text:?} is not an address; {hint}"));
    let long = format!("unix:/{}", "x".repeat(MAX_SOCKET_PATH_LEN));
    let too_long = format!(
        "its path has {} bytes, and this system takes {MAX_SOCKET_PATH_LEN} at most; write a shorter one",
        MAX_SOCKET_PATH_LEN + 1
    );
    let shown = &long[..60];
    let mut all = vec![(format!("{long:?}"), format!("listen: {shown:?}... is not an address; {too_long}"))];
    for text in
        ["unix:", "unix:http.sock", "unix:./http.sock", "unix:@http", "unix:~/http.sock", "unix:/", "unix:/run/"]
    {
        all.push(is_none(text, UNIX));
    }
    for text in ["systemd:", "systemd:a:b", "systemd:a b", "systemd:über"] {
        all.push(is_none(text, SYSTEMD));
    }
    for text in ["", "/run/http.sock", "UNIX:/run/http.sock", "unix", "systemd", "8080"] {
        all.push(is_none(text, ADDRESS));
    }
    // An abstract name, as C writes it.
    all.push((r#""unix:\u0000http""#.to_owned(), format!("listen: \"unix:\\0http\" is not an address; {UNIX}")));
    all.push((
        r#""unix:/run/\u0000http""#.to_owned(),
        format!("listen: \"unix:/run/\\0http\" is not an address; {UNIX}"),
    ));
    let twice = "stands in the list twice; remove one";
    for (list, said) in [
        ("[]", "listen: lists nothing; write for example \"[::]:8080\"".to_owned()),
        ("[\"unix:/a\", \"unix:/a\"]", format!("listen[1]: {twice}")),
        ("[\"systemd:http\", \"systemd:http\"]", format!("listen[1]: {twice}")),
        ("[\"127.0.0.1:1\", \"127.0.0.1:1\"]", format!("listen[1]: {twice}")),
        ("[\"unix:/run/a\", \"unix:/run//a\"]", format!("listen[1]: {twice}")),
        (
            "[\"127.0.0.1:1\", \"0.0.0.0:1\"]",
            format!("listen[1]: listen[0] is 127.0.0.1:1 and listen[1] is 0.0.0.0:1: {APART}"),
        ),
        ("[\"unix:/a\", \"unix:b\"]", format!("listen[1]: \"unix:b\" is not an address; {UNIX}")),
    ] {
        all.push((list.to_owned(), said));
    }
    all
}

#[test]
fn what_cannot_be_listened_on_is_told_word_by_word() {
    for (listen, said) in listens() {
        assert_eq!(mistakes(&format!("listen = {listen}\n{APP}")), [format!("login.toml:1: {said}")], "{listen}");
    }
    // In a variable and a flag, commas are between them.
    let flags = [("listen", Some("unix:/a,unix:b".to_owned()))];
    let told = lines(&Config::parse("login.toml", APP, with_secrets(&[]), &flags).unwrap_err());
    assert_eq!(told, [format!("--listen: listen[1]: \"unix:b\" is not an address; {UNIX}")]);
    for listen in ["\"unix:/a\"", "[\"unix:/a\", \"unix:/b\", \"systemd:http\", \"[::]:80\"]", "\"unix:///run/a\""] {
        good(&format!("listen = {listen}\n{APP}"));
    }
    good(&format!("listen = \"unix:/{}\"\n{APP}", "x".repeat(MAX_SOCKET_PATH_LEN - 1)));
}

#[test]
fn operators_have_an_address_of_their_own() {
    for (listen, admin) in [
        ("unix:/a", "unix:/a"),
        ("systemd:http", "systemd:http"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("[::]:80", "127.0.0.1:80"),
        ("127.0.0.1:80", "localhost:80"),
    ] {
        let text = format!("listen = \"{listen}\"\nadmin_listen = \"{admin}\"\n{APP}");
        let said = format!("login.toml:2: admin_listen: listen is {listen} and admin_listen is {admin}: {APART}");
        assert_eq!(mistakes(&text), [said]);
    }
    for (listen, admin, said) in [
        ("\"unix:/a\"", "[\"unix:/b\", \"unix:/a\"]", "listen is unix:/a and admin_listen[1] is unix:/a"),
        ("[\"unix:/b\", \"unix:/a\"]", "\"unix:/a\"", "listen[1] is unix:/a and admin_listen is unix:/a"),
    ] {
        let [told] = mistakes(&format!("listen = {listen}\nadmin_listen = {admin}\n{APP}")).try_into().unwrap();
        assert!(
            told.starts_with("login.toml:2: admin_listen") && told.ends_with(&format!(": {said}: {APART}")),
            "{told}"
        );
    }
    let empty = format!("login.toml:1: admin_listen[0]: \"\" is not an address; {ADDRESS}");
    assert_eq!(mistakes(&format!("admin_listen = [\"\"]\n{APP}")), [empty]);
}

#[test]
fn a_socket_has_a_mode_that_lets_its_own_user_connect_and_nobody_execute() {
    let none = "is not the mode of a socket";
    let (own, execute) = ("keeps the server's own user out", "has bits for executing, and a socket is not executed");
    for (mode, why) in [
        ("", none),
        ("0o660", none),
        ("0x1b0", none),
        ("660 ", none),
        ("-660", none),
        ("+660", none),
        ("0680", none),
        ("66", none),
        ("00660", none),
        ("rw-rw----", none),
        ("u=rw", none),
        ("1660", none),
        ("2660", none),
        ("4777", none),
        ("0060", own),
        ("0000", own),
        ("0466", own),
        ("0266", own),
        ("0670", execute),
        ("0700", execute),
        ("0661", execute),
        ("0777", execute),
    ] {
        for setting in ["listen_mode", "admin_listen_mode"] {
            let told = mistakes(&format!("{setting} = \"{mode}\"\n{APP}"));
            assert_eq!(told, [format!("login.toml:1: {setting}: \"{mode}\" {why}; write for example \"0660\"")]);
        }
    }
    for (text, mode) in [("0660", 0o660), ("660", 0o660), ("0600", 0o600), ("0666", 0o666), ("0622", 0o622)] {
        let config = good(&format!("listen_mode = \"{text}\"\nadmin_listen_mode = \"{text}\"\n{APP}"));
        assert_eq!((config.listen_mode, config.admin_listen_mode), (mode, mode));
    }
}
