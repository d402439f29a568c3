//! Each table lists what the program has, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use auth_ticket::platform::{Requirement, kind};
use hyper::StatusCode;
use serde_json::Value;

use super::{ROOT, auth_ticket, read, text_of};

/// The cells of the rows of all tables below the heading `## section` of `page`, without heads.
fn rows(page: &str, section: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let (_, text) = text.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("{page}: no {section}"));
    let text = text.split("\n## ").next().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_head = |at: usize| lines.get(at + 1).is_some_and(|next| next.starts_with("| ---"));
    let is_row = |at: &usize| lines[*at].starts_with('|') && !lines[*at].starts_with("| ---") && !is_head(*at);
    let rows: Vec<_> = (0..lines.len()).filter(is_row).map(|at| cells(lines[at])).collect();
    assert!(rows.len() > 3, "{page}: {section} has {} rows", rows.len());
    rows
}

fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|').trim_end_matches('|');
    line.replace("\\|", "\0").split('|').map(|cell| cell.trim().replace('\0', "|")).collect()
}

/// What stands in backticks.
fn codes(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The settings of `--print-example-config`, with their values; `None` for one that is off.
fn settings() -> BTreeMap<String, Option<String>> {
    let output = auth_ticket(&["serve", "--print-example-config"], []).unwrap();
    let (mut settings, mut table) = (BTreeMap::new(), String::new());
    for line in text_of(&output.stdout).lines() {
        // `#key = value` is a setting that is off, `# words` is a comment.
        let (line, is_off) = line.strip_prefix('#').map_or((line, false), |rest| (rest, true));
        if line.starts_with('[') {
            table = format!("{}.", line.trim_matches(['[', ']']));
        } else if let Some((key, value)) = line.split_once(" = ")
            && !key.contains(' ')
        {
            settings.insert(format!("{table}{key}"), (!is_off).then(|| value.to_owned()));
        }
    }
    settings
}

#[test]
fn the_table_of_settings_names_every_setting_its_default_and_its_variable() {
    let settings = settings();
    let rows = rows("docs/CONFIGURATION.md", "Settings");
    let named: BTreeSet<&str> = rows.iter().filter_map(|row| codes(&row[0]).next()).collect();
    assert_eq!(named, settings.keys().map(String::as_str).collect());
    for row in rows {
        let name = codes(&row[0]).next().unwrap();
        let (table, key) = name.split_once('.').unwrap_or(("", name));
        let is_many = matches!(table, "app" | "service");
        if let (Some(default), false) = (&settings[name], is_many) {
            assert_eq!(row[1], format!("`{default}`"), "the default of {name}");
        }
        if key.contains(".NAME.") {
            assert_eq!(row[2], "none", "{name} has no variable");
            continue;
        }
        let table = match table {
            "" => String::new(),
            table if is_many => format!("{table}__0__"),
            table => format!("{table}__"),
        };
        let variable = format!("AUTH_TICKET_{}", format!("{table}{key}").to_uppercase());
        assert!(codes(&row[2]).any(|code| code == variable), "the row of {name} names the variable {variable}");
    }
}

/// The methods and paths of a cell such as `` `GET /a`, `POST /b` `` or `` any method `/c`, `/d` ``.
fn routes_in(cell: &str) -> Vec<String> {
    let any = cell.starts_with("any method").then_some("any ");
    codes(cell).map(|route| format!("{}{route}", any.unwrap_or_default())).collect()
}

#[test]
fn the_table_of_routes_names_every_route_and_no_other() {
    let rows = rows("docs/API.md", "Routes");
    let named: BTreeSet<String> = rows.iter().flat_map(|row| routes_in(&row[0])).collect();
    // Another test compares this description with what the server has.
    let description: Value = serde_json::from_str(&read("src/http/openapi/openapi.json")).unwrap();
    let mut described = BTreeSet::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let is_check = operation["tags"][0] == "gateways";
            let method = if is_check { "any".to_owned() } else { method.to_uppercase() };
            described.insert(format!("{method} {path}"));
        }
    }
    assert_eq!(named, described);
}

