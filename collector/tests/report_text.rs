//! The report's text against golden files. `MEMTRACE_RENEW=1 cargo test` writes them anew: read the
//! difference before you commit it.

use collector::present::{
    report::{Confidence, Events, Frame, ProcessState, Report, Site, SiteUse, UntrackedStep},
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
    for text in report.findings.iter().map(|finding| &finding.text) {
        assert!(head(&report).contains(text.split(':').next().unwrap()));
    }
    assert!(head(&report).contains("empty_cache()"));
    assert!(render(&report).starts_with(&head(&report)));
}

#[test]
fn what_has_stopped_is_told_but_not_as_something_wrong() {
    let mut report = sample();
    report.findings.retain(|finding| finding.verdict == "creep");
    report.findings[0].confidence = Confidence::Info;
    assert!(head(&report).starts_with("2 min, 120 steps, 1 process: nothing wrong was found.\n"));
    assert!(head(&report).contains("INFO:       tokenizer (pid 4711) crept on device 0"));
}

#[test]
fn running_out_of_memory_is_not_nothing_wrong() {
    let mut report = sample();
    report.findings.truncate(1);
    let text = head(&report);
    assert!(!text.contains("nothing wrong"), "{text}");
    assert!(text.starts_with(
        "NO MEMORY:  tokenizer (pid 4711) ran out of memory on device 0 at 22:30:00: "
    ));
    assert!(text.contains("3.0 GiB asked for at") && text.contains("512.0 MiB"), "{text}");
}

#[test]
fn the_calm_head_names_the_cache_that_running_processes_could_give_back() {
    let mut report = sample();
    report.findings.clear();
    let tokenizer = &mut report.processes[0];
    tokenizer.state = ProcessState::Running;
    let mut other = tokenizer.clone();
    other.devices[0].allocators[0].releasable_bytes = 200 << 20;
    report.processes.push(other.clone());
    let calm = |report: &Report| head(report).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        calm(&report),
        "2 min, 120 steps, 2 processes: nothing wrong was found; 2.3 GiB of cache could be given back (2.1 GiB \
         in tokenizer)."
    );
    // What an ended process had is nobody's any more.
    report.processes[0].state = ProcessState::Killed;
    assert_eq!(
        calm(&report),
        "2 min, 120 steps, 2 processes: nothing wrong was found; 200.0 MiB of cache could be given back (200.0 \
         MiB in tokenizer)."
    );
    // Nor is a little worth a word.
    report.processes[2].devices[0].allocators[0].releasable_bytes = 10 << 20;
    assert_eq!(calm(&report), "2 min, 120 steps, 2 processes: nothing wrong was found.");
    // Of the two the one that was watched longest decides.
    for (process, units) in [(0, 1), (2, 12)] {
        report.processes[process].devices[0].trend.as_mut().unwrap().units = units;
    }
    assert_eq!(
        calm(&report),
        "2 min, 120 steps, 2 processes: nothing wrong was found. A leak shows after 60 steps; 12 were \
         watched."
    );
}

#[test]
fn a_process_that_only_asked_for_cuda_is_named_with_its_role_and_no_section() {
    let mut report = sample();
    let mut server = report.processes[0].clone();
    (server.devices, server.pinned_host_bytes) = (Vec::new(), 0);
    (server.events, server.warnings) = (Events::default(), Vec::new());
    (server.role, server.state) = (Some("detokenizer".to_owned()), ProcessState::Running);
    report.processes.push(server.clone());
    let text = render(&report);
    assert!(text.contains("\nNo CUDA memory, ever: detokenizer (pid 4711, running)\n"), "{text}");
    assert_eq!(text.matches("  pid 4711  ").count(), 1, "one section: {text}");
    // What cannot be known of one that lost its ledger is not said.
    report.processes[2].warnings = vec!["not recorded".to_owned()];
    assert!(render(&report).contains("detokenizer  pid 4711  running"));
}

#[test]
fn a_long_name_is_cut_and_not_the_pid_behind_it() {
    let mut report = sample();
    let holder = &mut report.gpus[0].processes[0];
    (holder.pid, holder.role) = (4_194_303, Some("MegatronTrainRayActor".to_owned()));
    let text = render(&report);
    assert!(text.contains("\n  Meg"), "{text}");
    assert!(text.contains("…, pid 4194303, ended "), "{text}");
}

