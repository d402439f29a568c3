//! A gateway that does not run here: what it does with the shipped files, step by step as its documentation has it.

use std::process::Command;

use reqwest::Client;
use serde_json::{Value, json};

use super::files::yaml;
use super::gateway::headers_of_answer;
use super::headers::{FORGED, Marks, expected, identity, spellings};
use super::service::Seen;
use crate::support::system::{needed, read, shipped, succeed, write};
use crate::support::{APPID, Answer, OTHER_APPID, START, TestServer, session};

type Headers = Vec<(String, String)>;

/// What a gateway does with a request: it goes to the service with these headers, or the client gets an answer.
type Decision = Result<Headers, Answer>;

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Asks `address`, which the shipped file has, at `server`.
async fn ask(server: &TestServer, address: &str, headers: &Headers) -> Answer {
    let path = address.strip_prefix("http://127.0.0.1:8080").unwrap();
    let mut request = Client::new().get(format!("http://{}{path}", server.address));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    for (name, value) in [("Method", "POST"), ("Proto", "https"), ("Host", "api.example.com"), ("Uri", "/v1/login?x")] {
        request = request.header(format!("X-Forwarded-{name}"), value);
    }
    let answer = request.send().await.unwrap();
    let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    Answer { status: answer.status().as_u16(), headers, body: answer.bytes().await.unwrap().to_vec() }
}

fn chosen(headers: &Headers, names: &[String]) -> Headers {
    headers.iter().filter(|(name, _)| names.iter().any(|chosen| chosen.eq_ignore_ascii_case(name))).cloned().collect()
}

/// What `OpenResty` and APISIX have, as far as the functions of the file use it.
const LUA: &str = r#"
local headers = HEADERS
ngx = { var = { request_id = "0" }, req = { get_headers = function(max) assert(max == 0); return headers end } }
package.loaded["apisix.core"] = {
  request = { set_header = function(_, name, value)
    for found in pairs(headers) do if found:lower() == name:lower() then headers[found] = value end end
  end },
  response = { set_header = function() end },
}
local status = (function() FUNCTION end)()({}, {})
print(status or "")
for name, value in pairs(headers) do
  for _, one in ipairs(type(value) == "table" and value or { value }) do print(name .. ": " .. one) end
end
"#;

