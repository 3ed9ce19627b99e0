//! Plays the sites of a run to the leak detector, as a collector would see them.

use collector::detect::{
    known,
    leak::{Finding, Held, Leaks, Sureness},
    tables::{Entry, Tables},
    thresholds::{BY_STEPS, BY_TIME, MINUTE},
};
use collector::state::Site;

use crate::course::{Block, Course, Unit};

/// How the detector gets to know of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// By each event; looks every ten minutes, or at the end of each step.
    Events,
    /// The same, and all names are hidden from it.
    Nameless,
    /// By live tables alone, read once a minute.
    Tables,
}

/// What the detector said of one site. Positions are those of the course.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// When it was suspect first.
    pub suspect: Option<f64>,
    /// When it was a leak first.
    pub alert: Option<f64>,
    /// At the first alert of the run it was first in the list.
    pub top: bool,
    /// What was said of it last.
    pub last: Option<Finding>,
}

/// Long enough that nothing begins at 0.
const BEGIN: u64 = 1_000 * MINUTE;

fn position(unit: Unit, at: f64) -> u64 {
    match unit {
        Unit::Seconds => BEGIN + (at * 1e9) as u64,
        Unit::Steps => at as u64,
    }
}

enum Event {
    Born,
    Died,
}

/// What is said of each of `courses`, the sites of one run.
pub fn play(courses: &[&Course], unit: Unit, fed: Fed) -> Vec<Said> {
    let site = |at: usize| Site { native: at as u32, python: 7 };
    let mut leaks = match unit {
        Unit::Seconds => Leaks::new(BY_TIME, BEGIN),
        Unit::Steps => Leaks::new(BY_STEPS, 0),
    };
    let is_cache = |site: Site| {
        fed != Fed::Nameless && known::cache(courses[site.native as usize].frame).is_some()
    };
    let all: Vec<(usize, &Block)> = courses
        .iter()
        .enumerate()
        .flat_map(|(at, course)| course.blocks.iter().map(move |block| (at, block)))
        .filter(|(_, block)| block.born < unit.run())
        .collect();
    let mut events = Vec::with_capacity(2 * all.len());
    for (index, (_, block)) in all.iter().enumerate() {
        events.push((block.born, index, Event::Born));
        let died = block.died.filter(|died| *died < unit.run());
        events.extend(died.map(|died| (died, index, Event::Died)));
    }
    events.sort_by(|one, other| one.0.total_cmp(&other.0));

    let every = match (unit, fed) {
        (Unit::Steps, _) => 1.0,
        (Unit::Seconds, Fed::Tables) => 60.0,
        (Unit::Seconds, _) => 600.0,
    };
    let mut tables = Tables::default();
    let mut said = vec![Said::default(); courses.len()];
    let mut live: Vec<usize> = Vec::new();
    let mut place = vec![0; all.len()];
    let mut events = events.into_iter().peekable();
    for look in 1..=(unit.run() / every) as u64 {
        let until = look as f64 * every;
        while let Some((at, index, event)) = events.next_if(|event| event.0 < until) {
            let (of, block) = all[index];
            match event {
                Event::Born => {
                    place[index] = live.len();
                    live.push(index);
                    if fed != Fed::Tables {
                        leaks.born(site(of), position(unit, at));
                    }
                }
                Event::Died => {
                    live.swap_remove(place[index]);
                    live.get(place[index])
                        .into_iter()
                        .for_each(|moved| place[*moved] = place[index]);
                    if fed != Fed::Tables {
                        leaks.died(site(of), position(unit, block.born), position(unit, at));
                    }
                }
            }
        }
        // By steps a look falls at the end of the step just played.
        let now = position(unit, if unit == Unit::Steps { until - 1.0 } else { until });
        let held = live.iter().map(|index| {
            let (of, block) = all[*index];
            Held { site: site(of), born: position(unit, block.born), bytes: block.bytes }
        });
        let mut found = match fed {
            Fed::Tables => {
                let address = live.iter().map(|index| *index as u64);
                let entry = address.zip(held).map(|(address, held)| Entry { address, held });
                tables.look(&mut leaks, now, entry.collect())
            }
            _ => leaks.look(now, held),
        };
        for finding in found.iter_mut().filter(|finding| is_cache(finding.site)) {
            *finding = finding.of_known_cache();
        }
        note(&mut said, &found, until);
    }
    said
}

fn note(said: &mut [Said], found: &[Finding], at: f64) {
    let first_alert = said.iter().all(|said| said.alert.is_none());
    let mut alerts = 0;
    for finding in found {
        let of_site = &mut said[finding.site.native as usize];
        of_site.suspect.get_or_insert(at);
        of_site.last = Some(*finding);
        if finding.sureness == Sureness::Alert {
            of_site.alert.get_or_insert(at);
            of_site.top |= first_alert && alerts == 0;
            alerts += 1;
        }
    }
}
