//! `/openapi.json` as a machine reads it: what it allows is taken, what it forbids is refused, and every answer is one that it names.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::tools::schemathesis;
use super::world::SECRET;
use crate::support::{Server, Site, simulator};

const TABLES: &str = "\n[[service]]\nid = \"orders\"\nsecret_env = \"SERVICE_SECRET\"\n\n[jwt]\naudiences = [\"orders\"]\n\
                      public_audiences = [\"orders\"]\n\n[compat]\nenabled = true\n";
/// The same requests each time.
const SEED: &str = "1";
const REQUESTS_PER_OPERATION: &str = "40";
const LONGEST: Duration = Duration::from_secs(60);

#[test]
fn schemathesis_finds_no_answer_that_the_description_does_not_have() {
    let platform = simulator();
    let site = Site::new(platform.address, TABLES);
    let mut command = site.command();
    command.env("SERVICE_SECRET", SECRET).env("AUTH_TICKET_PUBLIC_URL", "https://login.example.com");
    let server = Server::start(&mut command);
    let (url, place) = (format!("http://{}", server.address), tempfile::tempdir().unwrap());
    // From a file: where the description comes from is left out otherwise.
    let file = place.path().join("openapi.json");
    std::fs::write(&file, server.get("/openapi.json", &[]).body).unwrap();
    let mut run = schemathesis(&["run", file.to_str().unwrap(), "--url", &url]);
    run.args(["--seed", SEED, "--max-examples", REQUESTS_PER_OPERATION, "--warnings", "off"]);
    run.env("TICKET", server.ticket("demo-alice-1")).env("SECRET", SECRET).current_dir(place.path());
    let started = Instant::now();
    let output = run.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(started.elapsed() < LONGEST, "it took {:?}", started.elapsed());
    let operations = format!("Tested: {}", operations(&server));
    assert!(told.contains(&operations) && told.contains("Fuzzing"), "{operations}\n{told}");
}

/// How many the description has. What it exempts from checks of schemathesis.toml, it has to say.
fn operations(server: &Server) -> usize {
    let description = server.get("/openapi.json", &[]).json();
    let tags = description["tags"].as_array().unwrap();
    let says = |tag: &str| tags.iter().find(|found| found["name"] == tag).unwrap()["description"].as_str().unwrap();
    assert!(says("gateways").contains("any method"), "{}", says("gateways"));
    assert!(says("compat").contains("always 200"), "{}", says("compat"));
    description["paths"].as_object().unwrap().values().map(Value::as_object).map(|path| path.unwrap().len()).sum()
}
