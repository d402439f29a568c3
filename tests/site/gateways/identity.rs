//! Who asks is what the server says, all of it, once, and nothing else.

use super::check::Check;
use super::files::IDENTITY;
use super::gateway::{Kind, Setup, everywhere, headers_of_answer};
use super::headers::{FORGED, Marks, expected, identity, spellings};
use super::service::Service;
use crate::support::{Call, START, Server, Site, TestServer, session, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_forges_an_identity_in_any_spelling() {
    everywhere(|kind| async move {
        let (server, service) = (TestServer::start().await, Service::start().await);
        let gateway = Setup::new(kind, server.address, service.address).start().await;
        // Neither unionid nor phone nor claims: there is a gap to fill for each.
        let ticket = server.sealed(&session("o-alice", START));
        let told = expected(headers_of_answer(&server.verify(&ticket).await));
        assert!(told.len() >= 5);

        let marks = if kind == Kind::Caddy { Marks::Common } else { Marks::All };
        // What nginx cannot do by itself, and the file says so.
        let spellings = spellings(marks, kind != Kind::Nginx);
        for names in spellings.chunks(20) {
            let mut call = Call::get("/orders").ticket(&ticket);
            for name in names {
                call = call.header(name, FORGED).header(name, format!("{FORGED} again"));
            }
            assert_eq!(gateway.call(call).await.status, 200, "{names:?}");
            assert_eq!(identity(&service.one()), told, "{names:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_header_of_the_check_arrives_once_and_as_it_is() {
    // Nothing in a value means anything to a gateway.
    let claims = r#"{"a":"{env.PATH}%[env(PATH)]$host${host}%REQ(:path)%\",;=<>&'`#"#;
    let assertion = format!("{}.{}.{}", "h".repeat(100), "p/+=_-".repeat(130), "s".repeat(86));
    let values =
        ["wx0123456789abcdef", "weapp", "o-alice", "u-alice", "+8613800000000", "00112233445566aa", "1800007200"];
    let values: Vec<String> = values.iter().map(|&v| v.to_owned()).chain([claims.to_owned(), assertion]).collect();
    let told: Vec<(&'static str, String)> = IDENTITY.into_iter().zip(values).collect();
    // All of them, then without each, empty or missing as from a server of another version.
    let mut answers = vec![told.clone()];
    for left_out in (0..IDENTITY.len()).rev() {
        let mut empty = told.clone();
        empty[left_out].1.clear();
        // Only what this version added may be missing.
        answers.extend((left_out >= 7).then(|| empty[..left_out].to_vec()));
        answers.push(empty);
    }
    let answers = &answers;
    assert_eq!(answers.len(), 12);
    everywhere(|kind| {
        let answers = answers.clone();
        async move {
            let (check, service) = (Check::passing(&[]).await, Service::start().await);
            let gateway = Setup::new(kind, check.address, service.address).start().await;
            for told in answers {
                let headers: Vec<(&str, &str)> = told.iter().map(|(name, value)| (*name, &**value)).collect();
                check.pass(&headers);
                let mut call = Call::get("/").ticket("kept back").header("Authorization", "Bearer AQkept-back");
                for name in IDENTITY {
                    call = call.header(name, FORGED);
                }
                assert_eq!(gateway.call(call).await.status, 200, "{told:?}");
                let seen = service.one();
                let told = told.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                assert_eq!(identity(&seen), expected(told));
                for name in ["weixinauth", "authorization"] {
                    assert!(seen.all(name).is_empty(), "{seen:?}");
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_an_identity_disappear() {
    everywhere(|kind| async move {
        let (server, service) = (TestServer::start().await, Service::start().await);
        let gateway = Setup::new(kind, server.address, service.address).start().await;
        let ticket = server.ticket_for("alice").await;
        let told = expected(headers_of_answer(&server.verify(&ticket).await));
        for nominated in
            ["close, X-Auth-Openid", "x-auth-appid,close,X-AUTH-UNIONID", "close, x-auth-openid, x-auth-phone"]
        {
            let answer = gateway.call_naming(nominated, Call::get("/").ticket(&ticket)).await;
            assert_eq!(answer.status, 200);
            let seen = service.one();
            assert_eq!(identity(&seen), told);
            assert!(!seen.all("connection").concat().to_lowercase().contains("x-auth"), "{seen:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_over_a_unix_socket_is_the_same_check() {
    // Traefik cannot call one.
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Traefik);
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let socket = site.keys.root().join("http.sock");
    let listen = format!("127.0.0.1:0,unix:{}", socket.display());
    let server = Server::start(site.command().args(["--listen", &listen]));
    let ticket = server.ticket("demo-alice-1");
    for kind in kinds {
        let service = Service::start().await;
        // Whoever asked at an address would get no answer.
        let nowhere = "127.0.0.1:9".parse().unwrap();
        let setup = Setup { check_socket: Some(socket.clone()), ..Setup::new(kind, nowhere, service.address) };
        let gateway = setup.start().await;
        assert_eq!(gateway.call(Call::get("/orders").ticket(&ticket)).await.status, 200, "{kind:?}");
        let told = identity(&service.one());
        assert!(told.iter().any(|(name, value)| name == "x-auth-openid" && !value.is_empty()), "{kind:?}: {told:?}");
        let refused = gateway.call(Call::get("/orders").ticket("AQAA")).await;
        assert_eq!((refused.status, refused.json()["error"].as_str()), (401, Some("invalid_ticket")), "{kind:?}");
    }
}
