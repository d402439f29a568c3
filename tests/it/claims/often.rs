//! How often one login may have the owner asked.

use serde_json::json;

use super::asking;
use super::owner::{Owner, Reply};
use crate::support::{Call, TestServer};

async fn handle_for(server: &TestServer, name: &str) -> String {
    let path = format!("/miniLogin/login.ajax?code={}", server.code_for(name));
    server.call(Call::get(&path)).await.json()["data"]["openid"].as_str().unwrap().to_owned()
}

fn login_check(handle: &str) -> Call {
    Call::post("/miniLogin/loginCheck.ajax").form(&format!("openid={handle}&unionid=&phoneNo="))
}

#[tokio::test]
async fn a_handle_that_is_used_again_and_again_asks_the_owner_only_so_often() {
    let owner = Owner::always(Reply::claims("uid=1")).await;
    let server = asking(&owner).compat().start().await;
    let (mallory, alice) = (handle_for(&server, "mallory").await, handle_for(&server, "alice").await);
    let asked = owner.asked().len();
    let mut refused = 0;
    for _ in 0..60 {
        let answer = server.call(login_check(&mallory)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        match answer.field("code").as_u64() {
            Some(200) => {}
            Some(429) => refused += 1,
            _ => panic!("{answer:?}"),
        }
    }
    assert!(refused >= 30, "{refused}");
    assert_eq!(owner.asked().len() - asked, 60 - refused);
    assert_eq!(server.limit_reached("claims_asks").await, u64::try_from(refused).unwrap());
    assert_eq!(server.call(login_check(&alice)).await.field("code"), json!(200), "another login has its own");
}

#[tokio::test]
async fn without_an_owner_to_ask_a_handle_may_be_used_often() {
    let server = TestServer::builder().compat().start().await;
    let handle = handle_for(&server, "alice").await;
    for _ in 0..60 {
        assert_eq!(server.call(login_check(&handle)).await.field("code"), json!(200));
    }
    assert_eq!(server.platform.exchanges(), 1, "the platform is not asked again");
}
