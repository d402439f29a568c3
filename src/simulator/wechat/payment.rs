//! Virtual payment: products, orders, and what is checked before one is paid.
//!
//! Facts: "virtual payment" and `wx.requestVirtualPayment` in `WeChat`'s documentation of mini-programs. Both signatures are
//! HMAC-SHA256 in lower-case hex: `paySig` with the payment product's app key, over the name of the call, `&` and the data;
//! `signature` with the text of the `session_key`, over the data alone.

use serde::Deserialize;

use super::opendata::is_signature;
use crate::clock::UnixSeconds;
use crate::simulator::memory::Recent;

/// Which payment products there are, and what was bought.
pub(super) struct Payments {
    pub(super) products: Recent<String, PaymentApp>,
    /// By appid and `outTradeNo`.
    pub(super) orders: Recent<(String, String), PaidOrder>,
    /// Coins, by appid and openid.
    pub(super) balances: Recent<(String, String), u64>,
}

impl Default for Payments {
    fn default() -> Self {
        const MAX_LEN: usize = 100_000;
        Self {
            products: Recent::with_max_len(MAX_LEN),
            orders: Recent::with_max_len(MAX_LEN),
            balances: Recent::with_max_len(MAX_LEN),
        }
    }
}

/// The payment product of an app, as its owner sees it on the platform's site.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PaymentApp {
    pub(super) appid: String,
    pub(super) offer_id: String,
    pub(super) app_key: String,
}

/// The client's call: who makes it, and what it passes on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VirtualPayment {
    pub(super) appid: String,
    pub(super) name: String,
    pub(super) mode: String,
    pub(super) sign_data: String,
    pub(super) pay_sig: String,
    pub(super) signature: String,
}

/// What is ordered. Unknown members are the platform's affair.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignData {
    offer_id: String,
    buy_quantity: u64,
    env: u8,
    currency_type: String,
    product_id: Option<String>,
    goods_price: Option<u64>,
    out_trade_no: String,
    #[serde(rename = "attach")]
    _attach: String,
}

/// An order that was paid.
#[derive(Debug)]
pub(super) struct PaidOrder {
    pub(super) openid: String,
    pub(super) env: u8,
    /// In fen.
    pub(super) fee: u64,
    pub(super) paid_at: UnixSeconds,
}

/// The client's errors: number, and what its text says. Of the texts, those of -15005 and -15006 are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientError(pub(super) i32, pub(super) &'static str);

const PARAMETER: ClientError = ClientError(-15001, "PARAMETER_INVALID");
const USED: ClientError = ClientError(-15002, "OUT_TRADE_NO_USED");
const CURRENCY: ClientError = ClientError(-15004, "CURRENCY_TYPE_INVALID");
const SIGNATURE: ClientError = ClientError(-15005, "SIGNATURE_INVALID");
const PAY_SIG: ClientError = ClientError(-15006, "PAY_SIG_INVALID");
const SIGN_DATA: ClientError = ClientError(-15016, "SIGN_DATA_INVALID");

impl Payments {
    /// Takes an order from a client, if both signatures are right; it is paid at once.
    pub(super) fn buy(
        &mut self,
        call: VirtualPayment,
        openid: String,
        session_key: &str,
        now: UnixSeconds,
    ) -> Result<(), ClientError> {
        let data: SignData = serde_json::from_str(&call.sign_data).map_err(|_| SIGN_DATA)?;
        let coins = match &*call.mode {
            "short_series_coin" => data.buy_quantity,
            "short_series_goods" if data.product_id.is_some() => 0,
            _ => return Err(PARAMETER),
        };
        if data.currency_type != "CNY" {
            return Err(CURRENCY);
        }
        let product = self.products.get(&call.appid).ok_or(PAY_SIG)?;
        if !is_signature(&call.pay_sig, &product.app_key, &over("requestVirtualPayment", &call.sign_data)) {
            return Err(PAY_SIG);
        }
        if !is_signature(&call.signature, session_key, &call.sign_data) {
            return Err(SIGNATURE);
        }
        // A coin costs a fen here.
        let price = if coins == 0 { data.goods_price.ok_or(PARAMETER)? } else { 1 };
        let fee = price.checked_mul(data.buy_quantity).filter(|fee| *fee > 0).ok_or(PARAMETER)?;
        if data.offer_id != product.offer_id || data.env > 1 || !is_trade_number(&data.out_trade_no) {
            return Err(PARAMETER);
        }
        let order = (call.appid, data.out_trade_no);
        if self.orders.get(&order).is_some() {
            return Err(USED);
        }
        if coins > 0 {
            let owner = (order.0.clone(), openid.clone());
            let balance = self.balances.get(&owner).copied().unwrap_or_default().saturating_add(coins);
            self.balances.insert(owner, balance);
        }
        self.orders.insert(order, PaidOrder { openid, env: data.env, fee, paid_at: now });
        Ok(())
    }
}

/// What a payment product signs: the name of the call goes in front of the data.
pub(super) fn over(call: &str, data: &str) -> String {
    format!("{call}&{data}")
}

/// 8 to 32 letters, digits and `_-|*@`, no `_` first.
fn is_trade_number(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-|*@".contains(&byte);
    (8..=32).contains(&text.len()) && !text.starts_with('_') && text.bytes().all(is_allowed)
}
