//! Where the moments of a run lie in its trace.

use std::{collections::HashMap, path::Path};

use super::{Folder, NoTrace, ProcessRow};
use crate::{
    ledger::{Instance, Tables},
    outside::Queue,
    phase::{Span, Spans},
    process::{Moment, Player, Stops},
};

/// Why a moment of a trace cannot be told of. Each reads as the second half of a sentence that begins
/// with the folder's path.
#[derive(Debug, thiserror::Error)]
pub enum NoMoment {
    /// There is no trace.
    #[error("{0}")]
    NoTrace(#[from] NoTrace),
    /// No process knows that moment.
    #[error("has no process that knows {moment}; {known}")]
    Unknown {
        /// The moment.
        moment: Moment,
        /// What there is instead: the rest of the sentence.
        known: String,
    },
    /// Blocks were not stored any more.
    #[error("does not tell what was held at {0}: room for block events had run out before")]
    Unstored(Moment),
}

/// Where `moment` lies in the trace at `path`.
///
/// # Errors
/// The folder is no trace, or the moment is not in it.
pub fn stops(path: &Path, moment: &Moment) -> Result<Stops, NoMoment> {
    if *moment == Moment::End {
        return Ok(Stops::default());
    }
    let folder = Folder::open(path)?;
    // Whatever is wrong with a file is told of when the job is read.
    let flaws = &mut Vec::new();
    let rows = folder.processes(flaws)?;
    let unstored = folder.notes(flaws).into_iter().find(|note| note.blocks_unstored);
    let mut tables = folder.tables(flaws);
    let mut marks = folder.marks(flaws);
    let mut players: HashMap<Instance, Player<Spans>> = HashMap::new();
    for instance in rows.iter().map(|row| row.identity.instance) {
        let mut player = Player::<Spans>::default();
        let lines = marks.remove(&instance).unwrap_or_default();
        player.expect(Queue::new(lines, tables.entry(instance).or_default()));
        players.insert(instance, player);
    }
    // As far as it can be read.
    let _ = folder.timelines(flaws, |instance, step| {
        if let Some(player) = players.get_mut(&instance) {
            player.step(step);
        }
    });
    players.values_mut().for_each(Player::close);
    let none = Tables::default();
    let known = rows.iter().filter_map(|row| {
        let player = players.get(&row.identity.instance)?;
        let tables = tables.get(&row.identity.instance).unwrap_or(&none);
        Some((&row.identity, player.seen(), tables))
    });
    let Some(stops) = Stops::new(moment, folder.head().started_ns, known.clone()) else {
        let known = alternatives(known.map(|(_, spans, _)| spans.steps()));
        return Err(NoMoment::Unknown { moment: moment.clone(), known });
    };
    let is_late = |row: &ProcessRow, since| {
        let until = stops.until(row.identity.instance);
        until.is_some_and(|until| row.identity.realtime(until) >= since)
    };
    match unstored {
        Some(note) if rows.iter().any(|row| is_late(row, note.time)) => {
            Err(NoMoment::Unstored(moment.clone()))
        }
        _ => Ok(stops),
    }
}

/// What steps there are, of the process that has most.
fn alternatives(steps: impl Iterator<Item = Vec<(u64, Span)>>) -> String {
    let steps = steps.max_by_key(Vec::len).unwrap_or_default();
    let numbers = || steps.iter().map(|(number, _)| *number);
    match (numbers().min(), numbers().max()) {
        (Some(first), Some(last)) => format!("its steps go from {first} to {last}"),
        _ => "no phase in it repeats as a step does".to_owned(),
    }
}
