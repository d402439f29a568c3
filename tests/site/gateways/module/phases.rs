//! How the check goes together with everything else that nginx does with a request.

use super::{Nginx, Owner, get, put, verifier_file_of};
use crate::gateways::headers::{FORGED, identity};
use crate::gateways::service::{Seen, Service};
use crate::support::{Call, Keys, OTHER_APPID};
use auth_ticket::clock::{Clock, SystemClock};

/// What every location here does with a request that passes.
fn to(service: &Service) -> String {
    format!("proxy_pass http://{};", service.address)
}

fn openid(seen: &Seen) -> Option<String> {
    identity(seen).into_iter().find(|(name, _)| name == "x-auth-openid").map(|(_, value)| value)
}

#[tokio::test(flavor = "multi_thread")]
async fn satisfy_optional_and_off_mean_what_they_say() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let pass = to(&service);
    let mut nginx = Nginx::new(service.address, &owner.verifier_file());
    nginx.server = format!(
        "auth_ticket on;
         location /all {{ allow all; {pass} }}
         location /denied {{ deny all; {pass} }}
         location /any-allowed {{ satisfy any; allow all; {pass} }}
         location /any-denied {{ satisfy any; deny all; {pass} }}
         location /any-optional {{ satisfy any; deny all; auth_ticket optional; {pass} }}
         location /optional {{ auth_ticket optional; {pass} }}
         location /off {{ auth_ticket off; {pass} }}"
    );
    let gateway = nginx.start().await;
    let ticket = owner.server.ticket("demo-alice-1");
    let alice = owner.server.verify(&ticket).header("x-auth-openid").unwrap().to_owned();
    let call = |path: &str, ticket: Option<&str>| {
        let call = Call::get(path).header("X-Auth-Openid", FORGED).header("X_Auth_Phone", FORGED);
        gateway.call(if let Some(ticket) = ticket { call.ticket(ticket) } else { call })
    };
    let (good, bad) = (Some(&*ticket), Some("garbage"));
    for (path, ticket, status, told) in [
        ("/all", good, 200, Some(&alice)),
        ("/all", bad, 401, None),
        ("/denied", good, 403, None),
        ("/any-allowed", good, 200, Some(&alice)),
        // Let in for where it comes from, and nobody for what it says.
        ("/any-allowed", bad, 200, None),
        ("/any-allowed", None, 200, None),
        ("/any-denied", good, 200, Some(&alice)),
        ("/any-denied", bad, 401, None),
        ("/any-denied", None, 401, None),
        ("/any-optional", good, 200, Some(&alice)),
        ("/any-optional", None, 403, None),
        ("/optional", good, 200, Some(&alice)),
        ("/optional", None, 200, None),
        ("/optional", bad, 401, None),
    ] {
        let answer = call(path, ticket).await;
        assert_eq!(answer.status, status, "{path} {ticket:?}: {answer:?}");
        if status == 200 {
            let seen = service.one();
            assert_eq!(openid(&seen).as_ref(), told, "{path} {ticket:?}");
            assert!(seen.all("weixinauth").is_empty(), "{path}: {seen:?}");
            assert!(answer.header("www-authenticate").is_none(), "{path}: {answer:?}");
        } else {
            assert!(service.take().is_empty(), "{path}");
            let is_json = answer.header("content-type") == Some("application/json");
            assert_eq!(is_json, status == 401, "{path} {ticket:?}: {answer:?}");
        }
    }
    assert_eq!(call("/off", bad).await.status, 200);
    assert_eq!(service.one().all("weixinauth"), ["garbage"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_subrequests_error_pages_and_variables_see_one_check() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let pass = to(&service);
    let mut nginx = Nginx::new(service.address, &owner.verifier_file());
    nginx.http += "log_format who '$uri $auth_ticket_openid $auth_ticket_error $status';
         limit_req_zone $auth_ticket_openid zone=users:1m rate=1r/m;";
    nginx.server = format!(
        "auth_ticket on;
         access_log DIR/access who;
         location / {{ {pass} }}
         location /named {{ try_files /nothing @named; }}
         location @named {{ {pass} }}
         location /moved {{ try_files /nothing /orders; }}
         location /asked {{ auth_request /other; {pass} }}
         location = /other {{ internal; auth_ticket off; {pass} }}
         location /mirrored {{ mirror /mirror; {pass} }}
         location = /mirror {{ internal; {pass} }}
         location /page {{ error_page 401 =418 @page; {pass} }}
         location @page {{ auth_ticket off; return 418 \"$auth_ticket_error|$auth_ticket_openid\"; }}
         location /login {{ error_page 401 @login; {pass} }}
         location @login {{ auth_ticket off; {pass} }}
         location /limited {{ limit_req zone=users; limit_req_status 429; {pass} }}
         location = /status {{ auth_ticket off; auth_ticket_status; }}
         location /variables {{ auth_ticket optional; proxy_pass http://unix:DIR/echo;
             proxy_set_header V \"$auth_ticket_appid $auth_ticket_platform $auth_ticket_openid $auth_ticket_phone|$auth_ticket_error\"; }}"
    );
    nginx.http += "server { listen unix:DIR/echo; location / { return 200 $http_v; } }";
    let gateway = nginx.start().await;
    let ticket = owner.server.ticket("demo-alice-1");
    let checked = owner.server.verify(&ticket);
    let alice = checked.header("x-auth-openid").unwrap();
    let call = |path: &str, ticket: &str| gateway.call(Call::get(path).ticket(ticket).header("X-Auth-Openid", FORGED));
    for path in ["/named", "/moved", "/asked"] {
        assert_eq!(call(path, "garbage").await.status, 401, "{path}");
        assert!(service.take().is_empty(), "{path}");
        let answer = call(path, &ticket).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?} {}", gateway.log());
        let seen = service.take();
        let last = seen.last().unwrap();
        assert_eq!((openid(last).as_deref(), last.all("weixinauth")), (Some(alice), vec![]), "{path}");
    }
    // Both copies of a mirrored request name the user, and neither carries the ticket.
    assert_eq!(call("/mirrored", &ticket).await.status, 200);
    let mut seen = service.take();
    while seen.len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        seen.extend(service.take());
    }
    for seen in &seen {
        assert_eq!((openid(seen).as_deref(), seen.all("weixinauth")), (Some(alice), vec![]));
    }
    // A page of the owner's in place of the JSON; and a service behind it that the client cannot lie to.
    let page = call("/page", "garbage").await;
    assert_eq!((page.status, &*page.body_text()), (418, "invalid_ticket|"), "{page:?}");
    let login = call("/login", "garbage").await;
    assert_eq!((login.status, &*login.body_text()), (401, "served"), "{login:?}");
    assert_eq!(login.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    assert_eq!(openid(&service.one()), None);
    // A limit for each user, in a phase before the check.
    assert_eq!((call("/limited", &ticket).await.status, call("/limited", &ticket).await.status), (200, 429));
    let shown = call("/variables", &ticket).await.body_text();
    assert_eq!(shown, format!("{} weapp {alice} |", checked.header("x-auth-appid").unwrap()));
    let nobody = gateway.call(Call::get("/variables")).await.body_text();
    assert_eq!(nobody, "|invalid_ticket");
    let status = call("/status", "").await.body_text();
    for line in [
        "{result=\"no_ticket\"} 1\n",
        "{result=\"invalid_ticket\"} 5\n",
        "verifier_good{appid=\"wx0123456789abcdef\"} 1\n",
    ] {
        assert!(status.contains(line), "{line} in {status}");
    }
    let log = std::fs::read_to_string(gateway.directory().join("access")).unwrap();
    assert!(log.contains(&format!("/orders {alice} - 200")) && log.contains("- invalid_ticket 418"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_app_has_its_own_file_and_http2_is_the_same() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let mut nginx = Nginx::new(service.address, &owner.verifier_file());
    let (own, foreign) = (Keys::init(), OTHER_APPID);
    put(&nginx.file("other.verify"), &verifier_file_of(&own, foreign, SystemClock.now()));
    let pass = to(&service);
    // nginx itself is the client that speaks HTTP/2.
    let servers = format!(
        "server {{ listen unix:DIR/h2 http2; location / {{ auth_ticket on; {pass} }} }}
         server {{ listen unix:DIR/other; auth_ticket_verifier DIR/other.verify; location / {{ auth_ticket on; {pass} }} }}
         server {{ listen unix:DIR/both; auth_ticket_verifier DIR/other.verify; auth_ticket_verifier DIR/app.verify;
             location / {{ auth_ticket on; {pass} }} }}"
    );
    nginx.http.push_str(&servers);
    nginx.server = "location /h2 { grpc_pass grpc://unix:DIR/h2; }
         location /other { proxy_pass http://unix:DIR/other; }
         location /both { proxy_pass http://unix:DIR/both; }"
        .to_owned();
    let gateway = nginx.start().await;
    let ticket = owner.server.ticket("demo-alice-1");
    let alice = owner.server.verify(&ticket).header("x-auth-openid").unwrap().to_owned();
    for (path, status) in [("/h2", 200), ("/both", 200), ("/other", 401)] {
        let call = Call::get(path).ticket(&ticket).header("X-Auth-Openid", FORGED);
        let answer = gateway.call(call).await;
        assert_eq!(answer.status, status, "{path} {answer:?} {}", gateway.log());
        if status == 200 {
            let seen = service.one();
            assert_eq!((openid(&seen), seen.all("weixinauth")), (Some(alice.clone()), vec![]), "{path}");
        } else {
            answer.is_error("invalid_ticket");
        }
        let refused = get(&gateway, path, "garbage").await;
        assert_eq!((refused.status, &*refused.error()), (401, "invalid_ticket"), "{path} {refused:?}");
    }
}
