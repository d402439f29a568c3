//! The interfaces of virtual payment: the client's `wx.requestVirtualPayment`, and two of those below `/xpay/`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::interfaces::{State, Wechat, ok};
use super::opendata::is_signature;
use super::payment::{ClientError, PaidOrder, PaymentApp, VirtualPayment, over};
use crate::simulator::control;
use crate::simulator::faults::Fault;
use crate::simulator::platform::ControlError;
use crate::simulator::reply::Reply;
use crate::simulator::world::Answer;

pub(super) const QUERY_ORDER: &str = "/xpay/query_order";
pub(super) const QUERY_USER_BALANCE: &str = "/xpay/query_user_balance";

const OPENID_ERRCODE: i64 = 268_490_001;
const PARAMETER_ERRCODE: i64 = 268_490_002;
const SIGNATURE_ERRCODE: i64 = 268_490_003;

/// A request to an interface below `/xpay/`.
#[derive(Debug)]
pub(super) struct PaymentRequest {
    pub(super) access_token: String,
    pub(super) pay_sig: String,
    pub(super) signature: String,
    /// None if it is no text.
    pub(super) body: Option<String>,
}

impl Wechat {
    /// Tells the simulator of a payment product. Without one, every payment signature of the app is wrong.
    pub(super) fn set_payment_app(&self, body: &Value) -> Result<Value, ControlError> {
        let app: PaymentApp = read(body)?;
        self.state().payments.products.insert(app.appid.clone(), app);
        Ok(json!({}))
    }

    /// `wx.requestVirtualPayment` on the phone of a user who pays at once: what the client's callback gets.
    pub(super) fn virtual_payment(&self, body: &Value) -> Result<Value, ControlError> {
        let call: VirtualPayment = read(body)?;
        let name = control::user(&call.appid, &call.name)?;
        let now = self.world.now();
        let mut state = self.state();
        let (openid, session_key) = (name.openid(&call.appid), state.users.session_key(&name, &call.appid));
        let outcome = match state.payments.buy(call, openid, &session_key, now) {
            Ok(()) => json!({ "errMsg": "requestVirtualPayment:ok" }),
            Err(ClientError(number, text)) => {
                json!({ "errCode": number, "errMsg": format!("requestVirtualPayment:fail {text}") })
            }
        };
        Ok(outcome)
    }

    /// What became of an order.
    pub(super) fn query_order(&self, request: &PaymentRequest) -> Reply {
        self.payment_call("query_order", QUERY_ORDER, request, |state, appid, body| {
            let order_id = text(body, "order_id")?;
            let order = state.payments.orders.get(&(appid.to_owned(), order_id.to_owned()));
            let order = order.filter(|order| body.get("openid").and_then(Value::as_str) == Some(&order.openid));
            let order = order.filter(|order| body.get("env").and_then(Value::as_u64) == Some(order.env.into()));
            let PaidOrder { env, fee, paid_at, .. } = order.ok_or(PARAMETER_ERRCODE)?;
            Ok(json!({ "order": {
                "order_id": order_id,
                "create_time": paid_at.as_u64(),
                "update_time": paid_at.as_u64(),
                // Paid, not delivered yet.
                "status": 2,
                "order_type": 0,
                "order_fee": fee,
                "paid_fee": fee,
                "left_fee": fee,
                "paid_time": paid_at.as_u64(),
                "env_type": env + 1,
                "wx_order_id": format!("sim-{order_id}"),
            }}))
        })
    }

    /// How many coins a user has. The user has to be logged in: it wants the signature with the `session_key`, too.
    pub(super) fn query_user_balance(&self, request: &PaymentRequest) -> Reply {
        self.payment_call("query_user_balance", QUERY_USER_BALANCE, request, |state, appid, body| {
            let openid = text(body, "openid")?;
            let name = state.users.by_openid(openid, appid).ok_or(OPENID_ERRCODE)?;
            let session_key = state.users.session_key(&name, appid);
            if !is_signature(&request.signature, &session_key, request.body.as_deref().unwrap_or_default()) {
                return Err(SIGNATURE_ERRCODE.into());
            }
            let balance = state.payments.balances.get(&(appid.to_owned(), openid.to_owned())).copied();
            let balance = balance.unwrap_or_default();
            Ok(json!({
                "balance": balance,
                "present_balance": 0,
                "sum_save": balance,
                "sum_present": 0,
                "sum_balance": balance,
                "sum_cost": 0,
                "first_save_flag": balance == 0,
            }))
        })
    }

    /// What is common to the interfaces: the access token, and the signature of the payment product.
    fn payment_call(
        &self,
        interface: &'static str,
        path: &str,
        request: &PaymentRequest,
        run: impl FnOnce(&State, &str, &Value) -> Result<Value, Fault>,
    ) -> Reply {
        self.call_with_token(interface, &request.access_token, |state, appid, _| -> Result<Answer, Fault> {
            let text = request.body.as_deref().ok_or(PARAMETER_ERRCODE)?;
            let body: Value = serde_json::from_str(text).map_err(|_| PARAMETER_ERRCODE)?;
            let product = state.payments.products.get(appid);
            if !product.is_some_and(|product| is_signature(&request.pay_sig, &product.app_key, &over(path, text))) {
                return Err(SIGNATURE_ERRCODE.into());
            }
            Ok((Duration::ZERO, ok(run(state, appid, &body)?)))
        })
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a Value) -> Result<T, ControlError> {
    T::deserialize(body).map_err(|error| ControlError::Body(error.to_string()))
}

fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, Fault> {
    body.get(name).and_then(Value::as_str).ok_or(PARAMETER_ERRCODE.into())
}

#[cfg(test)]
mod tests;
