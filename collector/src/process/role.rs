//! What a process is in its job, told by its title, its arguments and its rank.

use std::collections::BTreeMap;

/// Prefixes of process titles: what follows names the role.
const TITLES: [&str; 3] = ["sglang::", "VLLM::", "ray::"];

/// The title of a worker of Ray's that has nothing to do.
const IDLE: &str = "ray::IDLE";

/// Words that follow each other somewhere in the arguments, and the role they mean. The first
/// match counts.
const ARGUMENTS: [(&[&str], &str); 12] = [
    // The launcher of SGLang runs the tokenizer manager and the image processor in itself.
    (&["-m", "sglang.launch_server"], "tokenizer"),
    (&["sglang", "serve"], "tokenizer"),
    (&["-m", "sglang_router.launch_router"], "router"),
    (&["-m", "vllm.entrypoints.openai.api_server"], "api server"),
    (&["-m", "vllm.entrypoints.cli.main", "serve"], "api server"),
    (&["vllm", "serve"], "api server"),
    (&["-m", "torch.distributed.run"], "launcher"),
    (&["torchrun"], "launcher"),
    (&["-m", "torch._inductor.compile_worker"], "compile worker"),
    (&["raylet"], "raylet"),
    (&["gcs_server"], "ray gcs"),
    (&["nvidia-cuda-mps-server"], "mps server"),
];

/// Text in an argument, and the role it means.
const INSIDE: [(&str, &str); 2] = [
    ("from multiprocessing.resource_tracker import", "resource tracker"),
    ("torch/_inductor/compile_worker", "compile worker"),
];

/// Whether a title says anything: there is none at a process's end, and a worker of Ray's that rests
/// takes off the one it worked under.
#[must_use]
pub fn is_telling(command: &[String]) -> bool {
    command.first().is_some_and(|first| !first.is_empty() && first != IDLE)
}

/// The role of a process; `None` where nothing says. `MEMTRACE_ROLE` wins over everything.
#[must_use]
pub fn role(command: &[String], environment: &BTreeMap<String, String>) -> Option<String> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    if let Some(role) = variable("MEMTRACE_ROLE") {
        return Some(role.clone());
    }
    let rank = variable("RANK").or_else(|| variable("LOCAL_RANK")).map(|r| format!("rank {r}"));
    let named = title(command).or_else(|| arguments(command));
    match (named, rank) {
        (Some(named), Some(rank)) => Some(format!("{named} {rank}")),
        (named, rank) => named.or(rank),
    }
}

fn title(command: &[String]) -> Option<String> {
    // A title overwrites the arguments with one text, which may hold spaces: only its first word.
    let first = command.first()?.split_whitespace().next()?;
    let name = TITLES.iter().find_map(|prefix| first.strip_prefix(prefix))?;
    // Ray adds the method that runs now: `ray::WorkerDict.generate()`.
    let name = name.split(['.', '(', ':']).next().unwrap_or(name);
    (!name.is_empty() && first != IDLE).then(|| name.to_owned())
}

fn arguments(command: &[String]) -> Option<String> {
    let words: Vec<&str> = command.iter().map(|word| stem(word)).collect();
    let follows = |wanted: &[&str]| words.windows(wanted.len()).any(|window| window == wanted);
    let by_words = ARGUMENTS.iter().find(|(wanted, _)| follows(wanted)).map(|(_, role)| role);
    let holds = |text: &str| command.iter().any(|word| word.contains(text));
    let by_text = || INSIDE.iter().find(|(text, _)| holds(text)).map(|(_, role)| role);
    by_words.or_else(by_text).map(|role| (*role).to_owned())
}

/// The name of a program without its folder; any other argument as it is.
fn stem(word: &str) -> &str {
    match word.rsplit_once('/') {
        Some((_, name)) if word.starts_with('/') => name,
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &[&str], environment: &[(&str, &str)]) -> Option<String> {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let environment =
            environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        role(&command, &environment)
    }

    #[test]
    fn titles_name_roles() {
        for (title, role) in [
            ("sglang::scheduler_TP0", "scheduler_TP0"),
            ("sglang::detokenizer", "detokenizer"),
            ("VLLM::EngineCore", "EngineCore"),
            ("VLLM::Worker_TP1", "Worker_TP1"),
            ("ray::WorkerDict", "WorkerDict"),
            ("ray::WorkerDict.actor_rollout_generate()", "WorkerDict"),
        ] {
            assert_eq!(of(&[title], &[]).as_deref(), Some(role), "{title}");
        }
        assert_eq!(of(&["ray::IDLE"], &[]), None);
    }

    #[test]
    fn a_title_that_was_taken_off_tells_nothing() {
        let telling = |title: &[&str]| {
            is_telling(&title.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert!(telling(&["sglang::detokenizer"]) && telling(&["python", "train.py"]));
        assert!(!telling(&[]) && !telling(&[""]) && !telling(&["ray::IDLE"]));
    }

    #[test]
    fn launchers_are_known_by_their_arguments() {
        let python = "/usr/bin/python3";
        let launch = [python, "-m", "sglang.launch_server", "--model-path", "m"];
        assert_eq!(of(&launch, &[]).as_deref(), Some("tokenizer"));
        let serve = [python, "/opt/venv/bin/vllm", "serve", "m"];
        assert_eq!(of(&serve, &[]).as_deref(), Some("api server"));
        let tracker = [python, "-c", "from multiprocessing.resource_tracker import main;main(5)"];
        assert_eq!(of(&tracker, &[]).as_deref(), Some("resource tracker"));
    }

    #[test]
    fn a_rank_names_what_has_no_other_name_and_tells_equals_apart() {
        assert_eq!(of(&["python", "train.py"], &[("RANK", "3")]).as_deref(), Some("rank 3"));
        assert_eq!(of(&["python"], &[("LOCAL_RANK", "1")]).as_deref(), Some("rank 1"));
        let worker = of(&["ray::WorkerDict"], &[("RANK", "3")]);
        assert_eq!(worker.as_deref(), Some("WorkerDict rank 3"));
        assert_eq!(of(&["python", "train.py"], &[]), None);
    }

    #[test]
    fn what_the_user_says_wins() {
        let role = of(&["sglang::scheduler_TP0"], &[("MEMTRACE_ROLE", "reward"), ("RANK", "1")]);
        assert_eq!(role.as_deref(), Some("reward"));
    }
}
