//! The leak detector over jobs that do not leak, and their twins, which differ by one leaking site.

use crate::benign::{self, Make};
use crate::course::{Course, Unit};
use crate::play::{Fed, Said, play};
use crate::rng::Rng;
use crate::score::Counts;
use crate::truth::{Truth, rate, truth};
use crate::{by_steps, leaking};

/// Families left out of tuning whole: they say how the rule does on what nobody thought of.
pub const HELD_OUT: [&str; 3] = ["random eviction", "checkpoints", "late start"];

/// Which seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// Looked at while the limits were chosen, without the families of [`HELD_OUT`].
    Tuning,
    /// Not looked at.
    HeldOut,
}

impl Seeds {
    const fn first(self) -> u64 {
        match self {
            Self::Tuning => 1,
            Self::HeldOut => 1_000_001,
        }
    }
}

/// A family, and what was said of its runs.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Ever alerted.
    pub alerted: Counts,
    /// Ever suspect or more.
    pub suspected: Counts,
}

/// The outcome for all families of one unit.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Families that do not leak; their counts are of benign pairs.
    pub benign: Vec<Family>,
    /// Families that leak; of leaks that can be seen.
    pub leaking: Vec<Family>,
    /// Alerts of all leaking pairs, observable or not.
    pub all_leaks: Counts,
    /// Of the twins with an alert, those that named the leaking site first.
    pub top_right: [u64; 2],
    /// Rates told over true rates.
    pub rates: Vec<f64>,
    /// From the first leaked block to the alert: minutes, or steps.
    pub latencies: Vec<f64>,
}

impl Outcome {
    /// All families together.
    pub fn pooled(&self) -> (Counts, Counts) {
        let (mut alerted, mut suspected) = (Counts::default(), Counts::default());
        for family in self.benign.iter().chain(&self.leaking) {
            alerted.join(&family.alerted);
            suspected.join(&family.suspected);
        }
        (alerted, suspected)
    }

    fn benign(&mut self, name: &'static str, said: &Said) {
        let family = family(&mut self.benign, name);
        for (counts, flagged) in
            [(&mut family.alerted, said.alert), (&mut family.suspected, said.suspect)]
        {
            counts.benign += 1;
            counts.false_alerts += u64::from(flagged.is_some());
        }
    }

    fn leaking(&mut self, name: &'static str, said: &Said, truth: &Truth) {
        self.all_leaks.leaking += 1;
        self.all_leaks.found += u64::from(said.alert.is_some());
        let family = family(&mut self.leaking, name);
        if truth.observable {
            for (counts, flagged) in
                [(&mut family.alerted, said.alert), (&mut family.suspected, said.suspect)]
            {
                counts.leaking += 1;
                counts.found += u64::from(flagged.is_some());
            }
        }
    }
}

fn family<'a>(families: &'a mut Vec<Family>, name: &'static str) -> &'a mut Family {
    let at = families.iter().position(|family| family.name == name).unwrap_or_else(|| {
        let (alerted, suspected) = (Counts::default(), Counts::default());
        families.push(Family { name, alerted, suspected });
        families.len() - 1
    });
    &mut families[at]
}

type Named = &'static [(&'static str, Make)];

/// The families of a unit: those that do not leak, and those that do.
fn families(unit: Unit) -> (Named, Named) {
    match unit {
        Unit::Seconds => (&benign::FAMILIES, &leaking::FAMILIES),
        Unit::Steps => (&by_steps::BENIGN, &by_steps::LEAKING),
    }
}

/// Plays `number` jobs of each family that does not leak, and each job's twin.
pub fn run(unit: Unit, seeds: Seeds, number: u64, fed: Fed) -> Outcome {
    let mut outcome = Outcome::default();
    let (benign, leaking) = families(unit);
    let used = |family: &&(&str, Make)| seeds == Seeds::HeldOut || !HELD_OUT.contains(&family.0);
    let leaking: Vec<_> = leaking.iter().filter(used).collect();
    for (at, (name, make)) in benign.iter().filter(used).enumerate() {
        for seed in (seeds.first()..).take(number as usize) {
            let (leaking, make_leaking) = leaking[(seed as usize + at) % leaking.len()];
            let job = make(&mut Rng::new(name, seed));
            // Of a stream of its own: the twin's other site is the job's, block by block.
            let leak = make_leaking(&mut Rng::new(leaking, seed * 64 + at as u64));
            outcome.benign(name, &play(&[&job], unit, fed)[0]);
            outcome.twin(leaking, &[&job, &leak], unit, fed);
        }
    }
    outcome
}

impl Outcome {
    fn twin(&mut self, name: &'static str, courses: &[&Course], unit: Unit, fed: Fed) {
        let Some(truth) = truth(courses[1], unit) else { return };
        let said = play(courses, unit, fed);
        self.leaking(name, &said[1], &truth);
        if said.iter().any(|said| said.alert.is_some()) {
            self.top_right[0] += u64::from(said[1].top);
            self.top_right[1] += 1;
        }
        let Some(alert) = said[1].alert else { return };
        self.latencies.push((alert - truth.begin) / unit.of_rate());
        if let Some(told) = said[1].last {
            let true_rate = rate(courses[1], unit, truth.begin.max(unit.run() / 5.0));
            self.rates.push(told.rate / true_rate);
        }
    }
}
