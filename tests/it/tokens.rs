//! What services get for a ticket, as time passes.

use serde_json::json;

use crate::support::{Answer, Call, START, TestServer, session};

const TTL_S: u64 = 7200;

async fn introspected(server: &TestServer, ticket: &str) -> Answer {
    let form = format!("client_id=orders&client_secret=orders-secret&token={ticket}");
    server.call(Call::post("/v1/introspect").form(&form)).await
}

async fn exchanged(server: &TestServer, ticket: &str) -> Answer {
    let form = format!(
        "client_id=orders&client_secret=orders-secret&grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
         &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}"
    );
    server.call(Call::post("/v1/token").form(&form)).await
}

/// Rule: the leeway of a check is for clocks that differ. Who is told the end of a ticket is told that it is over, too.
#[tokio::test]
async fn services_are_told_of_no_ticket_after_its_end() {
    let builder = TestServer::builder().assertions("gateway").service("orders", "orders-secret");
    let server = builder.settings(|settings| settings.jwt.audiences = vec!["orders".to_owned()]).start().await;
    let ticket = server.sealed(&session("o-alice", START));
    server.clock.advance(TTL_S - 1);
    let told = introspected(&server, &ticket).await;
    assert_eq!((told.field("active"), told.field("exp")), (json!(true), json!(START.plus(TTL_S).as_u64())));
    exchanged(&server, &ticket).await.is_ok();

    server.clock.advance(1);
    assert_eq!(introspected(&server, &ticket).await.json(), json!({ "active": false }));
    exchanged(&server, &ticket).await.is_error("invalid_request");
    server.verify(&ticket).await.is_ok();
}
