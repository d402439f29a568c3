//! One manual page for each command: what `--help` says, and around it what a page of section 1 has to say.

use std::io;

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::cli::config;

/// User commands.
pub(super) const SECTION: &str = "1";

/// What stands at the end of every page.
const EXIT_STATUS: [(&str, &str); 3] =
    [("0", "What was asked for is done."), ("1", "Refused or failed; standard error says why."), ("2", "Wrong usage.")];

/// Files of the keys directory.
const KEY_FILES: [(&str, &str); 4] = [
    ("keys/ticket-KID.key, keys/jwt-KID.key", "One key each, readable by its owner alone. Never edited."),
    ("keys/USE-KID.revoked", "That this key is revoked; its content does not count."),
    ("keys/cutoffs.json", "Whose tickets are refused before they expire."),
    ("keys/.lock", "Held by the command that writes."),
];

/// The file that packages and `deploy/` put in this place.
const CONFIGURATION_FILE: (&str, &str) = (
    "/etc/auth-ticket/auth-ticket.toml",
    "The configuration, where the package keeps it. Every setting and its default: auth-ticket serve \
     --print-example-config",
);

/// What a command that reads the configuration takes from the environment beside its options.
const CONFIGURATION_VARIABLES: [(&str, &str); 2] = [
    ("AUTH_TICKET_*", "One setting each; they win over the file: AUTH_TICKET_TICKET__TTL is ttl in [ticket]."),
    ("The variables that secret_env names", "The secrets of apps and services."),
];

const LOG_VARIABLE: (&str, &str) = ("RUST_LOG", "What is logged: info by default, or for example auth_ticket=debug.");

/// `auth-ticket-keys-rotate`
pub(super) fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of `command`, which stands somewhere below `program`; both are built.
pub(super) fn render(program: &Command, command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let version = command.get_version().unwrap_or_default();
    let man = Man::new(command.clone())
        .title(name(command).to_uppercase())
        .section(SECTION)
        .source(format!("{} {version}", name(program)))
        .manual("User Commands");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    section("SYNOPSIS", |roff| roff.text(synopsis(command))).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let settings = if command.get_name() == "serve" { config::settings() } else { Vec::new() };
    let lists = [
        ("SETTINGS", settings),
        ("FILES", files(command)),
        ("ENVIRONMENT", variables(command)),
        ("EXIT STATUS", owned(EXIT_STATUS)),
    ];
    for (title, entries) in lists.into_iter().filter(|(_, entries)| !entries.is_empty()) {
        section(title, |roff| entries.iter().fold(roff, |roff, (term, text)| definition(roff, term, text)))
            .to_writer(&mut page)?;
    }
    let see = see_also(program, command).join(", ");
    section("SEE ALSO", |roff| roff.text([roman(see)])).to_writer(&mut page)?;
    Ok(page)
}

fn section(title: &str, fill: impl FnOnce(&mut Roff) -> &mut Roff) -> Roff {
    let mut roff = Roff::new();
    fill(roff.control("SH", [title]));
    roff
}

fn definition<'a>(roff: &'a mut Roff, term: &str, text: &str) -> &'a mut Roff {
    roff.control("TP", []).text([bold(term)]).text([roman(text)])
}

/// Name, options with their values, arguments; what may be left out stands in brackets.
fn synopsis(command: &Command) -> Vec<Inline> {
    let mut line = vec![bold(command.get_bin_name().unwrap_or_else(|| command.get_name()))];
    let shown = |arg: &&Arg| !arg.is_hide_set() && !is_help(arg);
    let (arguments, options): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().filter(shown).partition(|arg| arg.is_positional());
    for arg in options.into_iter().chain(arguments) {
        let (open, close) = if arg.is_required_set() { ("", "") } else { ("[", "]") };
        line.push(roman(format!(" {open}")));
        let option = arg.get_long().map(|long| format!("--{long}"));
        let takes_value = arg.get_action().takes_values();
        let value = arg.get_value_names().filter(|_| takes_value).map(|names| {
            let names: Vec<&str> = names.iter().map(clap::builder::Str::as_str).collect();
            names.join(" ")
        });
        let between = if option.is_some() && value.is_some() { " " } else { "" };
        line.extend(option.map(bold));
        line.push(roman(between));
        line.extend(value.map(italic));
        line.push(roman(close));
        if matches!(arg.get_action(), ArgAction::Append) {
            line.push(roman("..."));
        }
    }
    if command.has_subcommands() {
        line.extend([roman(" "), italic("COMMAND")]);
    }
    line
}

/// Every command has these, and nobody looks for them in a synopsis.
fn is_help(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
}

fn has_option(command: &Command, long: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(long))
}

fn files(command: &Command) -> Vec<(String, String)> {
    let mut files = Vec::new();
    if has_option(command, "config") {
        files.push(CONFIGURATION_FILE);
    }
    if has_option(command, "config") || has_option(command, "keys") {
        files.extend(KEY_FILES);
    }
    owned(files)
}

fn variables(command: &Command) -> Vec<(String, String)> {
    let option_of = |arg: &Arg| {
        let variable = arg.get_env()?.to_string_lossy().into_owned();
        Some((variable, format!("Stands for --{}.", arg.get_long()?)))
    };
    let mut variables: Vec<(String, String)> = command.get_arguments().filter_map(option_of).collect();
    if has_option(command, "config") {
        variables.extend(owned(CONFIGURATION_VARIABLES));
    }
    if ["serve", "demo", "simulator"].contains(&command.get_name()) {
        variables.extend(owned([LOG_VARIABLE]));
    }
    variables
}

fn owned<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    entries.into_iter().map(|(term, text)| (term.to_owned(), text.to_owned())).collect()
}

/// The page above, those beside this one, and those below; for the program's own page, those of all commands.
fn see_also(program: &Command, command: &Command) -> Vec<String> {
    let all = everything_below(program);
    let is_program = name(command) == name(program);
    let above = name(command).rsplit_once('-').map_or("", |(above, _)| above);
    let related = |other: &&Command| {
        let other = name(other);
        is_program
            || other == above
            || other.rsplit_once('-').is_some_and(|(parent, _)| parent == above || parent == name(command))
    };
    let mut pages = if is_program { Vec::new() } else { vec![name(program)] };
    pages.extend(all.into_iter().filter(related).map(name).filter(|other| *other != name(command)));
    pages.dedup();
    pages.into_iter().map(|page| format!("{page}({SECTION})")).collect()
}

fn everything_below(command: &Command) -> Vec<&Command> {
    command.get_subcommands().flat_map(|below| [vec![below], everything_below(below)].concat()).collect()
}
