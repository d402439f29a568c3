use tracing::callsite::Identifier;
use tracing::metadata::Kind;

use super::*;

const T0: UnixSeconds = UnixSeconds::new(1_800_000_000);

fn line_here(text: &str) -> Line {
    let here = tracing::callsite! { name: "here", kind: Kind::EVENT, fields: message };
    Line { callsite: Identifier(here), text: text.to_owned() }
}

fn line_elsewhere(text: &str) -> Line {
    let elsewhere = tracing::callsite! { name: "elsewhere", kind: Kind::EVENT, fields: message };
    Line { callsite: Identifier(elsewhere), text: text.to_owned() }
}

/// How many of `count` lines of this text are written at `now`.
fn written(floods: &mut Floods, text: &str, count: usize, now: UnixSeconds) -> usize {
    (0..count).filter(|_| floods.admit(line_here(text), Level::WARN, now)).count()
}

fn summary(text: &str, repeated: u64, in_s: u64) -> Summary {
    Summary { level: Level::WARN, text: text.to_owned(), repeated, in_s }
}

#[test]
fn the_first_lines_of_a_flood_are_written_and_the_others_counted() {
    let mut floods = Floods::default();
    assert_eq!(written(&mut floods, "refused", 1000, T0), 5);
    assert_eq!(written(&mut floods, "refused", 500, T0.plus(9)), 0, "it goes on");
    assert_eq!(floods.due(T0.plus(9)), [], "not yet");
    assert_eq!(floods.due(T0.plus(10)), [summary("refused", 1495, 10)]);
    assert_eq!(floods.due(T0.plus(10)), [], "told once");
    assert_eq!(written(&mut floods, "refused", 7, T0.plus(11)), 5, "and begins anew");
    assert_eq!(floods.rest(T0.plus(11)), [summary("refused", 2, 1)], "at the end all is told");
}

#[test]
fn a_line_now_and_then_is_no_flood() {
    let mut floods = Floods::default();
    for second in 0..100 {
        assert_eq!(written(&mut floods, "refused", 5, T0.plus(second)), 5, "second {second}");
    }
    assert_eq!(floods.rest(T0.plus(200)), []);
}

#[test]
fn a_flood_takes_nothing_from_other_lines() {
    let mut floods = Floods::default();
    written(&mut floods, "refused", 1000, T0);
    assert_eq!(written(&mut floods, "revoked", 1, T0), 1);
    assert!(floods.admit(line_elsewhere("refused"), Level::WARN, T0), "from another place it is another line");
}

#[test]
fn lines_that_all_differ_are_told_apart_up_to_a_limit_and_take_no_more_memory_then() {
    let mut floods = Floods::default();
    let differing = (0..10_000).filter(|number| written(&mut floods, &format!("refused {number}"), 1, T0) == 1);
    assert_eq!(differing.count(), MOST_LINES + 5);
    assert_eq!((floods.lines.len(), floods.places.len()), (MOST_LINES, 1));
    assert!(floods.admit(line_elsewhere("revoked"), Level::INFO, T0), "another place has lines of its own");
    let told = floods.due(T0.plus(10));
    let expected = format!("refused {MOST_LINES} and others like it");
    assert_eq!(told, [summary(&expected, 10_000 - 5 - MOST_LINES as u64, 10)]);
    assert_eq!(written(&mut floods, "refused 9999", 5, T0.plus(12)), 5, "there is room again");
    assert_eq!(floods.due(T0.plus(12)), []);
    assert_eq!((floods.lines.len(), floods.places.len()), (1, 0));
}

#[test]
fn a_clock_that_is_set_back_ends_a_flood() {
    let mut floods = Floods::default();
    assert_eq!(written(&mut floods, "refused", 10, T0), 5);
    assert_eq!(floods.due(T0.minus(86400)), [summary("refused", 5, 1)]);
    assert_eq!(written(&mut floods, "refused", 10, T0.minus(86400)), 5);
}
