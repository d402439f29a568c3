use std::sync::Arc;

use aws_lc_rs::hmac;

use super::*;
use crate::clock::{FixedClock, UnixSeconds};
use crate::simulator::users::Name;
use crate::simulator::wechat::interfaces::{Jscode2session, TokenRequest};
use crate::simulator::world::World;

const APPID: &str = "wx1";
const APP_KEY: &str = "app-key-of-the-product";
const GOODS: &str = r#"{"offerId":"1450","buyQuantity":2,"env":1,"currencyType":"CNY","productId":"p1","goodsPrice":300,"outTradeNo":"order-01","attach":"a"}"#;

fn hex_hmac(key: &str, message: &str) -> String {
    hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), message.as_bytes()))
}

struct Phone {
    wechat: Wechat,
    session_key: String,
    openid: String,
    token: String,
}

fn json_of(reply: Reply) -> Value {
    let Reply::Json(_, text) = reply else { panic!("{reply:?}") };
    serde_json::from_str(&text).unwrap()
}

/// Alice is logged in, and the app has a payment product.
fn phone() -> Phone {
    let clock = Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000)));
    let wechat = Wechat::new(Arc::new(World::new(clock, None)));
    let [appid, secret, js_code] = [APPID, "s", "demo-alice-1"].map(str::to_owned);
    let grant_type = "authorization_code".to_owned();
    let session = json_of(wechat.jscode2session(&Jscode2session { appid, secret, js_code, grant_type }));
    let [grant_type, appid, secret] = ["client_credential", APPID, "s"].map(str::to_owned);
    let token = json_of(wechat.stable_token(&TokenRequest { grant_type, appid, secret }, false));
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    wechat.set_payment_app(&json!({ "appid": APPID, "offer_id": "1450", "app_key": APP_KEY })).unwrap();
    Phone {
        session_key: text(&session, "session_key"),
        openid: text(&session, "openid"),
        token: text(&token, "access_token"),
        wechat,
    }
}

impl Phone {
    fn signed(&self, mode: &str, sign_data: &str) -> VirtualPayment {
        VirtualPayment {
            appid: APPID.to_owned(),
            name: "alice".to_owned(),
            mode: mode.to_owned(),
            sign_data: sign_data.to_owned(),
            pay_sig: hex_hmac(APP_KEY, &format!("requestVirtualPayment&{sign_data}")),
            signature: hex_hmac(&self.session_key, sign_data),
        }
    }

    fn pay(&self, call: VirtualPayment) -> i64 {
        let VirtualPayment { appid, name, mode, sign_data, pay_sig, signature } = call;
        let outcome = self.wechat.virtual_payment(&json!({
            "appid": appid, "name": name, "mode": mode, "signData": sign_data, "paySig": pay_sig, "signature": signature,
        }));
        let outcome = outcome.unwrap();
        assert_eq!(outcome.get("errCode").is_none(), outcome["errMsg"] == "requestVirtualPayment:ok", "{outcome}");
        outcome["errCode"].as_i64().unwrap_or_default()
    }

    fn request(&self, path: &str, body: &str) -> PaymentRequest {
        PaymentRequest {
            access_token: self.token.clone(),
            pay_sig: hex_hmac(APP_KEY, &format!("{path}&{body}")),
            signature: hex_hmac(&self.session_key, body),
            body: Some(body.to_owned()),
        }
    }
}

/// The signature was made with `openssl dgst -sha256 -hmac`.
#[test]
fn a_payment_signature_has_the_call_in_front_of_the_data() {
    let pay_sig = hex_hmac(APP_KEY, &over("requestVirtualPayment", GOODS));
    assert_eq!(pay_sig, "c82ccdcc481bc88320a55b00a65832b6baad16fb62238a59adcd349831e51572");
}

