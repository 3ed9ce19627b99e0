//! The report's text against golden files. `MEMTRACE_RENEW=1 cargo test` writes them anew: read the
//! difference before you commit it.

use collector::present::{
    report::{Confidence, Report},
    text::{WIDTH, head, render},
};

/// The sample of the page about the JSON.
fn sample() -> Report {
    let page = include_str!("../../docs/report-json.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    serde_json::from_str(rest.split_once("```").unwrap().0).unwrap()
}

fn compare(name: &str, text: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("MEMTRACE_RENEW").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
}

#[test]
fn a_creeping_tokenizer_reads_as_in_the_golden_text() {
    compare("creep.txt", &render(&sample()));
}

#[test]
fn where_all_is_well_nothing_bad_is_said() {
    let mut report = sample();
    report.findings.clear();
    report.notes.clear();
    report.processes.truncate(1);
    let process = &mut report.processes[0];
    process.events.overwritten = 0;
    process.events.live_overflow = 0;
    process.warnings.clear();
    process.devices[0].ooms.clear();
    compare("well.txt", &render(&report));
}

#[test]
fn the_head_is_what_to_act_on_and_its_first_words_stand_on_one_line() {
    let report = sample();
    let text = &report.findings[0].text;
    assert!(head(&report).contains(text.split(':').next().unwrap()));
    assert!(head(&report).contains("empty_cache()"));
    assert!(render(&report).starts_with(&head(&report)));
}

#[test]
fn what_has_stopped_is_told_but_not_as_something_wrong() {
    let mut report = sample();
    report.findings[0].confidence = Confidence::Info;
    report.processes[0].devices[0].ooms.clear();
    assert!(head(&report).starts_with("Nothing wrong was found in 1 process.\n"));
    assert!(head(&report).contains("crept on device 0"));
}

#[test]
fn running_out_of_memory_is_not_nothing_wrong() {
    let mut report = sample();
    report.findings.clear();
    let text = head(&report);
    assert!(!text.contains("Nothing wrong"), "{text}");
    assert!(text.starts_with(
        "NO MEMORY:  tokenizer (pid 4711) ran out of memory on device 0 at 22:30:00: "
    ));
    assert!(text.contains("3.0 GiB asked for at") && text.contains("512.0 MiB"), "{text}");
}

#[test]
fn without_any_process_it_says_so() {
    let mut report = sample();
    report.findings.clear();
    report.processes.clear();
    assert_eq!(head(&report), "No process has used CUDA under memtrace.\n");
}
