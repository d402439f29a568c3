//! One app of each platform, whose console is the simulator's.

use anyhow::{Context, anyhow};
use auth_ticket::http::{App, Subject};
use auth_ticket::keyring::AppId;
use auth_ticket::platform::{
    AesKey, AppSetting, AppSettings, Capability, Kind, PlatformOptions, RsaPrivateKey, RsaPublicKey, kind,
};
use auth_ticket::secret::SecretText;
use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::Url;

/// What consoles give out, in the form of each platform's.
pub(super) const APPIDS: [(&str, &str); 12] = [
    ("weapp", "wx0123456789abcdef"),
    ("tt", "tt0123456789abcdef01"),
    ("alipay", "2021000000000001"),
    ("swan", "0123456789abcdefghijklmnopqrstuv"),
    ("qq", "1109000000"),
    ("kwai", "ks701717192100000000"),
    ("xhs", "0123456789abcdef01234567"),
    ("jd", "0123456789ABCDEF0123456789ABCDEF"),
    ("dd", "ding0123456789abcdef"),
    ("lark", "cli_0123456789abcdef"),
    ("wxwork", "wwapp0123456789abcdef"),
    ("weixin-web", "wxfedcba9876543210"),
];
/// For the one platform whose requests a secret signs.
const SECRET: &str = "nobody's secret";
const CORP_ID: &str = "ww0123456789abcdef";
const AES_KEY: &str = "aYA0GP8JEW+D7/UFaskCWA==";

/// The console of a simulated platform.
pub(super) struct Console<'a>(pub(super) &'a Router);

/// What an owner copies from the consoles of the platforms.
#[derive(Default)]
struct Copied {
    secret: Option<&'static str>,
    private_key: Option<RsaPrivateKey>,
    /// PEM.
    alipay_public_key: Option<String>,
    phone_private_key: Option<RsaPrivateKey>,
}

/// For each of `replicas` servers the app of each platform, in the order of the list of platforms; the platforms are at `base_url`.
pub(super) async fn all(console: Console<'_>, base_url: &Url, replicas: usize) -> anyhow::Result<Vec<Vec<App>>> {
    let mut all: Vec<Vec<App>> = (0..replicas).map(|_| Vec::new()).collect();
    for kind in kind::ALL {
        let appid = appid(kind)?;
        let copied = console.tell(kind, appid).await?;
        for apps in &mut all {
            apps.push(app(kind, appid, base_url, &copied)?);
        }
    }
    Ok(all)
}

/// The demo's app of this platform.
fn appid(kind: &Kind) -> anyhow::Result<&'static str> {
    let found = APPIDS.iter().find(|(name, _)| *name == kind.name);
    found.map(|(_, appid)| *appid).with_context(|| format!("the demo has no appid for {}", kind.name))
}

fn app(kind: &Kind, appid: &str, base_url: &Url, copied: &Copied) -> anyhow::Result<App> {
    let mut options = PlatformOptions { base_url: Some(base_url.clone()), ..PlatformOptions::new(appid) };
    options.settings = settings(kind, copied)?;
    if let Some(secret) = copied.secret {
        options.secret = Some(SecretText::new(secret));
    }
    if !kind.takes(AppSetting::Secret) {
        options.secret = None;
    }
    let platform = (kind.build)(options).with_context(|| format!("cannot set up the platform {}", kind.name))?;
    Ok(App { id: AppId::parse(appid).context("an appid")?, platform, subject: Subject::Openid })
}

/// What the page has to know of the apps.
pub(super) fn described() -> anyhow::Result<Value> {
    let described = kind::ALL.iter().map(|kind| {
        let offered = kind.offered(&settings(kind, &Copied::default())?);
        let takes_phone_code = offered.contains(&Capability::PhoneByCode);
        Ok(json!({ "platform": kind.name, "appid": appid(kind)?, "phone_by_code": takes_phone_code }))
    });
    Ok(Value::Array(described.collect::<anyhow::Result<_>>()?))
}

/// Everything that a platform offers: none of the users is real, so nothing is risked.
fn settings(kind: &Kind, copied: &Copied) -> anyhow::Result<AppSettings> {
    let takes = |setting| kind.takes(setting);
    Ok(AppSettings {
        private_key: copied.private_key.clone(),
        alipay_public_key: copied.alipay_public_key.as_deref().map(RsaPublicKey::from_pem).transpose()?,
        phone_private_key: copied.phone_private_key.clone(),
        corp_id: takes(AppSetting::CorpId).then(|| CORP_ID.to_owned()),
        aes_key: takes(AppSetting::AesKey).then(|| AesKey::parse(AES_KEY).ok()).flatten(),
        phone: takes(AppSetting::Phone),
        experimental: takes(AppSetting::Experimental),
        phone_unbound: takes(AppSetting::PhoneUnbound),
        phone_unverified: takes(AppSetting::PhoneUnverified),
        userdata_unbound: takes(AppSetting::UserdataUnbound),
        ..AppSettings::default()
    })
}

impl Console<'_> {
    /// Types in what an owner would, and copies what it shows.
    async fn tell(&self, kind: &Kind, appid: &str) -> anyhow::Result<Copied> {
        let key = || RsaPrivateKey::generate().context("cannot make an RSA key");
        let mut copied = Copied::default();
        match kind.name {
            "alipay" => {
                let (private, public) = key()?;
                let app = json!({ "appid": appid, "public_key": public, "aes_key": AES_KEY });
                self.post("/_sim/alipay/app", &app).await?;
                let theirs = self.ask(Method::GET, "/_sim/alipay/public-key", Body::empty()).await?;
                copied.alipay_public_key = Some(theirs);
                copied.private_key = Some(private);
            }
            "tt" => {
                let (private, public) = key()?;
                self.post("/_sim/tt/app", &json!({ "appid": appid, "phone_public_key": public })).await?;
                copied.phone_private_key = Some(private);
            }
            "jd" => {
                self.post("/_sim/jd/app", &json!({ "appid": appid, "secret": SECRET })).await?;
                copied.secret = Some(SECRET);
            }
            _ => {}
        }
        Ok(copied)
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.ask(Method::POST, path, Body::from(body.to_string())).await.map(drop)
    }

    async fn ask(&self, method: Method, path: &str, body: Body) -> anyhow::Result<String> {
        let request = Request::builder().method(method).uri(path).body(body)?;
        let answer = self.0.clone().oneshot(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let text = String::from_utf8(body.to_vec()).context("the simulator's answer is no text")?;
        if status.is_success() { Ok(text) } else { Err(anyhow!("the simulator answers {path} with {status}: {text}")) }
    }
}
