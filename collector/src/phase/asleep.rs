//! Which names mean that a process gives its memory back for a while.

use crate::ledger::Tables;

/// What a name says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// It sleeps: it is to give back what it can take again.
    Whole,
    /// It puts something aside: what, the name does not say.
    Part,
}

/// Words that a name holds one after the other, and what they say.
const NAMES: [(&[&str], Sleep); 8] = [
    // vLLM's `sleep()`, and whatever a program calls after it.
    (&["sleep"], Sleep::Whole),
    (&["sleeping"], Sleep::Whole),
    (&["asleep"], Sleep::Whole),
    // SGLang's request; its older name, and that of `torch_memory_saver`.
    (&["release", "memory"], Sleep::Whole),
    (&["release", "gpu", "memory"], Sleep::Whole),
    // What trainers say when a model makes room for rollouts; some say it of the activations of each
    // step, whose memory PyTorch keeps for the next.
    (&["offload"], Sleep::Part),
    (&["offloading"], Sleep::Part),
    (&["offloaded"], Sleep::Part),
];

/// Words that say that it is about something else: time, or the kernel that only waits.
const NOT: [&str; 6] = ["wake", "resume", "after", "kernel", "cuda", "time"];

/// What a name says; `None` where it says nothing of the kind. Words are told apart by whatever is
/// no letter.
#[must_use]
pub fn sleep(name: &str) -> Option<Sleep> {
    let name = name.to_lowercase();
    let words: Vec<&str> =
        name.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
    if words.iter().any(|word| NOT.contains(word)) {
        return None;
    }
    let says = |named: &&[&str]| words.windows(named.len()).any(|run| run == *named);
    NAMES.iter().find(|(named, _)| says(named)).map(|(_, sleep)| *sleep)
}

/// The ids of a process's names that say it.
pub(super) fn ids(tables: &Tables) -> impl Iterator<Item = (u32, Sleep)> {
    tables.codes.iter().filter_map(|(id, code)| Some((*id, sleep(&code.name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frameworks_call_a_sleep_is_one() {
        for name in
            ["sleep", "Engine.sleep", "sleep(level=1)", "asleep", "release_memory_occupation"]
        {
            assert_eq!(sleep(name), Some(Sleep::Whole), "{name}");
        }
        for name in ["offload_fsdp_model_to_cpu", "rollout/offload", "Offload 3"] {
            assert_eq!(sleep(name), Some(Sleep::Part), "{name}");
        }
    }

    #[test]
    fn waking_waiting_and_other_words_are_none() {
        for name in [
            "wake up after sleep",
            "resume_memory_occupation",
            "cuda sleep kernel",
            "time.sleep",
            "sleepless",
            "release_lock memory",
            "step",
            "",
        ] {
            assert_eq!(sleep(name), None, "{name}");
        }
    }
}
