//! `platforms`: what this version serves, as the code has it.

use std::io::{self, Write};

use auth_ticket::platform::{AppSetting, Kind, Offer, Requirement, kind};
use clap::Args;
use serde_json::{Value, json};

/// List the platforms that this version serves
///
/// For each: what works beside logins, its ids, how long a code is good, what an app needs, and how well all of that is known.
#[derive(Args, Debug)]
pub(crate) struct Platforms {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Platforms {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            let list: Vec<Value> = kind::ALL.iter().map(|kind| as_json(kind)).collect();
            writeln!(out, "{}", serde_json::to_string(&json!({ "platforms": list }))?)?;
            return Ok(());
        }
        for (index, kind) in kind::ALL.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write!(out, "{}", as_text(kind))?;
        }
        Ok(())
    }
}

fn as_json(kind: &Kind) -> Value {
    let capabilities: Vec<Value> = kind
        .capabilities
        .iter()
        .map(|Offer { capability, only_with, never_with }| {
            let [only_with, never_with] = [only_with, never_with].map(|setting| setting.map(AppSetting::names));
            json!({ "name": capability.as_str(), "only_with": only_with, "never_with": never_with })
        })
        .collect();
    let settings: Vec<Value> = kind
        .settings
        .iter()
        .map(|(setting, need)| json!({ "names": setting.names(), "need": need_of(*need) }))
        .collect();
    json!({
        "platform": kind.name,
        "program": kind.program,
        "capabilities": capabilities,
        "settings": settings,
        "ids": kind.ids,
        "code": kind.code_life,
        "base_url": kind.default_base_url,
        "sandbox_url": kind.sandbox_url,
        "evidence": kind.evidence,
    })
}

fn as_text(kind: &Kind) -> String {
    let list = |items: Vec<String>| if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
    let capabilities = kind.capabilities.iter().map(|Offer { capability, only_with, never_with }| {
        let names = |setting: &AppSetting| setting.names().join(" or ");
        match (only_with.as_ref().map(names), never_with.as_ref().map(names)) {
            (Some(with), _) => format!("{} (with {with})", capability.as_str()),
            (None, Some(without)) => format!("{} (without {without})", capability.as_str()),
            (None, None) => capability.as_str().to_owned(),
        }
    });
    let settings = kind.settings.iter().map(|(setting, need)| match need_of(*need) {
        need if need == "required" => setting.names().join(" or "),
        need => format!("{} ({need})", setting.names().join(" or ")),
    });
    let rows = [
        ("beside login", list(capabilities.collect())),
        ("settings", list(settings.collect())),
        ("ids", kind.ids.to_owned()),
        ("code", kind.code_life.to_owned()),
        ("host", kind.default_base_url.to_owned()),
        ("sandbox", kind.sandbox_url.unwrap_or("none").to_owned()),
        ("evidence", kind.evidence.to_owned()),
    ];
    let lines = rows.map(|(name, value)| format!("  {name:<12}  {value}\n"));
    format!("{}: {}\n{}", kind.name, kind.program, lines.concat())
}

fn need_of(need: Requirement) -> String {
    match need {
        Requirement::Required => "required".to_owned(),
        Requirement::RequiredWith(other) => format!("required with {}", other.names().join(" or ")),
        Requirement::RequiredWithout(other) => format!("required without {}", other.names().join(" or ")),
        _ => "optional".to_owned(),
    }
}
