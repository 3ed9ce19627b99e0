//! Growth where it is, and what else it is where it is none.

use super::growth::{Growing, Growth, Verdict};
use super::thresholds::{BY_STEPS, BY_TIME, MINUTE};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const LOOK: u64 = MINUTE / 6;

/// The verdict after `minutes` of a figure told every ten seconds.
fn verdict(minutes: u64, figure: impl Fn(u64) -> u64) -> Verdict {
    let mut growth = Growth::new(BY_TIME);
    (0..minutes * 6).for_each(|look| growth.push(5 * GIB + look * LOOK, figure(look * 10)));
    growth.check()
}

/// Requests that come and go over a base: a swing of 2 GiB within two minutes.
fn load(second: u64) -> u64 {
    second * 7919 % 127 * 2 * GIB / 127
}

fn growing(verdict: Verdict) -> Growing {
    match verdict {
        Verdict::Growing(growing) => growing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_base_that_rises_under_load_grows() {
    let found = growing(verdict(240, |s| 20 * GIB + load(s) + s * 10 * MIB / 60));
    assert!((found.rate / MIB as f64 - 10.0).abs() < 0.5, "{found:?}");
    assert!(found.rate_between[0] <= found.rate && found.rate <= found.rate_between[1]);
    assert!(found.bytes > 1_700 * MIB && found.since >= 5 * GIB + 48 * MINUTE);
}

#[test]
fn load_alone_is_level() {
    assert_eq!(verdict(240, |s| 20 * GIB + load(s)), Verdict::Level);
    assert_eq!(verdict(240, |_| 20 * GIB), Verdict::Level);
}

#[test]
fn an_hour_and_a_quarter_is_too_short() {
    assert_eq!(verdict(75, |s| 20 * GIB + s * MIB), Verdict::NotEnough);
    assert_eq!(Growth::new(BY_TIME).check(), Verdict::NotEnough);
}

#[test]
fn one_increment_is_a_step_change_and_its_window_is_told() {
    let at = 130 * 60;
    let found = verdict(240, |s| 20 * GIB + load(s) + if s > at { 3 * GIB } else { 0 });
    let Verdict::Step { at: told, bytes, .. } = found else { panic!("{found:?}") };
    assert!(told.abs_diff(5 * GIB + 130 * MINUTE) <= 4 * MINUTE + 5 * GIB, "{told}");
    assert!(bytes.abs_diff(3 * GIB) < GIB / 4, "{bytes}");
}

#[test]
fn growth_that_comes_to_its_end_is_saturating() {
    let figure = |s: u64| 40 * GIB - (4.0 * GIB as f64 * (-(s as f64) / 3600.0).exp()) as u64;
    assert_eq!(verdict(240, figure), Verdict::Saturating);
}

#[test]
fn phases_are_periodic() {
    let found = verdict(240, |s| 20 * GIB + s / 1200 % 2 * 10 * GIB);
    let Verdict::Periodic { period } = found else { panic!("{found:?}") };
    assert!(period.abs_diff(40 * MINUTE) <= 4 * MINUTE, "{period}");
}

#[test]
fn by_steps_the_least_of_each_step_counts() {
    let mut growth = Growth::new(BY_STEPS);
    for step in 0..240 {
        for part in [0, 8, 3] {
            growth.push(step, 10 * GIB + step * MIB + part * GIB);
        }
    }
    let found = growing(growth.check());
    assert!((found.rate / MIB as f64 - 1.0).abs() < 0.01, "{found:?}");
}

#[test]
fn a_clock_at_its_end_is_survived() {
    let mut growth = Growth::new(BY_TIME);
    growth.push(u64::MAX, GIB);
    assert_eq!(growth.check(), Verdict::NotEnough);
    let mut growth = Growth::new(BY_TIME);
    [0, u64::MAX, 5].into_iter().for_each(|at| growth.push(at, GIB));
    assert_eq!(growth.check(), Verdict::Level);
}
