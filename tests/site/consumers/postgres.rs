//! `docs/SERVICES.md`, "PostgREST, Supabase, Hasura, Istio, Spring": the policy of that page in a real PostgreSQL, with claims
//! set as PostgREST sets them.

use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tools::clean;
use super::world::{OTHER_APPID, World};
use crate::support::APPID;
use crate::support::system::{Running, read, shipped, succeed};
use crate::support::until;

/// Who is neither root, whom PostgreSQL refuses, nor anybody else.
const NOBODY: u32 = 65534;

const TABLES: &str = r#"
[[service]]
id = "postgrest"
secret_env = "SERVICE_SECRET"
apps = ["wx0123456789abcdef", "wxfedcba9876543210"]

[jwt.audience.postgrest]
apps = ["wx0123456789abcdef", "wxfedcba9876543210"]
claims = { role = "authenticated" }
"#;

/// A server of its own, reached by a socket in its own directory.
struct Database {
    directory: TempDir,
    programs: PathBuf,
    running: Running,
}

impl Database {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (at, data) = (directory.path(), directory.path().join("data"));
        if geteuid().is_root() {
            chown(at, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let programs = programs();
        let mut init = as_nobody(&programs.join("initdb"), at);
        succeed(init.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D"]).arg(&data));
        let mut serve = as_nobody(&programs.join("postgres"), at);
        serve.args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"]).arg(at).arg("-D").arg(&data);
        let running = Running(serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let database = Self { directory, programs, running };
        until("PostgreSQL answers", || database.ask("postgres", "postgres", "SELECT 1;").status.success());
        // Roles as PostgREST wants them.
        let roles = "CREATE ROLE authenticated NOLOGIN; CREATE ROLE authenticator LOGIN NOINHERIT NOCREATEROLE; \
                     GRANT authenticated TO authenticator;";
        database.told("postgres", "postgres", roles);
        database
    }

    /// A database with orders of several users, guarded by `policy`.
    fn with_orders(&self, name: &str, policy: &str, orders: &[(&str, &str, &str)]) {
        self.told("postgres", "postgres", &format!("CREATE DATABASE {name};"));
        let rows: Vec<String> = orders
            .iter()
            .map(|(order, appid, openid)| format!("({}, {}, {})", quoted(order), quoted(appid), quoted(openid)))
            .collect();
        let table = format!(
            "CREATE TABLE orders (item text, appid text, openid text); GRANT SELECT, INSERT, UPDATE ON orders TO \
             authenticated; INSERT INTO orders VALUES {};",
            rows.join(", ")
        );
        self.told(name, "postgres", &format!("{table}\n{policy}"));
    }

    /// What `psql` makes of `script`, which is one connection.
    fn ask(&self, database: &str, user: &str, script: &str) -> Output {
        let mut command = clean(self.programs.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", database, "-h"]);
        command.arg(self.directory.path()).env("HOME", self.directory.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may have ended with an error already.
        let _ = child.stdin.take().unwrap().write_all(script.as_bytes());
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    fn told(&self, database: &str, user: &str, script: &str) -> String {
        let output = self.ask(database, user, script);
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a service that connects as PostgREST does finds with these transactions, one after the other.
    fn found(&self, database: &str, transactions: &[&str]) -> Result<Vec<String>, String> {
        let output = self.ask(database, "authenticator", &transactions.concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            return Err(said);
        }
        Ok(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
    }
}

impl Drop for Database {
    /// As it wants to be ended, so that it leaves no shared memory behind.
    fn drop(&mut self) {
        if kill_process(Pid::from_child(&self.running.0), Signal::INT).is_ok() {
            let _ = self.running.0.wait();
        }
    }
}

/// Of the newest version that Debian's packages have put here.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().map(Result::unwrap);
    let newest = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    newest.expect("PostgreSQL is not installed, and without it this is not tested: make consumers-tools")
}

/// `program` in `directory`, not by root.
fn as_nobody(program: &Path, directory: &Path) -> Command {
    let mut command = clean(program);
    command.current_dir(directory).env("LC_ALL", "C.UTF-8");
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// As a constant of SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The page's SQL.
fn policy() -> String {
    let page = read(&shipped("docs/SERVICES.md"));
    let mut blocks = page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let (policy, others) = (blocks.next().unwrap(), blocks.count());
    assert_eq!(others, 0, "this test runs one block of SQL");
    policy.to_owned()
}

/// `with` in place of `part`, which is there once.
#[track_caller]
fn without(policy: &str, part: &str, with: &str) -> String {
    assert_eq!(policy.matches(part).count(), 1, "{part} is not there once: {policy}");
    policy.replace(part, with)
}

/// A transaction of a request whose token says `claims`, as PostgREST begins it.
fn request(claims: &str, query: &str) -> String {
    let role = serde_json::from_str::<Value>(claims).unwrap()["role"].as_str().unwrap_or("authenticated").to_owned();
    let claims = quoted(claims);
    format!(
        "BEGIN; SET LOCAL ROLE {role}; SELECT set_config('request.jwt.claims', {claims}, true) \\g /dev/null\n\
         {query} COMMIT;\n"
    )
}

/// The same without claims.
fn nameless(query: &str) -> String {
    format!("BEGIN; SET LOCAL ROLE authenticated; {query} COMMIT;\n")
}

const ALL: &str = "SELECT item FROM orders ORDER BY item;";

/// What the token of this user says, once its signature, audience and issuer were found right.
fn claims_of(world: &World, appid: &str, name: &str) -> Value {
    let token = world.token_for("postgrest", &world.ticket_of(appid, name));
    let header = jsonwebtoken::decode_header(&token).unwrap();
    let keys: JwkSet = serde_json::from_value(world.jwks()).unwrap();
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["postgrest"]);
    validation.set_issuer(&[world.front.url()]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    jsonwebtoken::decode(&token, &key, &validation).unwrap().claims
}

#[test]
fn a_user_sees_and_changes_their_own_rows_and_no_others() {
    let (world, database, policy) = (World::with_tables(&[], TABLES), Database::start(), policy());
    let [alice, bob, elsewhere] =
        [(APPID, "alice"), (APPID, "bob"), (OTHER_APPID, "alice")].map(|(appid, name)| claims_of(&world, appid, name));
    let openid = |claims: &Value| claims["openid"].as_str().unwrap().to_owned();
    let orders = [
        ("alice's tea", APPID, &*openid(&alice)),
        ("alice's tea elsewhere", OTHER_APPID, &openid(&elsewhere)),
        ("bob's tea", APPID, &openid(&bob)),
        ("tea of alice's openid in another app", OTHER_APPID, &openid(&alice)),
        ("tea of nobody", "", ""),
        ("tea of nobody in the app", APPID, ""),
    ];
    database.with_orders("shop", &policy, &orders);
    let found = |transactions: &[&str]| database.found("shop", transactions).unwrap();
    for (claims, item) in [(&alice, "alice's tea"), (&bob, "bob's tea"), (&elsewhere, "alice's tea elsewhere")] {
        assert_eq!(found(&[&request(&claims.to_string(), ALL)]), [item], "{claims}");
    }

    let with = |name: &str, value: Value| {
        let mut claims = alice.clone();
        claims[name] = value;
        claims.to_string()
    };
    for claims in [
        "{}".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        json!({ "role": "authenticated" }).to_string(),
        json!({ "appid": APPID }).to_string(),
        json!({ "openid": openid(&alice) }).to_string(),
        json!({ "appid": "", "openid": "" }).to_string(),
        with("openid", json!("")),
        with("openid", Value::Null),
        with("openid", json!([openid(&alice)])),
        with("appid", json!("")),
        with("appid", Value::Null),
        with("appid", json!("wx9999999999999999")),
    ] {
        assert_eq!(found(&[&request(&claims, ALL)]), [""; 0], "{claims}");
    }
    // A connection that was never used, and one that served alice a moment ago.
    let (hers, none) = (request(&alice.to_string(), ALL), nameless(ALL));
    assert_eq!(found(&[&none]), [""; 0]);
    assert_eq!(found(&[&hers, &none, &hers, &none]), ["alice's tea", "alice's tea"]);

    let as_alice = |query: &str| database.found("shop", &[&request(&alice.to_string(), query)]);
    let for_bob = format!("INSERT INTO orders VALUES ('x', {}, {});", quoted(APPID), quoted(&openid(&bob)));
    let to_bob = format!("UPDATE orders SET openid = {};", quoted(&openid(&bob)));
    for query in [for_bob, to_bob] {
        let refused = as_alice(&query).unwrap_err();
        assert!(refused.contains("violates row-level security policy for table \"orders\""), "{query}: {refused}");
    }
    as_alice("UPDATE orders SET item = 'changed by alice';").unwrap();
    let changed = database.told("shop", "postgres", "SELECT count(*) FROM orders WHERE item = 'changed by alice';");
    assert_eq!(changed, "1\n", "her own alone");
    assert!(
        database.found("shop", &[ALL]).unwrap_err().contains("permission denied"),
        "PostgREST itself has no rights"
    );
}

/// Each part of the page's SQL is there for something.
#[test]
fn without_one_of_its_parts_the_policy_lets_through_or_fails() {
    let (database, policy) = (Database::start(), policy());
    let alice = json!({ "appid": APPID, "openid": "o-alice" }).to_string();
    let nobody = json!({ "appid": APPID, "openid": "" }).to_string();
    let orders = [
        ("hers", APPID, "o-alice"),
        ("elsewhere", OTHER_APPID, "o-alice"),
        ("bob's", APPID, "o-bob"),
        ("nobody's", APPID, ""),
    ];
    let (hers, none) = (request(&alice, ALL), nameless(ALL));
    let found = |name: &str, policy: &str, transactions: &[&str]| {
        database.with_orders(name, policy, &orders);
        database.found(name, transactions)
    };
    assert_eq!(found("whole", &policy, &[&hers, &none, &request(&nobody, ALL)]).unwrap(), ["hers"]);
    let changed = without(&policy, "appid = (SELECT claim('appid')) AND ", "");
    assert_eq!(found("no_appid", &changed, &[&hers]).unwrap(), ["elsewhere", "hers"]);
    let changed = without(&policy, " AND openid = (SELECT claim('openid'))", "");
    assert_eq!(found("no_openid", &changed, &[&hers]).unwrap(), ["bob's", "hers", "nobody's"]);
    let changed = without(
        &policy,
        "nullif(current_setting('request.jwt.claims', true), '')",
        "current_setting('request.jwt.claims', true)",
    );
    let refused = found("no_nullif", &changed, &[&hers, &none]).unwrap_err();
    assert!(refused.contains("invalid input syntax for type json"), "{refused}");
    let changed =
        without(&policy, "current_setting('request.jwt.claims', true)", "current_setting('request.jwt.claims')");
    let refused = found("no_missing_ok", &changed, &[&none]).unwrap_err();
    assert!(refused.contains("unrecognized configuration parameter"), "{refused}");
    let changed = without(&policy, "ALTER TABLE orders ENABLE ROW LEVEL SECURITY;", "");
    assert_eq!(found("not_enabled", &changed, &[&none]).unwrap().len(), orders.len());
}