#[test]
fn what_is_signed_twice_is_bought_once() {
    let phone = phone();
    assert_eq!(phone.pay(phone.signed("short_series_goods", GOODS)), 0);
    assert_eq!(phone.pay(phone.signed("short_series_goods", GOODS)), -15002);
    let body = format!(r#"{{"openid":"{}","env":1,"order_id":"order-01"}}"#, phone.openid);
    let order = json_of(phone.wechat.query_order(&phone.request(QUERY_ORDER, &body)));
    assert_eq!(
        (&order["errcode"], &order["order"]["status"], &order["order"]["paid_fee"]),
        (&json!(0), &json!(2), &json!(600))
    );
    for body in [
        body.replace("order-01", "order-02"),
        body.replace("\"env\":1", "\"env\":0"),
        body.replace(&phone.openid, "o-bob"),
        "[]".to_owned(),
        "{".to_owned(),
    ] {
        let refused = json_of(phone.wechat.query_order(&phone.request(QUERY_ORDER, &body)));
        assert_eq!(refused["errcode"], PARAMETER_ERRCODE, "{body}");
    }
}

#[test]
fn each_signature_is_checked() {
    let phone = phone();
    let good = || phone.signed("short_series_goods", GOODS);
    let other = GOODS.replace("300", "1");
    for (call, number) in [
        (VirtualPayment { sign_data: other.clone(), ..good() }, -15006),
        (VirtualPayment { pay_sig: hex_hmac(APP_KEY, GOODS), ..good() }, -15006),
        (VirtualPayment { pay_sig: good().pay_sig.to_uppercase(), ..good() }, -15006),
        (VirtualPayment { appid: "wx2".to_owned(), ..good() }, -15006),
        (VirtualPayment { signature: hex_hmac("another key", GOODS), ..good() }, -15005),
        (VirtualPayment { signature: hex_hmac(&phone.session_key, &other), ..good() }, -15005),
        (VirtualPayment { signature: good().signature.to_uppercase(), ..good() }, -15005),
        (VirtualPayment { signature: String::new(), ..good() }, -15005),
        (VirtualPayment { name: "bob".to_owned(), ..good() }, -15005),
    ] {
        assert_eq!(phone.pay(call), number);
    }
    phone.wechat.state().users.reset(&Name::parse("alice").unwrap());
    assert_eq!(phone.pay(good()), -15005, "with a session_key that is stale");
}

#[test]
fn an_order_that_is_not_right_is_refused() {
    let phone = phone();
    for (mode, data, number) in [
        ("short_series_goods", "{".to_owned(), -15016),
        ("short_series_goods", GOODS.replace("\"buyQuantity\":2", "\"buyQuantity\":\"2\""), -15016),
        ("short_series_goods", GOODS.replace(r#","attach":"a""#, ""), -15016),
        ("game", GOODS.to_owned(), -15001),
        ("short_series_goods", GOODS.replace("productId", "product"), -15001),
        ("short_series_goods", GOODS.replace("goodsPrice", "price"), -15001),
        ("short_series_goods", GOODS.replace("CNY", "USD"), -15004),
        ("short_series_goods", GOODS.replace("1450", "1451"), -15001),
        ("short_series_goods", GOODS.replace("\"env\":1", "\"env\":2"), -15001),
        ("short_series_goods", GOODS.replace("order-01", "_rder-01"), -15001),
        ("short_series_goods", GOODS.replace("order-01", "short"), -15001),
        ("short_series_goods", GOODS.replace("\"buyQuantity\":2", "\"buyQuantity\":0"), -15001),
    ] {
        assert_eq!(phone.pay(phone.signed(mode, &data)), number, "{mode} {data}");
    }
}

#[test]
fn coins_add_to_the_balance_which_only_both_signatures_show() {
    let phone = phone();
    let body = format!(r#"{{"openid":"{}","env":1,"user_ip":"203.0.113.7"}}"#, phone.openid);
    let ask = |request: PaymentRequest| json_of(phone.wechat.query_user_balance(&request));
    assert_eq!(ask(phone.request(QUERY_USER_BALANCE, &body))["balance"], 0);
    let coins =
        r#"{"offerId":"1450","buyQuantity":50,"env":1,"currencyType":"CNY","outTradeNo":"order-02","attach":"a"}"#;
    assert_eq!(phone.pay(phone.signed("short_series_coin", coins)), 0);
    assert_eq!(ask(phone.request(QUERY_USER_BALANCE, &body))["balance"], 50);

    let good = || phone.request(QUERY_USER_BALANCE, &body);
    for (request, errcode) in [
        (PaymentRequest { access_token: "x".to_owned(), ..good() }, 40014),
        (PaymentRequest { signature: hex_hmac(&phone.session_key, ""), ..good() }, SIGNATURE_ERRCODE),
        (PaymentRequest { pay_sig: hex_hmac(APP_KEY, &over(QUERY_ORDER, &body)), ..good() }, SIGNATURE_ERRCODE),
        (PaymentRequest { body: None, ..good() }, PARAMETER_ERRCODE),
        (phone.request(QUERY_USER_BALANCE, r#"{"openid":"o-bob"}"#), OPENID_ERRCODE),
    ] {
        assert_eq!(ask(request)["errcode"], errcode);
    }
}
