//! Every way in which a keys directory can be wrong, times every command that takes power away, times who runs it: what the
//! command says and exits with, and what a running server does. The table of it is in docs/OPERATING.md.

mod stage;
mod way;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use stage::Stage;
use way::Way;

use crate::support::Outcome;

/// Looks per second of the servers here: ten.
const POLL: &str = "100ms";
/// Stages at once: they wait for polls more than they compute.
const CROWD: usize = 6;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Action {
    RevokePending,
    RevokeRetiring,
    RevokeSealing,
    CutOffLogin,
    CutOffUser,
    CutOffApp,
    CutOffAll,
}

impl Action {
    /// In an order in which none takes away what a later one is to.
    const ALL: [Self; 7] = [
        Self::RevokePending,
        Self::RevokeRetiring,
        Self::RevokeSealing,
        Self::CutOffLogin,
        Self::CutOffUser,
        Self::CutOffApp,
        Self::CutOffAll,
    ];

    /// Columns of the table, and the actions that are alike there.
    const COLUMNS: [(&str, &[Self]); 4] = [
        ("revoke the sealing key", &[Self::RevokeSealing]),
        ("a pending one", &[Self::RevokePending]),
        ("a retiring one", &[Self::RevokeRetiring]),
        ("cut off", &[Self::CutOffLogin, Self::CutOffUser, Self::CutOffApp, Self::CutOffAll]),
    ];

    const fn revokes(self) -> bool {
        matches!(self, Self::RevokePending | Self::RevokeRetiring | Self::RevokeSealing)
    }
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Runner {
    Owner,
    Root,
    Stranger,
}

/// What came of one command.
#[derive(Debug)]
struct Cell {
    outcome: Outcome,
    /// The server refuses what the command is about.
    refused: bool,
    /// The status of a login afterwards, where that is told from others.
    login: Option<u16>,
}

impl Cell {
    /// As it stands in the table.
    fn text(&self) -> String {
        let power = if self.refused { "refused" } else { "stays good" };
        let logins = match self.login {
            None => "",
            Some(200) => ", logins go on",
            Some(_) => ", logins stop",
        };
        let said = ["NOT REVOKED", "NOT CUT OFF", "NO SUCCESSOR", "NOTHING SEALS", "LOST"];
        let text = format!("{}{}", self.outcome.stdout, self.outcome.stderr);
        let said = said.into_iter().find(|words| text.contains(words));
        let said = said.map(|words| format!(", `{words}`")).unwrap_or_default();
        format!("{power}{logins}; {}{said}", self.outcome.code.unwrap_or(-1))
    }

    /// What holds in every cell, whatever else is in it; what does not is told.
    fn faults(&self, action: Action, runner: Runner) -> Vec<&'static str> {
        let Outcome { code, stdout, stderr } = &self.outcome;
        let text = format!("{stdout}{stderr}");
        let denies = stderr.contains(if action.revokes() { "error: NOT REVOKED" } else { "error: NOT CUT OFF" });
        let is_stranger = runner == Runner::Stranger;
        let logins_stop = self.login.is_some_and(|status| status != 200);
        let faults = [
            (self.refused == denies, "the command and the server do not say the same"),
            (!matches!(code, Some(0 | 1)), "the exit is neither 0 nor 1"),
            (*code == Some(0) && !self.refused, "exit 0 without effect"),
            ((*code == Some(1)) != stderr.contains("error: "), "the exit and the error do not say the same"),
            (text.contains("the user that runs this:"), "a remedy for a user whom it does not name"),
            (is_stranger && self.refused, "a stranger has taken power away"),
            (is_stranger && !stderr.contains("hint: as root: "), "no line that works"),
            (!is_stranger && action.revokes() && !self.refused, "a key can always be revoked"),
            (logins_stop && !text.contains("NOTHING SEALS"), "nobody says that logins stop"),
            (logins_stop && *code == Some(0), "exit 0 although logins stop"),
        ];
        faults.into_iter().filter_map(|(is_so, fault)| is_so.then_some(fault)).collect()
    }
}