#[test]
fn the_table_of_routes_for_operators_names_every_route_and_no_other() {
    let rows = rows("docs/API.md", "Routes for operators");
    let named: BTreeSet<String> = rows.iter().flat_map(|row| routes_in(&row[0])).collect();
    let source = read("src/http/routes.rs");
    let (_, operators) = source.split_once("pub fn admin_routes").unwrap();
    let routes = operators.split(".route(\"").skip(1).map(|rest| {
        let (path, rest) = rest.split_once("\", ").unwrap();
        format!("{} {path}", rest.split('(').next().unwrap().to_uppercase())
    });
    assert_eq!(named, routes.collect());
}

/// Variant by variant, what the arms of a `match` give, in source text.
fn arms(source: &str) -> Vec<(String, String)> {
    let mut arms = Vec::new();
    for arm in source.split("=>").collect::<Vec<_>>().windows(2) {
        let variants = arm[0].rsplit(['{', ',', '}']).next().unwrap();
        let value = arm[1].trim_start_matches([' ', '\n', '{']);
        let value = value.split(['\n', ',', ' ']).next().unwrap().trim_matches('"');
        let variants = variants.split('|').filter_map(|variant| variant.trim().strip_prefix("Self::"));
        arms.extend(variants.map(|variant| (variant.to_owned(), value.to_owned())));
    }
    arms
}

fn number_of(constant: &str) -> u16 {
    let name = |code: u16| StatusCode::from_u16(code).ok()?.canonical_reason();
    let spelled = |reason: &str| reason.to_uppercase().replace([' ', '-'], "_");
    let is_it = |code: &u16| name(*code).is_some_and(|reason| spelled(reason) == constant);
    (400..600).find(is_it).unwrap_or_else(|| panic!("no status is called {constant}"))
}

/// Status and name of every error, from the two tables in the sources.
fn errors() -> BTreeSet<(String, String)> {
    let mut errors = BTreeSet::new();
    for row in read("src/http/error/code.rs").split("=> (\"").skip(1) {
        let (name, rest) = row.split_once("\", StatusCode::").unwrap();
        errors.insert((number_of(rest.split(')').next().unwrap()).to_string(), name.to_owned()));
    }
    let refusals = read("src/bearer.rs");
    let body = |name: &str| {
        let (_, rest) = refusals.split_once(&format!("pub const fn {name}(self)")).unwrap();
        rest.split_once("\n    }\n").unwrap().0.split_once("match self {").unwrap().1.to_owned()
    };
    let statuses: BTreeMap<_, _> = arms(&body("status_code")).into_iter().collect();
    for (variant, name) in arms(&body("error")) {
        errors.insert((statuses[&variant].clone(), name));
    }
    errors
}

#[test]
fn the_table_of_errors_names_every_error_with_its_status_and_no_other() {
    let rows = rows("docs/API.md", "Errors");
    let named: Vec<(String, String)> = rows
        .iter()
        .flat_map(|row| codes(&row[1]).map(|name| (row[0].clone(), name.to_owned())).collect::<Vec<_>>())
        .collect();
    let distinct: BTreeSet<_> = named.iter().cloned().collect();
    assert_eq!(named.len(), distinct.len(), "each error stands in one row");
    let errors = errors();
    assert!(errors.len() > 25, "{errors:?}");
    assert_eq!(distinct, errors);
    let busy = rows.iter().find(|row| row[1].contains("upstream_busy")).unwrap();
    assert!(busy[2].contains("still valid"), "a code that was not spent stays valid: {busy:?}");
}

#[test]
fn the_table_of_platforms_is_the_programs_list() {
    let page = read("docs/PLATFORMS.md");
    let mut lines = page.lines().skip_while(|line| !line.starts_with("| platform |"));
    let head = cells(lines.next().unwrap());
    let rows: Vec<Vec<String>> = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(names, kind::ALL.iter().map(|kind| kind.name).collect::<Vec<_>>());
    for (row, kind) in rows.iter().zip(kind::ALL) {
        let documented = head.iter().zip(row).skip(2).filter(|(_, cell)| !cell.is_empty());
        let documented: BTreeMap<_, _> = documented.map(|(name, cell)| (name.clone(), cell.clone())).collect();
        let offers = kind.capabilities.iter().map(|offer| {
            let cell = match (offer.only_with, offer.never_with) {
                (Some(setting), _) => format!("`{}`", setting.names()[0]),
                (None, Some(setting)) => format!("without `{}`", setting.names()[0]),
                (None, None) => "yes".to_owned(),
            };
            (offer.capability.as_str().to_owned(), cell)
        });
        assert_eq!(documented, offers.collect(), "{}", kind.name);
        assert_eq!(row[1], kind.program);
        assert!(page.contains(&format!("\n## {}\n", kind.name)), "{} has no section", kind.name);
        assert!(page.contains(kind.default_base_url), "the address of {}", kind.name);
    }
    let capabilities = page.split("| capability | route |").nth(1).unwrap();
    for name in head.iter().skip(2) {
        assert!(capabilities.contains(&format!("\n| {name} | ")), "{name} has no route");
    }
}

