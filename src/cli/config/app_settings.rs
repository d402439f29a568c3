//! The settings of an app that only some platforms have: the row of its platform says which it takes and which it needs.

use auth_ticket::platform::{
    AesKey, AppSetting, AppSettings, Kind, Requirement, RsaKeyError, RsaPrivateKey, RsaPublicKey, SecretSource, kind,
};
use auth_ticket::secret::SecretText;

use super::mistake::{Origin, quoted};
use super::schema::{self, variable_name};
use super::secret::{from_file, from_key_file, from_public_file};
use super::setting::join;
use super::tree::{Tree, Value};
use super::{check, check::SHARED};

impl Tree {
    /// What table number `index` of `[[app]]` says that `kind` takes. If the platform is not known, it is read all the same.
    pub(super) fn app_settings(&mut self, index: usize, kind: Option<&Kind>) -> AppSettings {
        if let Some(kind) = kind {
            self.check_app_settings(index, kind);
        }
        let path = |name: &str| format!("app[{index}].{name}");
        let aes_key = self.secret_from(("app", index), ["aes_key_env", "aes_key_file"], |text, _| {
            AesKey::parse(text).map_err(|error| format!("the key there {error}"))
        });
        AppSettings {
            corp_id: self.optional(&path("corp_id"), check::corp_id),
            private_key: self.private_key(&path("private_key_file")),
            alipay_public_key: self.optional(&path("alipay_public_key_file"), |file| {
                from_public_file(file).and_then(|text| RsaPublicKey::from_pem(&text).map_err(wrong_file))
            }),
            aes_key,
            subject_id: self.text(&path("subject_id"), check::subject_id),
            phone: self.boolean(&path("phone")),
            phone_private_key: self.private_key(&path("phone_private_key_file")),
            experimental: self.boolean(&path("experimental")),
            phone_unbound: self.boolean(&path("phone_unbound")),
            phone_unverified: self.boolean(&path("phone_unverified")),
            userdata_unbound: self.boolean(&path("userdata_unbound")),
            login_with_token: self.boolean(&path("login_with_token")),
            component_appid: self
                .optional(&path("component_appid"), |text| check::appid(text).map(|id| id.to_string())),
            component_access_token: self.component_access_token(&path("component_access_token_file")),
        }
    }

    /// The app's secret, if `kind` has such a thing. `doubt` is told the text.
    pub(super) fn app_secret(&mut self, index: usize, kind: Option<&Kind>, doubt: impl Fn(&str)) -> Option<SecretText> {
        let is_needed = kind.is_none_or(|kind| kind.needs(AppSetting::Secret, |other| self.is_on(index, other)));
        let check = |text: &str| {
            doubt(text);
            Ok(())
        };
        if is_needed {
            self.secret(("app", index), check)
        } else if kind.is_some_and(|kind| kind.takes(AppSetting::Secret)) {
            self.check_secret_is_of_use(index, kind);
            self.secret_from(("app", index), ["secret_env", "secret_file"], |text, source| {
                check(&text).map(|()| SecretText::new(text).read_from(source))
            })
        } else {
            None
        }
    }

    /// Read once now, so that mistakes are told at start, and again whenever it is needed.
    fn component_access_token(&mut self, path: &str) -> Option<SecretSource> {
        let are_shared = self.shown_text("secret_files").as_deref() == Some(SHARED);
        self.optional(path, |file| {
            let file = file.to_owned();
            let read = move || {
                let text = from_file(&file, are_shared).map_err(|wrong| format!("{file:?}: {wrong}"))?;
                Ok(SecretText::new(text).read_from(format!("the file {file:?}")))
            };
            read().map(|_| SecretSource::new(read))
        })
    }

    fn private_key(&mut self, path: &str) -> Option<RsaPrivateKey> {
        let are_shared = self.shown_text("secret_files").as_deref() == Some(SHARED);
        self.optional(path, |file| {
            from_key_file(file, are_shared).and_then(|text| RsaPrivateKey::from_pem(text).map_err(wrong_file))
        })
    }