/// Runs a function of the file on the headers of a request.
fn serverless(function: &str, headers: &Headers) -> Result<Headers, u16> {
    let mut names: Vec<&String> = headers.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    let mut table = String::from("{\n");
    for name in names {
        let values: Vec<String> =
            headers.iter().filter(|(found, _)| found == name).map(|(_, value)| format!("{value:?}")).collect();
        let value = if values.len() == 1 { values[0].clone() } else { format!("{{{}}}", values.join(",")) };
        table.extend(["[", &format!("{name:?}"), "] = ", &value, ",\n"]);
    }
    table.push('}');
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("function.lua");
    write(&script, &LUA.replace("FUNCTION", function).replace("HEADERS", &table));
    let output = succeed(Command::new(needed("lua5.3")).arg(script));
    let mut lines = output.lines();
    let status = lines.next().unwrap();
    if !status.is_empty() {
        return Err(status.parse().unwrap());
    }
    Ok(lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
}

/// APISIX: functions before; `forward-auth` asks with the first of each of `request_headers`, hands on what is 300 or above with
/// `client_headers`, then replaces or takes away `upstream_headers`; functions after.
async fn apisix(server: &TestServer, plugins: &Value, headers: Headers) -> Decision {
    let refused = |status| Answer { status, headers: Vec::new(), body: Vec::new() };
    // nginx drops these (`underscores_in_headers`, `ignore_invalid_headers`), and gives the names in lower case.
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let mut headers: Headers =
        headers.into_iter().filter(|(name, _)| plain(name)).map(|(n, v)| (n.to_ascii_lowercase(), v)).collect();
    assert_eq!(plugins["serverless-pre-function"]["phase"], "rewrite");
    for function in texts(&plugins["serverless-pre-function"]["functions"]) {
        headers = serverless(&function, &headers).map_err(refused)?;
    }
    let auth = &plugins["forward-auth"];
    assert_eq!((&auth["request_method"], &auth["allow_degradation"]), (&json!("GET"), &json!(false)));
    assert_eq!(auth["status_on_error"], 503);
    let mut sent = chosen(&headers, &texts(&auth["request_headers"]));
    sent.dedup_by(|one, other| one.0 == other.0);
    let mut answer = ask(server, auth["uri"].as_str().unwrap(), &sent).await;
    if answer.status >= 300 {
        let shown = texts(&auth["client_headers"]);
        answer.headers.retain(|(name, _)| shown.iter().any(|shown| shown.eq_ignore_ascii_case(name)));
        return Err(answer);
    }
    let copied = texts(&auth["upstream_headers"]);
    headers.retain(|(name, _)| !copied.iter().any(|copied| copied.eq_ignore_ascii_case(name)));
    headers.extend(chosen(&headers_of_answer(&answer), &copied));
    assert_eq!(plugins["serverless-post-function"]["phase"], "access");
    for function in texts(&plugins["serverless-post-function"]["functions"]) {
        headers = serverless(&function, &headers).map_err(refused)?;
    }
    Ok(headers)
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Everything that holds for a gateway that decides as `decide` does.
async fn holds(server: &TestServer, decide: impl AsyncFn(Headers) -> Decision) {
    let ticket = server.sealed(&session("o-alice", START));
    let told = expected(headers_of_answer(&server.verify(&ticket).await));
    let bearer = format!("Bearer {ticket}");
    for (name, value) in [("weixinauth", &ticket), ("authorization", &bearer)] {
        let mut headers = vec![pair(name, value), pair("x-trace", "kept")];
        for spelling in spellings(Marks::All, true) {
            headers.extend([pair(&spelling, FORGED), pair(&spelling, FORGED)]);
        }
        let headers = decide(headers).await.unwrap();
        let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let seen = Seen { method: String::new(), target: String::new(), headers, body: Vec::new() };
        assert_eq!(identity(&seen), told);
        assert_eq!(
            (seen.all("weixinauth"), seen.all("authorization"), seen.all("x-trace")),
            (vec![], vec![], vec!["kept"])
        );
    }
    for sent in [vec![], vec![pair("weixinauth", "x")], vec![pair("weixinauth", &"A".repeat(8192))]] {
        let answer = decide(sent).await.unwrap_err();
        assert_eq!(answer.is_error("invalid_ticket").status, 401);
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    for (own, is_kept) in [("Bearer a.b.c", true), ("Basic YTpi", true), ("bearer  AQ.x", true), (&*bearer, false)] {
        let headers = decide(vec![pair("weixinauth", &ticket), pair("authorization", own)]).await.unwrap();
        let seen: Vec<&str> =
            headers.iter().filter(|(name, _)| name == "authorization").map(|(_, value)| &**value).collect();
        assert_eq!(seen, if is_kept { vec![own] } else { vec![] });
    }
    let twice = vec![pair("weixinauth", &ticket), pair("weixinauth", "another")];
    assert_eq!(decide(twice).await.unwrap_err().status, 401);
    let disagreeing = vec![pair("weixinauth", &ticket), pair("authorization", "Bearer AQanother")];
    assert_eq!(decide(disagreeing).await.unwrap_err().status, 401);
}

#[tokio::test]
async fn apisix_with_its_files_believes_the_server_alone() {
    let server = TestServer::start().await;
    let config = yaml(&read(&shipped("deploy/gateways/apisix/config.yaml")));
    assert_eq!(config["nginx_config"]["http"]["underscores_in_headers"], "off");
    let file = yaml(&read(&shipped("deploy/gateways/apisix/apisix.yaml")));
    let route = &file["routes"][0];
    assert_eq!(route["uri"], "/*");
    holds(&server, async |headers| apisix(&server, &route["plugins"], headers).await).await;
}

#[tokio::test]
async fn apisix_with_the_route_of_an_app_refuses_the_others() {
    let server = TestServer::builder().two_apps().start().await;
    let ticket = server.ticket_at(APPID, "alice").await;
    let sent = || vec![pair("weixinauth", &ticket)];
    let foreign = |name: &str| {
        let text = read(&shipped("deploy/gateways").join(name)).replace("/v1/verify/APPID", "that route");
        yaml(&text.replace("/v1/verify", &format!("/v1/verify/{OTHER_APPID}")))
    };
    let answer = apisix(&server, &foreign("apisix/apisix.yaml")["routes"][0]["plugins"], sent()).await.unwrap_err();
    assert_eq!(answer.is_error("wrong_app").status, 403);
}