#[test]
fn the_table_of_facts_about_platforms_is_the_programs_list() {
    let page = read("docs/PLATFORMS.md");
    let lines = page.lines().skip_while(|line| !line.starts_with("| platform | settings that it needs |")).skip(2);
    let rows: Vec<Vec<String>> = lines.take_while(|line| line.starts_with('|')).map(cells).collect();
    assert_eq!(rows.len(), kind::ALL.len());
    for (row, kind) in rows.iter().zip(kind::ALL) {
        assert_eq!(row[0], format!("`{}`", kind.name));
        let settings = |is_needed: bool| {
            let settings = kind.settings.iter().filter(|(_, need)| (*need == Requirement::Required) == is_needed);
            settings.flat_map(|(setting, _)| setting.names()).copied().collect::<BTreeSet<_>>()
        };
        assert_eq!(codes(&row[1]).collect::<BTreeSet<_>>(), settings(true), "{}", kind.name);
        assert_eq!(codes(&row[2]).collect::<BTreeSet<_>>(), settings(false), "{}", kind.name);
        let sandbox = kind.sandbox_url.map_or("none".to_owned(), |url| format!("`{url}`"));
        assert_eq!(row[3..], [kind.ids, kind.code_life, &sandbox, kind.evidence], "{}", kind.name);
    }
}

#[test]
fn the_command_prints_the_list_of_platforms() {
    let output = auth_ticket(&["platforms", "--json"], []).unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = list["platforms"].as_array().unwrap();
    assert_eq!(list.len(), kind::ALL.len());
    let text = text_of(&auth_ticket(&["platforms"], []).unwrap().stdout);
    for (entry, kind) in list.iter().zip(kind::ALL) {
        assert_eq!((&entry["platform"], &entry["base_url"]), (&kind.name.into(), &kind.default_base_url.into()));
        let capabilities = entry["capabilities"].as_array().unwrap().iter();
        let names: Vec<&str> = capabilities.map(|capability| capability["name"].as_str().unwrap()).collect();
        assert_eq!(names, kind.capabilities.iter().map(|offer| offer.capability.as_str()).collect::<Vec<_>>());
        for part in [kind.program, kind.ids, kind.code_life, kind.evidence] {
            assert!(text.contains(part), "{part} in:\n{text}");
        }
    }
}

#[test]
fn the_map_of_the_sources_has_every_module_and_no_other() {
    let rows = rows("docs/ARCHITECTURE.md", "1. Map");
    let named: BTreeSet<&str> = rows.iter().filter_map(|row| codes(&row[0]).next()).collect();
    let root = Path::new(ROOT).join("src");
    for name in &named {
        assert!(root.join(format!("{name}.rs")).exists(), "there is no src/{name}.rs");
    }
    let library = read("src/lib.rs");
    let modules = library.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    let modules: BTreeSet<&str> = modules.map(|name| name.trim_end_matches(';')).chain(["cli"]).collect();
    let on_top: BTreeSet<&str> = named.iter().copied().filter(|name| !name.contains('/')).collect();
    assert_eq!(on_top, modules);
    // Files that the text below names.
    let text = read("docs/ARCHITECTURE.md");
    let paths = codes(&text).filter(|code| code.split_once('/').is_some_and(|(module, _)| modules.contains(module)));
    for path in paths {
        assert!(root.join(format!("{path}.rs")).exists(), "there is no src/{path}.rs");
    }
}