    /// A secret that another setting replaces would be there in vain.
    fn check_secret_is_of_use(&mut self, index: usize, kind: Option<&Kind>) {
        let needs = kind.into_iter().flat_map(|kind| kind.settings);
        let replaced_by = needs.filter_map(|need| match need {
            (AppSetting::Secret, Requirement::RequiredWithout(other)) => Some(other),
            _ => None,
        });
        let Some(other) = replaced_by.copied().find(|&other| self.is_on(index, other)) else { return };
        let paths = AppSetting::Secret.names().iter().map(|name| format!("app[{index}].{name}"));
        let given: Vec<String> = paths.filter(|path| self.origin(path).is_some()).collect();
        for path in given {
            self.report_at(&path, format!("{} is given, too; keep one of the two", other.names().join(" or ")));
        }
    }

    /// Reports what `kind` does not take, and what it needs and is not there; warns of what is a risk.
    fn check_app_settings(&mut self, index: usize, kind: &Kind) {
        for setting in AppSetting::ALL {
            let paths = setting.names().iter().map(|name| format!("app[{index}].{name}"));
            let given: Vec<String> = paths.filter(|path| self.origin(path).is_some()).collect();
            for path in given.iter().filter(|_| !kind.takes(setting)) {
                self.report_at(path, not_taken(setting, kind));
            }
            if setting == AppSetting::Secret || !kind.takes(setting) {
                continue;
            }
            if let (Some(risk), true, Some(path)) = (setting.risk(), self.is_on(index, setting), given.first()) {
                self.warn(path, risk);
            }
            if kind.needs(setting, |other| self.is_on(index, other)) && !self.is_on(index, setting) {
                self.report_needed(index, kind, setting, given.first());
            }
        }
    }

    /// Whether `setting` is there and not `false`.
    fn is_on(&self, index: usize, setting: AppSetting) -> bool {
        setting.names().iter().any(|name| match self.leaves.get(&format!("app[{index}].{name}")) {
            None => false,
            Some(leaf) => match &leaf.value {
                Value::Boolean(value) => *value,
                Value::Words(text) => text != "false",
                _ => true,
            },
        })
    }

    fn report_needed(&mut self, index: usize, kind: &Kind, setting: AppSetting, given: Option<&String>) {
        let table = format!("app[{index}]");
        let paths: Vec<String> = setting.names().iter().map(|name| join(&table, name)).collect();
        let Some(first) = paths.first() else { return };
        if self.refused.contains(&table) || paths.iter().any(|path| self.refused.contains(path)) {
            return;
        }
        let why = match kind.settings.iter().find(|(taken, _)| *taken == setting).map(|(_, need)| need) {
            Some(Requirement::RequiredWith(other)) => format!("{} needs it", other.names().join(" or ")),
            Some(Requirement::RequiredWithout(other)) => {
                format!("platform {} needs it without {}", quoted(kind.name), other.names().join(" or "))
            }
            _ => format!("platform {} needs it", quoted(kind.name)),
        };
        if let Some(given) = given {
            self.report_at(given, format!("{why}; write true, or another platform"));
            return;
        }
        let origin = self.table_origin("app", index);
        let hint = match origin {
            Origin::Variable(_) => format!("set {}", variable_name(first)),
            _ => format!("write for example {}", schema::example(first)),
        };
        let also = setting.names().get(1).map(|other| format!(", and so is {other}")).unwrap_or_default();
        self.report(origin, first, format!("is missing{also}, and {why}; {hint}"));
    }
}

/// `platform "weapp" does not take it; it is a setting of "dd" and "wxwork"`.
fn not_taken(setting: AppSetting, kind: &Kind) -> String {
    let takers: Vec<String> =
        kind::ALL.iter().filter(|kind| kind.takes(setting)).map(|kind| quoted(kind.name)).collect();
    let takers = match takers.as_slice() {
        [] => "no platform of this version does".to_owned(),
        [one] => format!("it is a setting of {one}"),
        [rest @ .., last] => format!("it is a setting of {} and {last}", rest.join(", ")),
    };
    let instead: Vec<&str> = kind
        .settings
        .iter()
        .filter(|(_, need)| setting == AppSetting::Secret && *need == Requirement::Required)
        .flat_map(|(needed, _)| needed.names())
        .copied()
        .collect();
    let hint =
        if instead.is_empty() { "remove it".to_owned() } else { format!("write {} instead", instead.join(", ")) };
    format!("platform {} does not take it; {takers}; {hint}", quoted(kind.name))
}

fn wrong_file(error: RsaKeyError) -> String {
    format!("the file {error}")
}
