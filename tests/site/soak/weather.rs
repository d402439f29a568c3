//! What happens to the platform while everybody is at work: it gets into trouble and out of it, again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::form::MARGIN;
use super::ledger::{Sky, Trouble};
use super::road::Mode;
use super::stage::Stage;
use super::worker::{Worker, login, outcome};
use crate::support::APPID;

/// The longest that a platform is left alone after repeated failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Well below the deadline of a call.
const SLOW: &str = "slow-300";

/// One trouble after the other, until it is over and each of `needed` has been there.
pub(super) async fn change(stage: &Arc<Stage>, needed: &[Trouble]) {
    let mut worker = Worker::new(stage, "probe", 0, 1, 5);
    let is_enough = || stage.is_over() && needed.iter().all(|trouble| stage.tally.times(*trouble) > 0);
    while !is_enough() {
        sleep(stage.form.fine).await;
        let times = |trouble: &Trouble| stage.tally.times(*trouble);
        let trouble = Trouble::ALL.into_iter().min_by_key(times).unwrap();
        befall(stage, trouble, &mut worker).await;
    }
}

async fn befall(stage: &Stage, trouble: Trouble, worker: &mut Worker) {
    let _others_wait = stage.logins.lock().await;
    let began = Instant::now();
    stage.ledger.set_sky(Sky::Changing);
    match trouble {
        Trouble::Hangs => stage.fault("hang"),
        Trouble::RefusesConnections => stage.road.set(Mode::Closed).await,
        Trouble::Drips => stage.road.set(Mode::Dripping).await,
        Trouble::AnswersGarbage => stage.fault("garbage"),
        Trouble::Answers500 => stage.fault("http-500"),
        Trouble::CutsOff => stage.fault("cut"),
        Trouble::IsSlow => stage.fault(SLOW),
    }
    stage.ledger.set_sky(Sky::Bad(trouble));
    sleep(stage.form.trouble).await;
    stage.ledger.set_sky(Sky::Changing);
    stage.no_fault();
    stage.road.set(Mode::Open).await;
    let over = Instant::now();
    // A pause is at most a second longer than all before it together, so it ends at the latest when as much time has
    // passed as since the trouble began. Then one call is let through, and its answer has a deadline, too.
    let limit = (over - began + Duration::from_secs(1)).min(LONGEST_PAUSE) + stage.form.upstream_timeout + MARGIN;
    until_logins_succeed(stage, worker, over, limit).await;
    stage.tally.recovered(trouble, over.elapsed());
    if trouble.keeps_waiting() {
        // Calls from before the end fail for so long, and may stop the others once more.
        sleep_until(over + stage.form.upstream_timeout).await;
        until_logins_succeed(stage, worker, over, limit * 2).await;
    }
    stage.ledger.set_sky(Sky::Fine);
}

async fn until_logins_succeed(stage: &Stage, worker: &mut Worker, over: Instant, limit: Duration) {
    loop {
        worker.turn().await;
        let call = login(&stage.code_for("probe"), APPID);
        let answer = worker.ask(&call).await;
        if outcome(answer.as_ref()) == "200" {
            return;
        }
        assert!(over.elapsed() < limit, "no login for {limit:?} after the end of the trouble: {answer:?}");
    }
}