#[test]
fn a_device_on_which_nothing_was_ever_taken_is_one_line() {
    let mut report = sample();
    let device = &mut report.processes[0].devices[0];
    (device.peak_reserved_bytes, device.imported_bytes, device.managed_bytes) = (0, 0, 0);
    (device.peak.time_ns, device.nvml_bytes) = (0, Some(524_288_000));
    (device.sites, device.ooms, device.segments) = (Vec::new(), Vec::new(), None);
    let text = render(&report);
    assert!(text.contains("    took no memory here, ever; NVML says 500.0 MiB: the context\n"));
    assert!(!text.contains("releasable    private"), "{text}");
}

#[test]
fn a_gpu_without_any_process_is_one_line() {
    let mut report = sample();
    (report.gpus[0].processes, report.gpus[0].untraced) = (Vec::new(), Vec::new());
    let text = render(&report);
    assert!(text.contains("\n  no process of this report is on it; 13.5 GiB in use\n"), "{text}");
    assert!(!text.contains("unexplained"), "{text}");
}

/// A report in which the first process has these live: line of the library that asked, the line of
/// the model that called it, MiB. Everything was called from `load.py`.
fn with_live(live: &[(&str, u32, u64)]) -> Report {
    let mut report = sample();
    report.sites.clear();
    let device = &mut report.processes[0].devices[0];
    device.sites.clear();
    device.peak.sites = None;
    device.allocators.clear();
    for (i, (name, caller, mib)) in live.iter().enumerate() {
        let frame = |file: &str, line, function: &str| Frame::Python {
            function: function.to_owned(),
            file: format!("/venv/lib/python3.11/site-packages/{file}"),
            line: Some(line),
        };
        let frames = vec![
            frame(name, 1, "take"),
            frame("model.py", *caller, "Layer.__init__"),
            frame("load.py", 9, "load"),
            frame("main.py", 3, "main"),
        ];
        let line = Some(format!("{name}:1 take"));
        report.sites.insert(format!("{i:032x}"), Site { frames, line });
        report.processes[0].devices[0].sites.push(SiteUse {
            site: format!("{i:032x}"),
            live_bytes: mib << 20,
            blocks: 1,
            graph_pool_bytes: Some(0),
            unbacked_bytes: Some(0),
        });
    }
    report
}

/// The list of what is live, as it reads.
fn listed(report: &Report) -> String {
    let text = render(report);
    let (_, list) = text.split_once("by the line that asked for it:\n").unwrap();
    list.split("    out of memory").next().unwrap().to_owned()
}

#[test]
fn small_stacks_of_one_line_are_one_with_the_callers_they_share() {
    let report = with_live(&[
        ("kv.py", 5, 70_000),
        ("big.py", 5, 3_000),
        ("big.py", 6, 2_000),
        ("weights.py", 10, 3),
        ("weights.py", 20, 2),
        ("weights.py", 30, 1),
    ]);
    let expected = "\
      68.4 GiB    1 block  kv.py:1 take
                      from model.py:5 Layer.__init__
                      from load.py:9 load
                      from main.py:3 main
       2.9 GiB    1 block  big.py:1 take
                      from model.py:5 Layer.__init__
                      from load.py:9 load
                      from main.py:3 main
       2.0 GiB    1 block  big.py:1 take
                      from model.py:6 Layer.__init__
                      from load.py:9 load
                      from main.py:3 main
       6.0 MiB   3 blocks  weights.py:1 take
                      in 3 ways from load.py:9 load
";
    assert_eq!(listed(&report).trim_start(), expected);
}

#[test]
fn five_lines_are_shown_whatever_their_size_and_ten_that_have_a_mib() {
    let names: Vec<String> = (0..20).map(|i| format!("l{i:02}.py")).collect();
    let live = |mib: u64| -> Vec<(&str, u32, u64)> {
        names.iter().map(|name| (name.as_str(), 1, mib)).collect()
    };
    let large = listed(&with_live(&live(1)));
    assert_eq!(large.matches(" take\n").count(), 10, "{large}");
    assert!(large.ends_with("  10.0 MiB  10 blocks  at 10 other lines\n"), "{large}");
    let mut report = with_live(&live(0));
    report.processes[0].devices[0].sites.iter_mut().for_each(|used| used.live_bytes = 512);
    let small = listed(&report);
    assert_eq!(small.matches("     512 B    1 block  l").count(), 5, "{small}");
    assert!(small.ends_with("   7.5 KiB  15 blocks  at 15 other lines\n"), "{small}");
}

