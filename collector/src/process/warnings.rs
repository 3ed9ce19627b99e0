//! What a reader of the report must know about a process's ledger, in sentences.

use wire::header::{Counter, Mode, PythonState, Reason};

use super::Losses;
use crate::ledger::Health;

/// Each kind of loss that leaves something out, and what it means; and what the program itself did wrong.
/// A free of something unknown that *succeeded* is none: it was taken before anybody recorded, or by a
/// graph's node.
const LOSSES: [(Counter, &str); 10] = [
    (Counter::TrieFull, "stacks are missing: the table of stacks was full"),
    (Counter::StackTruncated, "outer callers are missing of stacks deeper than what is recorded"),
    (Counter::CodesFull, "Python frames have no name: the table of code objects was full"),
    (Counter::ArenaFull, "names were left out: the room for text was full"),
    (Counter::ModulesFull, "libraries are unknown: the table of modules was full"),
    (Counter::NamesFull, "marks have no name: the room for names of phases was full"),
    (
        Counter::UnmappedName,
        "look-ups gave functions of the driver that are known by name only, or not at all",
    ),
    (Counter::UnknownDevice, "calls could not be told a device"),
    (Counter::BeforeStart, "calls came before recording could start"),
    (
        Counter::RefusedFree,
        "the program gave back what it did not hold, and the driver refused: memory freed twice, after its \
         context had ended, or by another call than it was taken with",
    ),
];

/// The sentences, gravest first; none for a ledger that lacks nothing.
#[must_use]
pub fn warnings(health: &Health, losses: &Losses) -> Vec<String> {
    let mut warnings = Vec::new();
    if Mode::of(health.mode) == Some(Mode::Off) {
        let reason = reason(health.mode);
        let detail = match health.detail.as_str() {
            "" => String::new(),
            detail => format!(" ({detail})"),
        };
        warnings.push(format!("not recorded{}: {reason}{detail}", since(health)));
    }
    let (entries, bytes) =
        (health.counter(Counter::LiveOverflow), health.counter(Counter::UnlistedBytes));
    if entries > 0 {
        warnings.push(format!(
            "{entries} live blocks ({bytes} bytes) found no room in the live table: they are in the \
             recorder's sums but not in the lists"
        ));
    }
    warnings.extend(python(health));
    for (counter, meaning) in LOSSES {
        let count = health.counter(counter);
        if count > 0 {
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            warnings.push(format!("{meaning} ({times})"));
        }
    }
    let damaged = losses.damaged + losses.unknown;
    if damaged > 0 {
        warnings.push(format!("{damaged} records could not be understood"));
    }
    if losses.blocks_unstored_since.is_some() {
        let text = "block events were not stored from some time on, for want of room: what is held \
                    is exact, how it came to that is not";
        warnings.push(text.to_owned());
    }
    warnings
}

fn since(health: &Health) -> &'static str {
    if health.head == 0 { "" } else { " to the end" }
}

/// Why recording stopped, or never started, as the second half of a sentence.
fn reason(mode: u64) -> &'static str {
    match Reason::of(mode) {
        Some(Reason::None) => "no reason was left",
        Some(Reason::Fault) => "the recorder met a state it could not go on from",
        Some(Reason::Control) => "it was switched off",
        Some(Reason::NoRoom) => "there was no room for its file on the file system of the rings",
        Some(Reason::NoMemory) => "the memory limit of its control group is too near",
        Some(Reason::TooManyRings) => "over 2 GiB of rings are there already",
        Some(Reason::Folder) => "the folder of rings cannot be made, or is open to others",
        Some(Reason::File) => "its file could not be made or mapped",
        None => "for a reason this version does not know",
    }
}

fn python(health: &Health) -> Option<String> {
    let version = health.python_version;
    let (major, minor) = (version >> 8 & 0xff, version & 0xff);
    match PythonState::of(health.python_state) {
        Some(PythonState::None | PythonState::On) => None,
        Some(PythonState::UnknownVersion) => Some(format!(
            "no Python stacks: frames of Python {major}.{minor} cannot be read by this version"
        )),
        Some(PythonState::CheckFailed) => Some(format!(
            "no Python stacks: the frames of this Python {major}.{minor} are not laid out as \
             expected"
        )),
        None => Some("no Python stacks: for a reason this version does not know".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use wire::header::mode_word;

    use super::*;

    fn on() -> Health {
        Health { mode: mode_word(Mode::On, Reason::None), ..Health::default() }
    }

    #[test]
    fn a_ledger_that_lacks_nothing_has_no_warning() {
        assert!(warnings(&on(), &Losses::default()).is_empty());
    }

    #[test]
    fn a_ledger_that_stopped_says_why() {
        let mode = mode_word(Mode::Off, Reason::NoRoom);
        let health = Health { mode, detail: "quota".into(), ..Health::default() };
        let text = warnings(&health, &Losses::default()).join("\n");
        assert!(text.contains("no room") && text.contains("quota"), "{text}");
    }

    #[test]
    fn a_free_that_nobody_knows_is_told_only_where_the_driver_refused_it() {
        let mut health = on();
        health.counters = vec![0; 16];
        health.counters[Counter::UnknownFree as usize] = 3;
        assert!(warnings(&health, &Losses::default()).is_empty());
        health.counters[Counter::RefusedFree as usize] = 1;
        let text = warnings(&health, &Losses::default()).join("\n");
        assert!(text.contains("freed twice") && text.ends_with("(once)"), "{text}");
    }

    #[test]
    fn losses_reach_the_reader_with_their_number() {
        let mut health = Health { python_state: 2, python_version: 3 << 8 | 9, ..on() };
        health.counters = vec![0; 16];
        health.counters[Counter::LiveOverflow as usize] = 7;
        health.counters[Counter::TrieFull as usize] = 8;
        let losses = Losses { damaged: 5, blocks_unstored_since: Some(1), ..Losses::default() };
        let text = warnings(&health, &losses).join("\n");
        for part in ["7 live blocks", "(8 times)", "Python 3.9", "5 records", "want of room"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
