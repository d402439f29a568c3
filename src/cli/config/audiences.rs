//! Whom JWTs are for: tokens of services, assertions of checks, questions to the owner's service. No audience is two of
//! these, and none mixes users of several apps unless the configuration says so.

use std::collections::BTreeMap;

use auth_ticket::http::{Audience, ClaimTemplate, JwtSettings};
use auth_ticket::keyring::AppId;

use super::check;
use super::claim_values::{Spot, What, toml_key};
use super::mistake::{Origin, quoted};
use super::reader::{Item, mistyped};
use super::tree::{Leaf, NamedTable, Tree, Value};

const TABLE: &str = "jwt.audience";
const VERIFY: &str = "verify.assertion_audience";

impl Tree {
    /// `[jwt]`. The lists are the short form for one app; several apps need a table for each audience.
    pub(super) fn jwt(&mut self, appids: &[String]) -> JwtSettings {
        let ttl_s = self.seconds("jwt.ttl");
        let phone = self.boolean("jwt.phone");
        let typ = self.text("jwt.typ", check::token_type);
        let listed = self.list("jwt.audiences", check::audience);
        let tables = self.named.get(TABLE).cloned().unwrap_or_default();
        let public = self.items("jwt.public_audiences", check::audience);
        // By what stands in the file, so that a mistake in one audience hides none in the others.
        let written = self.token_audiences();
        if self.origin("jwt.audiences").is_some() && !self.shown_list("jwt.audiences").is_empty() {
            self.check_issuer("jwt.audiences", "JWTs");
        } else if let Some(first) = tables.first() {
            self.check_issuer_at(first.origin.clone(), &format!("[{TABLE}.{}]", first.name), "JWTs");
        }
        let public = self.all_of(public, &written, "is not one of jwt.audiences");
        let mut audiences = Vec::new();
        for table in tables {
            let NamedTable { origin, name } = table;
            if let Err(message) = check::audience(&name) {
                self.report(origin, TABLE, message);
                continue;
            }
            let path = |key: &str| format!("{TABLE}[{name}].{key}");
            let apps = self.apps_of(&path("apps"), &origin, appids);
            let is_public = self.boolean(&path("public")) || public.contains(&name);
            let mut audience = Audience::new(&name, apps);
            audience.is_public = is_public;
            audience.scopes = self.list(&path("scopes"), check::scope);
            audience.claims = self.claims(&path("claims"), phone);
            audiences.push(audience);
        }
        if are_several(appids) {
            self.report_listed(&audiences, appids);
        }
        for name in listed {
            if !audiences.iter().any(|audience| audience.name == name) {
                let mut audience = Audience::new(&name, parsed(appids));
                audience.is_public = public.contains(&name);
                audiences.push(audience);
            }
        }
        JwtSettings { ttl_s, audiences, phone, typ }
    }

    /// Claims that are added to the tokens of an audience; `with_phone` is whether tokens may have phone numbers.
    fn claims(&mut self, path: &str, with_phone: bool) -> ClaimTemplate {
        let Some(Leaf { origin, value }) = self.leaves.get(path).cloned() else { return ClaimTemplate::default() };
        let Value::Claims(claims) = value else {
            let message = mistyped(path, &origin, &value, "a table");
            self.report(origin, path, message);
            return ClaimTemplate::default();
        };
        let mut are_good = true;
        for Spot { origin, key, what } in claims.spots {
            let wrong = match what {
                What::Name(name) => ClaimTemplate::check_name(&name).err().map(|error| error.to_string()),
                What::Text(text) if !with_phone && ClaimTemplate::is_phone(&text) => {
                    Some("tokens have no phone numbers; write phone = true in [jwt], or leave it out".to_owned())
                }
                What::Text(text) => {
                    ClaimTemplate::check_text(&text).err().map(|error| format!("{} is not: {error}", quoted(&text)))
                }
                What::Unfit(why) => Some(why.to_owned()),
            };
            if let Some(message) = wrong {
                are_good = false;
                self.report(origin, format!("{path}{key}"), message);
            }
        }
        let template = if are_good { ClaimTemplate::new(claims.values) } else { Ok(ClaimTemplate::default()) };
        template.unwrap_or_else(|error| {
            self.report(origin, path, error.to_string());
            ClaimTemplate::default()
        })
    }

    /// Of several apps, each audience has to name those whose users it knows; `tables` do.
    fn report_listed(&mut self, tables: &[Audience], appids: &[String]) {
        for Item { origin, key, value } in self.shown_items("jwt.audiences") {
            if tables.iter().any(|audience| audience.name == value) || check::audience(&value).is_err() {
                continue;
            }
            let message = format!(
                "several apps are configured, and a service must not take one's users for another's; write \
                 [jwt.audience.{}] and below it apps = {}, or some",
                toml_key(&value),
                check::shown_list(appids)
            );
            self.report(origin, key, message);
        }
    }

