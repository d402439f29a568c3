//! What a check costs, beside other ways to know who is asking: `make bench`.
//!
//! ```text
//! http-comparison run              measure: results.json, results.md in target/bench
//! http-comparison gateways         the same of checks behind gateways
//! http-comparison open-loop        the same of checks at an everyday load
//! http-comparison memory           the same of idle connections
//! http-comparison start            the same of starts
//! http-comparison logins           the same of logins while the platform takes its time
//! http-comparison flood            the same of memory after many logins at once
//! http-comparison requests         count the instructions of a request: requests.json, requests.md
//! http-comparison outage           the same of checks while the platform hangs
//! http-comparison contender NAME   be one of the servers that are measured
//! ```

mod client;
mod contender;
mod field;
mod figures;
mod flood;
mod gateways;
mod load;
mod logins;
mod machine;
mod memory;
mod open_loop;
mod ours;
mod outage;
mod process;
mod requests;
mod results;
mod rounds;
mod servers;
mod settings;
mod start;

use std::env;

use anyhow::{Context, bail};

use settings::Settings;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["run"] => servers::run(&Settings::from_environment(3, 5)?),
        ["gateways"] => gateways::run(&Settings::from_environment(3, 5)?),
        ["open-loop"] => open_loop::run(&Settings::from_environment(20, 3)?),
        ["memory"] => memory::run(&Settings::from_environment(1, 3)?),
        ["start"] => start::run(&Settings::from_environment(1, 30)?),
        ["logins"] => logins::run(&Settings::from_environment(2, 3)?),
        ["flood"] => flood::run(&Settings::from_environment(1, 3)?),
        ["outage"] => outage::run(&Settings::from_environment(8, 3)?),
        ["requests"] => requests::run(&Settings::from_environment(1, 1)?),
        ["contender", name] => contender::serve(name).with_context(|| format!("contender {name}")),
        _ => bail!(
            "usage: http-comparison run | gateways | open-loop | memory | start | logins | flood | outage | requests"
        ),
    }
}