#[test]
fn a_line_says_what_of_it_lies_in_graph_pools() {
    let mut report = with_live(&[("a.py", 1, 4), ("b.py", 1, 2)]);
    let sites = &mut report.processes[0].devices[0].sites;
    (sites[0].graph_pool_bytes, sites[1].graph_pool_bytes) = (Some(1 << 20), Some(2 << 20));
    let list = listed(&report);
    let (first, second) = list.split_once("b.py").unwrap();
    assert!(first.contains("\n                      1.0 MiB of it in graph pools\n"), "{list}");
    assert!(second.ends_with("\n                      in graph pools\n"), "{list}");
}

#[test]
fn a_line_says_what_of_it_has_no_memory() {
    let mut report = with_live(&[("a.py", 1, 4), ("b.py", 1, 2)]);
    let sites = &mut report.processes[0].devices[0].sites;
    (sites[0].unbacked_bytes, sites[1].unbacked_bytes) = (Some(1 << 20), Some(2 << 20));
    let list = listed(&report);
    let (first, second) = list.split_once("b.py").unwrap();
    let note = "unbacked: no memory behind it now\n";
    assert!(first.contains(&format!("\n                      1.0 MiB of it {note}")), "{list}");
    assert!(second.ends_with(&format!("\n                      {note}")), "{list}");
}

#[test]
fn the_peak_is_listed_only_where_it_differs_by_much() {
    let mut report = with_live(&[("a.py", 1, 1_000), ("b.py", 1, 5)]);
    let device = &mut report.processes[0].devices[0];
    let mut peak = device.sites.clone();
    peak[1].live_bytes += 4 << 20;
    device.peak.sites = Some(peak.clone());
    let list = listed(&report);
    let sentence = "    most was live at 22:29:50: 1009.0 MiB, at the same lines but for 4.0 MiB\n";
    assert!(list.ends_with(sentence), "{list}");
    report.processes[0].devices[0].sites = peak.clone();
    assert!(!listed(&report).contains("most was"));
    peak[1].live_bytes += 20 << 20;
    report.processes[0].devices[0].peak.sites = Some(peak);
    assert!(listed(&report).contains("    live at 22:29:50, when most was:\n"));
}

#[test]
fn without_any_process_it_says_so() {
    let mut report = sample();
    report.findings.clear();
    report.processes.clear();
    assert_eq!(head(&report), "No process has used CUDA under memtrace.\n");
}

#[test]
fn processes_that_differ_by_their_pids_alone_are_counted_where_they_are_many() {
    let mut report = sample();
    let mut compiler = report.processes.iter().find(|process| !process.cuda).unwrap().clone();
    let ends = [("ptxas", 0, 400), ("ptxas", 1, 3)];
    for (pid, (name, code)) in
        (10_000..).zip(ends.into_iter().flat_map(|(name, code, many)| vec![(name, code); many]))
    {
        (compiler.pid, compiler.role) = (pid, Some(name.to_owned()));
        compiler.exit_code = Some(code);
        report.processes.push(compiler.clone());
    }
    let text = render(&report).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("ptxas (400 processes, exited with 0), ptxas (pid 10400, exited with 1)")
    );
    assert!(text.contains("ptxas (pid 10402, exited with 1)"), "{text}");
    assert!(!text.contains("pid 10000"), "{text}");
}

#[test]
fn of_many_steps_of_what_no_call_took_the_largest_are_shown_and_the_others_summed() {
    let mut report = sample();
    let step = |at: u64| UntrackedStep {
        from_ns: at,
        until_ns: at + 1,
        bytes: at << 20,
        calls: Vec::new(),
    };
    report.processes[0].devices[0].untracked_steps = (16..22).map(step).collect();
    let text = render(&report);
    assert!(text.contains("untracked grew by 21.0 MiB from"), "{text}");
    assert!(!text.contains("untracked grew by 17.0 MiB"), "{text}");
    assert!(text.contains("untracked grew 2 times more, by 33.0 MiB in all"), "{text}");
}
