//! As many apps as one owner may ever have.

use std::fmt::Write as _;
use std::fs;

use crate::support::{Keys, Server, auth_ticket, until};

const APPS: usize = 1500;

/// The processor time that the process has taken, in seconds. The machine may be busy with something else.
fn seconds_of(server: &Server) -> f64 {
    const TICKS_PER_S: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() / TICKS_PER_S
}

#[test]
fn fifteen_hundred_apps_over_https_are_ready_in_two_seconds_and_sixty_megabytes() {
    let keys = Keys::init();
    let mut text = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"\"\nkeys_dir = \"{}\"\npublic_url = \"https://a.example\"\n\
         [verify]\nany_app = true\nassertion_audience = \"gateway\"\n[claims]\nurl = \"https://users.internal/\"\n",
        keys.path().display()
    );
    for number in 0..APPS {
        let appid = format!("wx{number:016x}");
        writeln!(text, "[[app]]\nappid = \"{appid}\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"").unwrap();
    }
    let config = keys.root().join("login.toml");
    fs::write(&config, text).unwrap();
    let mut command = auth_ticket(&["serve", "--config"]);
    command.arg(&config).env("WX_SECRET", "0123456789abcdef0123456789abcdef").env("RUST_LOG", "info");
    let server = Server::start(&mut command);
    let seconds = seconds_of(&server);
    until("it answers", || server.get("/readyz", &[]).status == 200);
    let peak_mib = server.peak_kib() / 1024;
    assert!(seconds <= 2.0, "{seconds} s");
    assert!(peak_mib <= 60, "{peak_mib} MiB");
}

#[test]
fn metrics_have_no_series_for_what_has_not_happened() {
    let platform = crate::support::simulator();
    let apps = (0..50).map(|number| {
        format!(
            "[[app]]\nappid = \"wx{number}\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\nbase_url = \
             \"http://{}\"\n",
            platform.address
        )
    });
    let site = crate::support::Site::new(platform.address, &apps.collect::<String>());
    let (server, admin) = site.start_for_operators("10m");
    let metrics = || crate::support::call(admin, "GET", "/metrics", &[], "").body_text();
    assert!(!metrics().contains("appid="), "{}", metrics());
    let body = r#"{"code":"demo-alice-1","appid":"wx7"}"#;
    assert_eq!(server.post("/v1/login", &[("Content-Type", "application/json")], body).status, 200);
    let of = |metrics: &str, appid: &str| metrics.lines().filter(|line| line.contains(appid)).count();
    let told = metrics();
    assert_eq!(of(&told, "appid="), of(&told, "appid=\"wx7\""), "{told}");
    assert!(of(&told, "appid=\"wx7\"") > 0, "{told}");
}
