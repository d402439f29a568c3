//! `ticket inspect`: what a ticket shows, with and without keys.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use auth_ticket::claims::{PhoneNumber, PlatformId, WebOrigin};
use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::{AppId, KeyName, KeyUse, RingKey};
use auth_ticket::keystore::Directory;
use auth_ticket::ticket::inspect::{self, Inside, Outside};
use auth_ticket::ticket::{MAX_TICKET_LEN, OpenError, Policy};
use clap::{Args, Subcommand, ValueHint};
use serde_json::{Map, Value, json};

use super::keys::owner::{self, Access};
use super::report::{self, WithHint};
use super::text;

/// Inspect tickets
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inspect(Inspect),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Inspect(options) => options.run(),
        }
    }
}

/// Show the header of a ticket and, with its keys, the claims inside
///
/// Without keys: version, kid, app tag and size, all unverified. With --keys and --appid: the claims, even of an expired
/// ticket. The session_key is never shown.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The ticket, or - to read it from standard input
    ticket: String,
    /// Keys directory, to open the ticket
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, requires = "appid")]
    keys: Option<PathBuf>,
    /// The app that the ticket is for
    #[arg(long, requires = "keys")]
    appid: Option<String>,
    /// Accept key files that are readable by their group
    #[arg(long)]
    allow_group_read: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    fn run(self) -> anyhow::Result<()> {
        let text = match self.ticket.as_str() {
            "-" => read_ticket(io::stdin())?,
            text => text.to_owned(),
        };
        let outside = inspect::outside(&text).context("cannot read the ticket")?;
        let inside = match (&self.keys, &self.appid) {
            (Some(keys), Some(appid)) => {
                owner::refuse_group_read(self.allow_group_read)?;
                let directory =
                    owner::open(Directory::new(keys).allow_group_read(self.allow_group_read), Access::Read)?;
                Some(open(&text, &directory, appid, &outside)?)
            }
            _ => None,
        };
        let mut fields = outside_fields(&outside);
        if let Some(inside) = &inside {
            fields.extend(inside_fields(inside));
        }
        let mut out = io::stdout().lock();
        if self.json {
            let object: Map<String, Value> =
                fields.into_iter().map(|field| (field.name.to_owned(), field.value)).collect();
            writeln!(out, "{}", Value::Object(object))?;
            return Ok(());
        }
        for field in fields {
            writeln!(out, "{:<20}{}", field.name, field.shown)?;
        }
        Ok(())
    }
}

fn read_ticket(input: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    let limit = MAX_TICKET_LEN as u64 + 3;
    input.take(limit).read_to_string(&mut text).context("cannot read the ticket from standard input")?;
    let trimmed = text.strip_suffix('\n').unwrap_or(&text);
    Ok(trimmed.strip_suffix('\r').unwrap_or(trimmed).to_owned())
}

fn open(text: &str, keys: &Directory, appid: &str, outside: &Outside) -> anyhow::Result<Inside> {
    let app = AppId::parse(appid).context("--appid")?;
    if app.tag() != outside.app_tag {
        return Err(anyhow!("the ticket is not for {app}: its app tag is {}, not {}", outside.app_tag, app.tag()))
            .hint("give the appid of the app that the ticket was made for");
    }
    let now = SystemClock.now();
    let (ring, _) = keys.load_ring([app], now).map_err(report::load_failed)?;
    // How long a session lasts is configured at the servers; here nothing but the ticket's own end counts.
    let policy = Policy { ttl_s: 0, max_session_s: u64::MAX };
    let name = KeyName { key_use: KeyUse::Ticket, kid: outside.kid };
    let key = ring.key(name);
    // Its own file may be gone.
    let is_revoked =
        || key.is_some_and(RingKey::is_revoked) || keys.scan().is_ok_and(|scan| scan.content.revoked.contains(&name));
    match inspect::inside(text, &ring, now, &policy) {
        Ok(inside) => Ok(inside),
        Err(OpenError::DeadKey(kid) | OpenError::UnknownKey(kid)) if is_revoked() => {
            bail!("the ticket does not open: its key {kid} was revoked")
        }
        Err(OpenError::DeadKey(kid)) => {
            let since = key.map(|key| format!(" since {}", key.dead_at())).unwrap_or_default();
            bail!("the ticket does not open: its key {kid} is dead{since}; nothing that it sealed is alive")
        }
        Err(error) => bail!("the ticket does not open: {error}"),
    }
}

/// One line of the output.
struct Field {
    name: &'static str,
    shown: String,
    value: Value,
}

fn field(name: &'static str, value: impl Into<Value>) -> Field {
    let value = value.into();
    let shown = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    Field { name, shown, value }
}

fn outside_fields(outside: &Outside) -> Vec<Field> {
    vec![
        field("version", outside.version),
        field("kid", outside.kid.to_string()),
        field("app_tag", outside.app_tag.to_string()),
        field("characters", outside.characters),
        field("bytes", outside.bytes),
    ]
}

fn inside_fields(inside: &Inside) -> Vec<Field> {
    let (ticket, session, now) = (&inside.ticket, inside.ticket.session(), SystemClock.now());
    let time = |name, at: auth_ticket::clock::UnixSeconds| Field {
        shown: format!("{at} ({})", text::relative(at, now)),
        ..field(name, at.to_string())
    };
    let verdict = match inside.verdict {
        Ok(()) => "would be accepted now".to_owned(),
        Err(error) => format!("would be refused now: {error}"),
    };
    let mut fields = vec![
        field("verdict", verdict),
        field("purpose", inside.purpose.as_str()),
        field("appid", ticket.app().as_str()),
        field("openid", session.openid.as_str()),
    ];
    fields.extend(session.unionid.as_ref().map(|unionid| field("unionid", PlatformId::as_str(unionid))));
    fields.extend(ticket.origin().map(|origin| field("origin", WebOrigin::as_str(origin))));
    fields.extend(session.phone.as_ref().map(|phone| field("phone", PhoneNumber::as_str(phone))));
    fields.extend([
        field("login_id", session.login_id.to_string()),
        time("auth_time", session.auth_time),
        time("issued_at", ticket.issued_at()),
        time("expires_at", ticket.expires_at()),
        Field {
            shown: if ticket.has_session_key() { "inside, never shown" } else { "none" }.to_owned(),
            ..field("session_key", json!(ticket.has_session_key()))
        },
    ]);
    fields.extend(inside.session_key.err().map(|error| field("session_key_error", error.to_string())));
    fields.extend(session.owner_claims.map(|claims| field("owner_claims_bytes", claims.as_bytes().len())));
    fields
}
