//! The simulated toy platform.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::get;
use serde_json::json;

use super::faults::Fault;
use super::platform::{ControlError, SimulatedPlatform};
use super::reply::{self, Reply};
use super::users::{Name, SimulatedUser};
use super::world::World;

pub(super) struct Toy {
    world: Arc<World>,
    spent: Mutex<HashSet<String>>,
}

impl Toy {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, spent: Mutex::default() }
    }

    /// `toy-NAME-ANYTHING` is a code of NAME, once.
    fn login(&self, query: &str) -> Reply {
        let value = |wanted: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let (app, code) = (&value("app"), value("code"));
        let outcome = self.world.call("toy_login", app, |_| {
            let is_new = self.spent.lock().unwrap_or_else(PoisonError::into_inner).insert(code.clone());
            let name = code.strip_prefix("toy-").and_then(|rest| Name::parse(rest.split_once('-')?.0));
            let answer = match name.filter(|_| is_new) {
                Some(name) => json!({ "user": name.openid(app) }),
                None => json!({ "error": "code.spent" }),
            };
            Ok((Duration::ZERO, answer.to_string()))
        });
        match outcome {
            Ok((delay, json)) => Reply::Json(delay, json),
            Err(Fault::Errcode(number)) => {
                Reply::Json(Duration::ZERO, json!({ "error": number.to_string() }).to_string())
            }
            Err(Fault::Word(word)) => Reply::Json(Duration::ZERO, json!({ "error": word }).to_string()),
            Err(Fault::Broken(broken)) => Reply::Broken(broken),
        }
    }
}

impl SimulatedPlatform for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["toy_login"]
    }

    fn routes(self: Arc<Self>) -> Router {
        let login = async |State(toy): State<Arc<Self>>, RawQuery(query): RawQuery| {
            reply::respond(toy.login(&query.unwrap_or_default()), "application/json").await
        };
        Router::new().route("/toy/login", get(login)).with_state(self)
    }

    fn user(&self, appid: &str, name: &Name) -> SimulatedUser {
        SimulatedUser {
            openid: name.openid(appid),
            unionid: String::new(),
            phone: String::new(),
            country_code: String::new(),
        }
    }

    fn login_code(&self, _appid: String, name: Name) -> Result<String, ControlError> {
        Ok(format!("toy-{}-{}", name.as_str(), self.world.count_answer()))
    }

    fn forget(&self) {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
