//! A slice of the corpus, and what the detectors must reach on it.

use crate::course::Unit;
use crate::play::Fed;
use crate::score::Counts;
use crate::sites::{self, Seeds};
use crate::{creep, totals};

fn leaks_are_told(unit: Unit, fed: Fed, number: u64) {
    let outcome = sites::run(unit, Seeds::HeldOut, number, fed);
    let (alerted, _) = outcome.pooled();
    assert_eq!(alerted.false_alerts, 0, "{:?}", outcome.benign);
    assert!(alerted.leaking > alerted.benign / 4 && alerted.recall() >= 0.9, "{alerted:?}");
    let [right, all] = outcome.top_right;
    assert!(right as f64 >= 0.95 * all as f64, "{right} of {all}");
    let within = outcome.rates.iter().filter(|rate| (**rate - 1.0).abs() <= 0.15).count();
    assert!(within as f64 >= 0.9 * outcome.rates.len() as f64, "{:?}", outcome.rates);
}

#[test]
fn by_time_twins_alert_and_jobs_that_do_not_leak_are_silent() {
    leaks_are_told(Unit::Seconds, Fed::Events, 4);
}

#[test]
fn by_steps_twins_alert_and_jobs_that_do_not_leak_are_silent() {
    leaks_are_told(Unit::Steps, Fed::Events, 5);
}

#[test]
fn from_live_tables_alone_the_same_is_told() {
    leaks_are_told(Unit::Seconds, Fed::Tables, 1);
}

#[test]
fn a_cache_that_fills_for_hours_is_an_alert_once_its_name_is_hidden() {
    let outcome = sites::run(Unit::Seconds, Seeds::HeldOut, 6, Fed::Nameless);
    let wrong = outcome.benign.iter().filter(|family| family.alerted.false_alerts > 0);
    let names: Vec<&str> = wrong.map(|family| family.name).collect();
    assert_eq!(names, ["replay buffer filling", "radix cache filling"]);
}

#[test]
fn totals_that_grow_are_told_from_totals_that_do_not() {
    let (mut at_end, mut plain) = (Counts::default(), Counts::default());
    for family in totals::run(Seeds::HeldOut, 30) {
        at_end.join(&family.at_end);
        plain.join(&family.plain);
    }
    assert!(at_end.precision() >= 0.95 && at_end.recall() >= 0.6, "{at_end:?}");
    assert!(at_end.false_alerts * 50 <= at_end.benign, "{at_end:?}");
    assert!(plain.recall() >= 0.88, "{plain:?}");
}

#[test]
fn reserved_memory_that_creeps_is_told_from_what_a_cache_learned_once() {
    let mut counts = Counts::default();
    creep::run(12).iter().for_each(|family| counts.join(&family.counts));
    assert!(counts.benign > 80 && counts.leaking > 40, "{counts:?}");
    assert!(counts.precision() >= 0.95 && counts.recall() >= 0.9, "{counts:?}");
}
