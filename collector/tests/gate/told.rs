//! What the gate prints, in each of its forms, and the page that says so.

use super::{
    scenario::{driven, waves},
    *,
};

#[test]
fn the_text_is_calm_lines_up_and_tells_every_number() {
    let steps = [(1, 500), (11, 600), (15, 640)];
    let job = run(vec![holding(7, End::Running, &steps)]);
    let text = text::render(&driven("any,growth:>100MB/100req,peak:>70GiB", &job, &waves()));
    let expected = "\
All 3 rules hold. text: 100 requests in 20 waves, 3 of them warm-up, in 20 s.
passed:     any: nothing found
passed:     growth:>100MB/100req: at most 47.1 MiB of a process in 100 requests
passed:     peak:>70GiB: at most 640.0 MiB on a GPU

after the warm-up                at its end    at most    at last     growth         by
serve, pid 7                      600.0 MiB  640.0 MiB  640.0 MiB   40.0 MiB     ledger

GPU  GPU-00010203-0405-0607-0809-0a0b0c0d0e0f  at most 640.0 MiB of 1.0 GiB in use
";
    assert_eq!(text, expected);
    let (job, report) = found(&[("creep", Confidence::Alert, 100)]);
    let failed = text::render(&held_against("creep,any:>1GiB", &job, &report));
    assert!(failed.starts_with("1 of 2 rules fails.\nFAILED:     creep: serve (pid 7) has a "));
    assert!(failed.lines().all(|line| line.chars().count() <= WIDTH), "{failed}");
}

#[test]
fn the_machines_forms_tell_the_same() {
    let (job, report) = found(&[("creep", Confidence::Alert, 100)]);
    let outcome = held_against("creep,peak:>1GiB", &job, &report);
    let told = github::annotations(&outcome, "");
    assert!(told.starts_with("::error file=job.py,line=7,title=memtrace creep::serve (pid 7) has"));
    assert_eq!(told.lines().count(), 1);
    let xml = junit::render(&outcome);
    assert!(
        xml.contains("<testsuite name=\"memtrace check\" tests=\"2\" failures=\"1\" errors=\"0\">")
    );
    assert!(xml.contains("at job.py:7\nserve (pid 7) has a creep"), "{xml}");
    assert!(
        xml.contains("name=\"peak:&gt;1GiB\">\n<system-out>at most 50.0 MiB on a GPU<"),
        "{xml}"
    );
    let json: Outcome = serde_json::from_str(&serde_json::to_string(&outcome).unwrap()).unwrap();
    assert_eq!(json, outcome);
}

#[test]
fn every_verdict_has_its_section_and_every_section_its_verdict() {
    let page = include_str!("../../../docs/findings.md");
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let named = headings.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    let mut named: Vec<&str> = named.collect();
    let mut known = VERDICTS.to_vec();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);
}

/// Fields by table, as the page lists them.
fn tables() -> BTreeMap<&'static str, Vec<&'static str>> {
    let page = include_str!("../../../docs/check.md");
    let sections = page.split("### ").skip(1).map(|section| {
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let rows = rows.map(|row| row.split_once('`').unwrap().0).collect();
        (section.lines().next().unwrap(), rows)
    });
    sections.collect()
}

#[test]
fn the_page_lists_every_field_in_its_order() {
    let (job, report) = found(&[("creep", Confidence::Alert, 100)]);
    let outcome = serde_json::to_value(held_against("creep", &job, &report)).unwrap();
    let tables = tables();
    let fields = |of: &serde_json::Value| -> Vec<String> {
        of.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(fields(&outcome), tables["Outcome"]);
    let job = run(vec![holding(7, End::Running, &[(1, 500)])]);
    let driven = serde_json::to_value(driven("creep", &job, &waves())).unwrap();
    assert_eq!(fields(&driven["scenario"]), tables["Scenario"]);
    for (list, table) in [
        ("rules", "Ruling"),
        ("failures", "Failure"),
        ("processes", "ProcessCourse"),
        ("gpus", "GpuPeak"),
    ] {
        assert_eq!(fields(&outcome[list][0]), tables[table], "{table}");
    }
}

#[test]
fn the_page_lists_the_presets() {
    let page = include_str!("../../../docs/check.md");
    for preset in PRESETS {
        let row = format!("| `{}` | `{}` |", preset.name, preset.rules);
        assert!(page.contains(&row), "{row}");
    }
}
