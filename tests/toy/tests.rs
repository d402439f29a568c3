use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::*;
use crate::clock::SystemClock;
use crate::platform::kind;
use crate::simulator::Simulator;

#[tokio::test]
async fn a_user_of_the_simulated_platform_logs_in_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Simulator::new(Arc::new(SystemClock)).router()).await });
    let toy = (kind::named("toy").unwrap().build)(PlatformOptions {
        base_url: Some(url.parse().unwrap()),
        timeout: Duration::from_secs(30),
        max_concurrent: 1,
        ..PlatformOptions::new("toy-app")
    });
    let (toy, code) = (toy.unwrap(), Code::parse("toy-alice-1").unwrap());
    assert_eq!(toy.exchange(&code).await.unwrap().openid.as_str().len(), 28);
    let refused = toy.exchange(&code).await.unwrap_err();
    assert_eq!(refused.to_string(), "the platform does not know the code (errcode code.spent)");
    let user = crate::claims::PlatformId::parse("alice").unwrap();
    assert_eq!(toy.phone(&code, &user).await.unwrap_err(), PlatformError::Unsupported);
}