    /// Audiences of tokens, as written.
    pub(super) fn token_audiences(&self) -> Vec<String> {
        let tables = self.named.get(TABLE).into_iter().flatten().map(|table| table.name.clone());
        self.shown_list("jwt.audiences").into_iter().chain(tables).collect()
    }

    /// Whom the assertions about users of each app are for.
    pub(super) fn assertion_audiences(&mut self, appids: &[String], any_app: bool) -> BTreeMap<AppId, String> {
        let for_all = self.assertion_audience(VERIFY);
        if for_all.is_some() && are_several(appids) && !any_app {
            let message = "several apps are configured, and a service must not take one's users for another's; write \
                           assertion_audience in each [[app]], or any_app = true for services that look at the appid";
            self.report_at(VERIFY, message);
        }
        let mut seen: Vec<(usize, String)> = Vec::new();
        let mut audiences = BTreeMap::new();
        for index in 0..self.count("app") {
            let path = format!("app[{index}].assertion_audience");
            let own = self.assertion_audience(&path);
            if let Some(own) = &own {
                if for_all.is_some() {
                    self.report_at(&path, "verify.assertion_audience is given, too; keep one of the two");
                } else if let Some((other, _)) = seen.iter().find(|(_, audience)| audience == own && !any_app) {
                    let message = format!("app[{other}] has this audience, too; write a name of its own for each app");
                    self.report_at(&path, message);
                }
                seen.push((index, own.clone()));
            }
            let id = self.shown_text(&format!("app[{index}].appid")).and_then(|appid| AppId::parse(&appid).ok());
            audiences.extend(id.zip(own.or_else(|| for_all.clone())));
        }
        audiences
    }

    fn assertion_audience(&mut self, path: &str) -> Option<String> {
        let audience = self.optional(path, check::audience);
        if self.origin(path).is_some() {
            self.check_issuer(path, "assertions");
        }
        let audience = audience?;
        if self.token_audiences().contains(&audience) {
            let message = "is one of jwt.audiences, too: who asks for such a JWT could pass it off as an assertion; \
                           write a name of its own";
            self.report_at(path, message);
        }
        Some(audience)
    }

    /// The audience of questions to the owner's service, which nothing else may have: it would take a user's token for a
    /// question, or a question for a token.
    pub(super) fn check_question_audience(&mut self, audience: &str) {
        let path = if self.origin("claims.audience").is_some() { "claims.audience" } else { "claims.url" };
        let of_apps = (0..self.count("app")).map(|index| format!("app[{index}].assertion_audience"));
        let of_assertions: Vec<String> = of_apps.chain([VERIFY.to_owned()]).collect();
        let taken = if self.token_audiences().iter().any(|other| other == audience) {
            "jwt.audiences"
        } else if of_assertions.iter().any(|path| self.shown_text(path).as_deref() == Some(audience)) {
            "the assertion audiences"
        } else {
            return;
        };
        let message =
            format!("is one of {taken}, too: a JWT could be passed off as a question; write a name of its own");
        self.report_at(path, message);
    }

    /// The apps that `path` names. `table` is where its table begins, and `appids` are those of the file, right or not: a
    /// mistake in one of them hides none here.
    pub(super) fn apps_of(&mut self, path: &str, table: &Origin, appids: &[String]) -> Vec<AppId> {
        // An app whose appid is missing, or no text, may be any.
        let all_are_known = appids.len() == self.count("app");
        if self.origin(path).is_none() {
            if all_are_known && are_several(appids) {
                let list = check::shown_list(appids);
                let message = format!("is missing; several apps are configured, so write apps = {list} or some");
                self.report(table.clone(), path, message);
            }
            return parsed(appids);
        }
        let items = self.items(path, |text| Ok(text.to_owned()));
        if items.is_empty() && !self.is_wrong(path) {
            self.report_at(path, "is empty; name at least one appid, or remove the table");
        }
        if all_are_known && !appids.is_empty() {
            return parsed(&self.all_of(items, appids, "is not the appid of a configured app"));
        }
        for item in items {
            if let Err(message) = check::appid(&item.value) {
                self.report(item.origin, item.key, message);
            }
        }
        Vec::new()
    }
}

fn are_several(appids: &[String]) -> bool {
    appids.iter().any(|appid| Some(appid) != appids.first())
}

fn parsed(appids: &[String]) -> Vec<AppId> {
    appids.iter().filter_map(|appid| AppId::parse(appid).ok()).collect()
}
