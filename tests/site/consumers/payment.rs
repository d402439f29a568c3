//! `examples/virtual-payment`: from the order to the payment, with a simulator that checks both signatures.

use std::process::Command;

use serde_json::{Value, json};

use super::tools::{clean, python, root};
use crate::support::{APPID, Answer, Server, Site, call, simulator};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const SECRET: &str = "shop-secret/0123456789";
const APP_KEY: &str = "canary-app-key";
const TABLES: &str = "[[service]]\nid = \"shop\"\nsecret_env = \"SHOP_SECRET\"\nmay_sign = true\n";

/// A platform, a login server and a shop.
struct Shop {
    platform: Server,
    login: Server,
    service: Server,
    _site: Site,
}

impl Shop {
    fn start(mut service: Command) -> Self {
        let platform = simulator();
        let site = Site::new(platform.address, TABLES);
        let login = Server::start(site.command().env("SHOP_SECRET", SECRET));
        service.env("LOGIN_URL", format!("http://{}", login.address)).env("SERVICE_ID", "shop");
        service.env("SERVICE_SECRET", SECRET).env("APPID", APPID).env("WX_SECRET", Site::SECRET);
        service.env("OFFER_ID", "1450").env("APP_KEY", APP_KEY).env("PAY_ENV", "1").env("PORT", "0");
        service.env("WECHAT_URL", format!("http://{}", platform.address));
        let shop = Self { service: Server::start(&mut service), platform, login, _site: site };
        shop.simulator("weapp/payment-app", &json!({ "appid": APPID, "offer_id": "1450", "app_key": APP_KEY }));
        shop
    }

    fn simulator(&self, path: &str, body: &Value) -> Value {
        self.platform.post(&format!("/_sim/{path}"), &[JSON], &body.to_string()).json()
    }

    fn ticket(&self, code: &str) -> String {
        self.login.login(code).json()["ticket"].as_str().unwrap().to_owned()
    }

    fn order(&self, ticket: &str, body: &Value) -> Answer {
        call(self.service.address, "POST", "/orders", &[JSON, ("weixinauth", ticket)], &body.to_string())
    }

    fn is_paid(&self, ticket: &str, order: &Value) -> Answer {
        let path = format!("/orders/{}", order["outTradeNo"].as_str().unwrap());
        call(self.service.address, "GET", &path, &[("weixinauth", ticket)], "")
    }

    /// What the client's callback gets.
    fn pay(&self, name: &str, order: &Value) -> Value {
        let mut parameters = order.clone();
        parameters.as_object_mut().unwrap().remove("outTradeNo");
        (parameters["appid"], parameters["name"]) = (json!(APPID), json!(name));
        self.simulator("weapp/virtual-payment", &parameters)
    }

    #[track_caller]
    fn refuses(&self, answer: &Answer, status: u16, error: &str) {
        assert_eq!((answer.status, answer.json()), (status, json!({ "error": error })), "{}", self.service.stderr());
    }

    fn sells(self) {
        let alice = self.ticket("demo-alice-1");
        let answer = self.order(&alice, &json!({ "product": "sword" }));
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.service.stderr());
        let order = answer.json();
        assert_eq!(self.is_paid(&alice, &order).json(), json!({ "paid": false }));
        assert_eq!(self.pay("alice", &order), json!({ "errMsg": "requestVirtualPayment:ok" }));
        assert_eq!(self.is_paid(&alice, &order).json(), json!({ "paid": true }));
        assert_eq!(self.pay("alice", &order)["errCode"], -15002, "an order is paid once");
        self.signatures_count(&alice);
        self.nobody_gets_what_is_not_theirs(&alice, &order);
        for secret in [SECRET, APP_KEY, &*alice] {
            assert!(!self.service.stderr().contains(secret) && !self.service.stdout().contains(secret));
        }
    }

    fn signatures_count(&self, alice: &str) {
        let order = self.order(alice, &json!({ "product": "shield" })).json();
        let sign_data = order["signData"].as_str().unwrap();
        let cheaper = json!(sign_data.replace("500", "1"));
        let again = json!(serde_json::from_str::<Value>(sign_data).unwrap().to_string());
        for (changed, number) in [
            (json!({ "signData": cheaper }), -15006),
            (json!({ "signData": again }), -15006),
            (json!({ "paySig": order["signature"] }), -15006),
            (json!({ "signature": order["paySig"] }), -15005),
        ] {
            let mut order = order.clone();
            order.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
            assert_eq!(self.pay("alice", &order)["errCode"], number, "{changed}");
        }
        assert_eq!(self.pay("bob", &order)["errCode"], -15005, "another user's session_key");
        // Another phone of hers has logged in.
        self.simulator("users/alice/reset-session-key", &json!({}));
        assert_eq!(self.pay("alice", &order)["errCode"], -15005);
        self.refuses(&self.order(alice, &json!({ "product": "sword" })), 401, "session_key_stale");
        let new = self.order(&self.ticket("demo-alice-2"), &json!({ "product": "sword" })).json();
        assert_eq!(self.pay("alice", &new), json!({ "errMsg": "requestVirtualPayment:ok" }));
    }

    fn nobody_gets_what_is_not_theirs(&self, alice: &str, order: &Value) {
        for ticket in ["", "garbage"] {
            self.refuses(&self.order(ticket, &json!({ "product": "sword" })), 401, "invalid_ticket");
        }
        let bob = self.ticket("demo-bob-1");
        self.refuses(&self.is_paid(&bob, order), 404, "unknown_order");
        self.refuses(&self.is_paid(&bob, &json!({ "outTradeNo": "0" })), 404, "unknown_order");
        for product in [json!("crown"), json!(1), json!(null), json!(["sword"]), json!("__proto__")] {
            self.refuses(&self.order(alice, &json!({ "product": product })), 400, "unknown_product");
        }
    }
}

#[test]
fn a_shop_in_node_sells_without_a_session_key() {
    let mut command = clean("node");
    command.arg(root().join("examples/virtual-payment/service.mjs"));
    Shop::start(command).sells();
}

#[test]
fn a_shop_in_python_sells_without_a_session_key() {
    Shop::start(python("examples/virtual-payment/service.py")).sells();
}
