//! The table of settings as a complete configuration file, for `serve --print-example-config`, and as a list for the manual page.

use std::fmt::Write as _;
use std::iter;

use auth_ticket::platform::AppSetting;

use super::schema;
use super::setting::{Repeats, Setting};
use super::table::{TABLES, TOP};

/// A configuration file with every setting, each with its default or commented out.
pub(crate) fn example() -> String {
    let mut file = comment(
        "Configuration of auth-ticket. Every setting is listed; those without a default, and those that only some platforms take, \
         are commented out with a plain \"#\".",
    );
    file += "#\n";
    file += &comment(
        "Any key can also be set in the environment: AUTH_TICKET_LISTEN, AUTH_TICKET_TICKET__TTL (two underscores go one \
         level down), AUTH_TICKET_APP__0__APPID (the first [[app]]), AUTH_TICKET_JWT__AUDIENCES (a list, separated by \
         commas). A flag overrides the environment, and the environment overrides this file.",
    );
    for table in iter::once(&TOP).chain(TABLES) {
        let name = table.name;
        // A line between the settings above the first table, which have more to say than others.
        let is_top = name.is_empty();
        file += if is_top { "" } else { "\n" };
        file += &comment(table.about);
        let _ = match table.repeats {
            Repeats::Never if is_top => Ok(()),
            Repeats::Never => writeln!(file, "[{name}]"),
            Repeats::AtLeastOnce => writeln!(file, "[[{name}]]"),
            Repeats::AnyTimes => writeln!(file, "#[[{name}]]"),
            Repeats::Named => writeln!(file, "#[{name}.NAME]"),
        };
        for setting in table.settings {
            // What the one app of the example cannot do without.
            let is_needed =
                table.repeats == Repeats::AtLeastOnce && ["appid", "platform", "secret_env"].contains(&setting.name);
            // A table that may be left out is commented out as a whole.
            let may_be_out = matches!(table.repeats, Repeats::AnyTimes | Repeats::Named);
            let is_of_some = table.name == "app" && is_of_some_platforms(setting.name);
            let is_on = setting.default.is_some() && !may_be_out && !is_of_some;
            let off = if is_on || is_needed { "" } else { "#" };
            let value = setting.literal(setting.default.unwrap_or(setting.example));
            file += if is_top { "\n" } else { "" };
            file += &comment(&setting.description());
            let _ = writeln!(file, "{off}{} = {value}", setting.name);
        }
    }
    file
}

/// Whether only some platforms take this setting of an app.
fn is_of_some_platforms(name: &str) -> bool {
    AppSetting::ALL.iter().any(|setting| setting.names().contains(&name))
}

/// Each setting, `ticket.ttl`, and what it is for.
pub(crate) fn settings() -> Vec<(String, String)> {
    let entry = |(path, setting): (String, &Setting)| {
        let default = setting.default.map(|value| format!(" Default: {}.", setting.literal(value)));
        (path.replace("[]", ""), setting.description() + &default.unwrap_or_default())
    };
    schema::all("").map(entry).collect()
}

/// `text` in lines that begin with `# `.
fn comment(text: &str) -> String {
    const MAX_LINE_LEN: usize = 120;
    let mut lines = String::new();
    let mut len = MAX_LINE_LEN;
    for word in text.split_whitespace() {
        if len + 1 + word.len() > MAX_LINE_LEN {
            lines += if lines.is_empty() { "#" } else { "\n#" };
            len = 1;
        }
        lines += " ";
        lines += word;
        len += 1 + word.len();
    }
    if !lines.is_empty() {
        lines += "\n";
    }
    lines
}