type Cells = BTreeMap<(Way, Action, Runner), Cell>;

/// The cells of one way, for one runner, and for a stranger who tried before.
fn play(way: Way, runner: Runner) -> Cells {
    let mut cells = Cells::new();
    let mut stage = Stage::set(way);
    if way == Way::LockHeld {
        // The commands wait for it together.
        stage.spoil();
        let strangers = Action::ALL.map(|action| (action, stage.run(action, Runner::Stranger)));
        let started = Action::ALL.map(|action| (action, stage.start(action, runner)));
        let ended = started.map(|(action, child)| (action, Outcome::of_child(child)));
        for (who, outcomes) in [(Runner::Stranger, strangers), (runner, ended)] {
            for (action, outcome) in outcomes {
                // What the runner did is seen by now, so of the stranger's doing there is only what he was told.
                let refused = who != Runner::Stranger && stage.sees(action, &outcome);
                let login = (who != Runner::Stranger && action == Action::RevokeSealing).then(|| stage.login());
                cells.insert((way, action, who), Cell { outcome, refused, login });
            }
        }
        stage.mend();
        return cells;
    }
    for action in Action::ALL {
        stage.spoil();
        for who in [Runner::Stranger, runner] {
            let outcome = stage.run(action, who);
            let refused = stage.sees(action, &outcome);
            let tells_logins = action == Action::RevokeSealing && who != Runner::Stranger && way != Way::NoDescriptors;
            let login = tells_logins.then(|| stage.login());
            cells.insert((way, action, who), Cell { outcome, refused, login });
        }
        stage.mend();
        if action == Action::RevokeSealing {
            stage.seals_again();
        }
    }
    cells
}

/// All cells, some stages at a time.
fn play_all() -> Cells {
    let plays: Vec<_> = Way::ALL.into_iter().flat_map(|way| [(way, Runner::Owner), (way, Runner::Root)]).collect();
    let (waiting, cells) = (Mutex::new(plays), Mutex::new(Cells::new()));
    std::thread::scope(|scope| {
        for _ in 0..CROWD {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().pop();
                    let Some((way, runner)) = next else { return };
                    let played = play(way, runner);
                    cells.lock().unwrap().extend(played);
                }
            });
        }
    });
    cells.into_inner().unwrap()
}

fn table(cells: &Cells) -> String {
    let mut text = String::from("| the directory |");
    for (title, _) in Action::COLUMNS {
        let _ = write!(text, " {title} |");
    }
    text.push_str("\n| --- |");
    text.push_str(&" --- |".repeat(Action::COLUMNS.len()));
    text.push('\n');
    for way in Way::ALL {
        let _ = write!(text, "| {} |", way.title());
        for (_, actions) in Action::COLUMNS {
            let mut told: Vec<String> = Vec::new();
            for (action, runner) in actions.iter().flat_map(|action| [(action, Runner::Owner), (action, Runner::Root)])
            {
                let cell = cells[&(way, *action, runner)].text();
                if !told.contains(&cell) {
                    told.push(cell);
                }
            }
            let _ = write!(text, " {} |", told.join(" OR "));
        }
        text.push('\n');
    }
    text
}

#[test]
fn power_is_taken_away_or_the_command_says_that_it_is_not() {
    if !rustix::process::geteuid().is_root() {
        // Only root can give a directory to a server's user.
        return;
    }
    let cells = play_all();
    assert_eq!(cells.len(), Way::ALL.len() * Action::ALL.len() * 3);
    let mut told = String::new();
    for ((way, action, runner), cell) in &cells {
        for fault in cell.faults(*action, *runner) {
            let _ = writeln!(told, "{way:?} {action:?} {runner:?}: {fault}: {cell:#?}");
        }
    }
    assert!(told.is_empty(), "{told}");
    let table = table(&cells);
    let operating = include_str!("../../../docs/OPERATING.md");
    assert!(operating.contains(&table), "docs/OPERATING.md should have this table:\n{table}");
}
