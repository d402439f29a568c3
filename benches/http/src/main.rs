//! What a check costs, beside other ways to know who is asking: `make bench`.
//!
//! ```text
//! http-comparison run              measure: target/bench/results.json, table.md, plot.svg
//! http-comparison docs             put the last results into docs/PERFORMANCE.md
//! http-comparison contender NAME   be one of the servers that are measured
//! ```

mod contender;
mod docs;
mod figures;
mod machine;
mod plot;
mod process;
mod results;
mod rounds;
mod servers;
mod wrk;

use std::env;

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["run"] => rounds::run(&rounds::Settings::from_environment()?),
        ["docs"] => docs::write(),
        ["contender", name] => contender::serve(name).with_context(|| format!("contender {name}")),
        _ => bail!("usage: http-comparison run | docs | contender NAME"),
    }
}
