//! Whom JWTs are for: which app's users an audience knows, and that no audience is two things.

use super::{APP, TWO_APPS, good, mistakes, mistakes_with};

const URL: &str = "public_url = \"https://login.example.com\"\n";

fn two_apps(tables: &str) -> String {
    format!("{URL}{TWO_APPS}{tables}")
}

/// The one mistake, without the name of the file.
#[track_caller]
fn mistake(text: &str) -> String {
    let found = mistakes(text);
    let [only] = found.as_slice() else { panic!("{found:#?}") };
    only.strip_prefix("login.toml:").unwrap().to_owned()
}

#[test]
fn a_table_says_more_about_an_audience() {
    let text = two_apps(
        "[jwt]\naudiences = [\"orders\"]\npublic_audiences = [\"orders\"]\n[jwt.audience.orders]\napps = [\"wx1\"]\n\
         [jwt.audience.\"https://stock.example.com/v1\"]\napps = [\"wx1\", \"wx2\"]\npublic = true\nscopes = [\"read\", \
         \"write:all\"]\n",
    );
    let audiences = good(&text).settings.jwt.audiences;
    let told: Vec<_> = audiences
        .iter()
        .map(|audience| (&*audience.name, audience.apps.len(), audience.is_public, audience.scopes.join(" ")))
        .collect();
    let stock = ("https://stock.example.com/v1", 2, true, "read write:all".to_owned());
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&("orders", 1, true, String::new())) && told.contains(&stock), "{told:?}");
    // One app is nobody's choice.
    let audiences = good(&format!("{URL}{APP}[jwt.audience.orders]\n")).settings.jwt.audiences;
    assert_eq!((audiences.len(), audiences[0].apps[0].as_str(), audiences[0].is_public), (1, "wx1", false));
}

#[test]
fn with_several_apps_an_audience_names_its_own() {
    let all = "apps = [\"wx1\", \"wx2\"]";
    assert_eq!(
        mistake(&two_apps("[jwt]\naudiences = [\"orders\"]\n")),
        format!(
            "12: jwt.audiences[0]: several apps are configured, and a service must not take one's users for another's; \
             write [jwt.audience.orders] and below it {all}, or some"
        )
    );
    assert_eq!(
        mistake(&two_apps("[jwt.audience.orders]\n")),
        format!("11: jwt.audience[orders].apps: is missing; several apps are configured, so write {all} or some")
    );
    for (line, expected) in [
        ("apps = []", "is empty; name at least one appid, or remove the table"),
        ("apps = \"wx1\"", "is text; write a list, for example apps = [\"wx0123456789abcdef\"]"),
    ] {
        let found = mistake(&two_apps(&format!("[jwt.audience.orders]\n{line}\n")));
        assert_eq!(found, format!("12: jwt.audience[orders].apps: {expected}"));
    }
    let found = mistake(&two_apps("[jwt.audience.orders]\napps = [\"wx3\"]\n"));
    let expected = "is not the appid of a configured app; write one of \"wx1\", \"wx2\"";
    assert_eq!(found, format!("12: jwt.audience[orders].apps[0]: \"wx3\" {expected}"));
}

#[test]
fn what_is_wrong_about_a_table_is_told_where_it_stands() {
    for (tables, expected) in [
        ("[jwt.audience.\"\"]\n", "6: jwt.audience: \"\" is not an audience"),
        ("[jwt.audience.\"a b\"]\n", "6: jwt.audience: \"a b\" is not an audience"),
        ("[jwt]\naudience = \"orders\"\n", "7: jwt.audience: is text; write [jwt.audience.NAME] and its keys"),
        ("[jwt.audience]\norders = true\n", "7: jwt.audience.\"orders\": is a boolean; write [jwt.audience.NAME]"),
        ("[[jwt.audience]]\n", "6: jwt.audience: is a list; write [jwt.audience.NAME] and its keys"),
        (
            "[jwt.audience.orders]\nappz = []\n",
            "7: jwt.audience[orders].appz: there is no such key; did you mean apps?",
        ),
        ("[jwt.audience.orders]\npublic = 1\n", "7: jwt.audience[orders].public: is an integer; write true or false"),
        ("[jwt.audience.orders]\nscopes = [\"a b\"]\n", "7: jwt.audience[orders].scopes[0]: \"a b\" is not a scope"),
        ("[jwt.audiense.orders]\n", "6: jwt.audiense: there is no such key; did you mean audience?"),
        ("[audience.orders]\n", "6: audience: there is no such key; here are:"),
    ] {
        let found = mistake(&format!("{URL}{APP}{tables}"));
        assert!(found.starts_with(expected), "{tables}: {found}");
    }
    let found = mistake(&format!("{APP}[jwt.audience.orders]\n"));
    let expected = "5: public_url: is missing, and [jwt.audience.orders] needs it: JWTs name their issuer";
    assert!(found.starts_with(expected), "{found}");
    let found = mistakes_with(APP, &[("AUTH_TICKET_JWT__AUDIENCE__ORDERS__APPS", "wx1")]);
    assert!(found[0].ends_with("no variable sets what [jwt.audience.NAME] says; write it in the file"), "{found:#?}");
}

#[test]
fn with_several_apps_assertions_are_for_one_each() {
    let own = |first: &str, second: &str| {
        let text = two_apps("").replacen("wx1\"\n", &format!("wx1\"\nassertion_audience = \"{first}\"\n"), 1);
        text.replacen("wx2\"\n", &format!("wx2\"\nassertion_audience = \"{second}\"\n"), 1)
    };
    let audiences = good(&own("a", "b")).settings.assertion_audiences;
    let told: Vec<_> = audiences.iter().map(|(app, audience)| (app.as_str(), audience.as_str())).collect();
    assert_eq!(told, [("wx1", "a"), ("wx2", "b")]);
    let expected = "9: app[1].assertion_audience: app[0] has this audience, too; write a name of its own for each app";
    assert_eq!(mistake(&own("a", "a")), expected);
    assert_eq!(good(&format!("{}[verify]\nany_app = true\n", own("a", "a"))).settings.assertion_audiences.len(), 2);

    let for_all = "[verify]\nassertion_audience = \"gateway\"\n";
    let found = mistake(&two_apps(for_all));
    assert!(found.starts_with("12: verify.assertion_audience: several apps are configured"), "{found}");
    let settings = good(&two_apps(&format!("{for_all}any_app = true\n"))).settings;
    assert_eq!(settings.assertion_audiences.values().map(String::as_str).collect::<Vec<_>>(), ["gateway", "gateway"]);
    let one = APP.to_owned() + "assertion_audience = \"a\"\n";
    let found = mistake(&format!("{URL}{one}{for_all}"));
    assert_eq!(found, "6: app[0].assertion_audience: verify.assertion_audience is given, too; keep one of the two");
}

#[test]
fn no_audience_is_two_things() {
    let claims = "[claims]\nurl = \"https://users.internal/\"\n";
    let app = format!("{URL}{APP}");
    for (text, expected) in [
        (
            format!("{app}assertion_audience = \"orders\"\n[jwt.audience.orders]\n"),
            "6: app[0].assertion_audience: is one of jwt.audiences, too",
        ),
        (
            format!("{app}[jwt.audience.orders]\n[verify]\nassertion_audience = \"orders\"\n"),
            "8: verify.assertion_audience: is one of jwt.audiences, too",
        ),
        (
            format!("{app}[jwt.audience.users]\n{claims}audience = \"users\"\n"),
            "9: claims.audience: is one of jwt.audiences, too",
        ),
        (
            format!("{app}[jwt]\naudiences = [\"https://users.internal/\"]\n{claims}"),
            "9: claims.url: is one of jwt.audiences, too",
        ),
        (
            format!("{app}assertion_audience = \"users\"\n{claims}audience = \"users\"\n"),
            "9: claims.audience: is one of the assertion audiences, too",
        ),
        (
            format!("{app}[verify]\nassertion_audience = \"users\"\n{claims}audience = \"users\"\n"),
            "10: claims.audience: is one of the assertion audiences, too",
        ),
    ] {
        let found = mistake(&text);
        assert!(found.starts_with(expected), "{text}\n{found}");
    }
}

#[test]
fn one_app_at_most_is_the_default() {
    let text = two_apps("").replacen("wx2\"\n", "wx2\"\ndefault = true\n", 1);
    assert_eq!(good(&text).settings.default_app.unwrap().as_str(), "wx2");
    assert_eq!(good(TWO_APPS).settings.default_app, None);
    let both = text.replacen("wx1\"\n", "wx1\"\ndefault = true\n", 1);
    assert_eq!(mistake(&both), "9: app[1].default: app[0] is the default already; one of the two can be it");
}
