//! What differs between reports of jobs made by hand, and how it reads.

mod made;

use collector::{
    ledger::{End, Live},
    present::{
        build::{Detail, build},
        diff::{Change, Diff, Side, diff},
        report::Report,
        text,
    },
    process::Process,
    state::State,
};
use made::{MIB, PYTHON, TORCH, job, live, process};
use wire::record::Class;

const PAGE: &str = include_str!("../../docs/diff.md");
/// A second Python stack.
const OTHER: u32 = 9;

fn side(name: &str) -> Side {
    Side { name: name.to_owned(), moment: "the end".to_owned(), as_of_ns: 5 }
}

fn compare(a: &Report, b: &Report) -> Diff {
    diff((side("a"), a), (side("b"), b), None)
}

fn report(processes: Vec<Process>) -> Report {
    build(&job(processes), Detail { segments: false, names: true })
}

/// A process whose only memory is PyTorch's, with a block of so many MiB for each of `blocks` by the
/// site's stack.
fn holding(pid: u32, blocks: &[(u32, u64)]) -> Process {
    let mut entries = vec![live(Class::Linear, 0x1000_0000, 200 * MIB, TORCH)];
    let mut address = 0x1000_0000;
    for (python, size) in blocks {
        let block = live(Class::Block, address, size * MIB, 0);
        entries.push(Live { entry: wire::live::Entry { python: *python, ..block.entry }, ..block });
        address += size * MIB;
    }
    let mut process = process(pid, End::Running);
    let node = *process.tables.nodes.get(&PYTHON).unwrap();
    let code = process.tables.codes[&5].clone();
    process.tables.nodes.insert(OTHER, wire::trie::Node { frame: 6 << 32, ..node });
    process.tables.codes.insert(6, collector::ledger::Code { name: "other".into(), ..code });
    process.played.state = State::from_live(&entries);
    process
}

#[test]
fn a_line_is_new_gone_grown_shrunk_or_unchanged() {
    let at = |blocks: &[(u32, u64)]| report(vec![holding(1, blocks)]);
    let changes = |a: &[(u32, u64)], b: &[(u32, u64)]| -> Vec<(Change, u64, u64)> {
        let diff = compare(&at(a), &at(b));
        assert!(diff.one_run && diff.comparable);
        diff.sites
            .iter()
            .map(|site| (site.change, site.a_bytes / MIB, site.b_bytes / MIB))
            .collect()
    };
    let (one, two) = ((PYTHON, 4), (OTHER, 8));
    assert_eq!(changes(&[one], &[one, two]), [(Change::New, 0, 8)]);
    assert_eq!(changes(&[one, two], &[two]), [(Change::Gone, 4, 0)]);
    assert_eq!(changes(&[one], &[one, one, one]), [(Change::Grown, 4, 12)]);
    assert_eq!(changes(&[one, two, two], &[two, one]), [(Change::Shrunk, 16, 8)]);
    assert_eq!(changes(&[one], &[(PYTHON, 3), (PYTHON, 1)]), [(Change::Grown, 4, 4)]);
    // Most change first.
    let both = changes(&[one, two], &[(PYTHON, 10), (OTHER, 10)]);
    assert_eq!(both, [(Change::Grown, 4, 10), (Change::Grown, 8, 10)]);
    let same = compare(&at(&[one, two]), &at(&[one, two]));
    assert!(same.sites.is_empty());
    assert_eq!((same.unchanged.sites, same.unchanged.bytes), (2, 12 * MIB));
}

#[test]
fn processes_of_two_runs_are_matched_by_role_and_else_by_program() {
    let with = |pid, role: Option<&str>, command: &str, mib| Process {
        role: role.map(str::to_owned),
        command: command.to_owned(),
        ..holding(pid, &[(PYTHON, mib)])
    };
    let a = report(vec![
        with(1, Some("rank 0"), "python train.py --lr 1", 4),
        with(2, None, "python serve.py --port 1", 4),
        with(3, None, "worker 1", 1),
        with(4, None, "worker 2", 1),
    ]);
    let b = report(vec![
        with(12, None, "python serve.py --port 2", 5),
        with(11, Some("rank 0"), "python train2.py", 6),
        with(13, None, "worker 1", 1),
        with(14, Some("rank 1"), "python train2.py", 1),
    ]);
    let diff = compare(&a, &b);
    assert!(!diff.one_run && diff.comparable);
    let mut told: Vec<(&str, Vec<u32>, Vec<u32>)> = diff
        .roles
        .iter()
        .map(|role| {
            let [a, b] = [&role.a, &role.b]
                .map(|held| held.as_ref().map_or(vec![], |held| held.pids.clone()));
            (role.name.as_str(), a, b)
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            ("rank 0", vec![1], vec![11]),
            ("rank 1", vec![], vec![14]),
            ("serve.py", vec![2], vec![12]),
            ("worker", vec![3, 4], vec![13]),
        ]
    );
    let [site] = diff.sites.as_slice() else { panic!("{:?}", diff.sites) };
    assert_eq!((site.a_bytes, site.b_bytes), (10 * MIB, 13 * MIB));
    assert_eq!(site.roles, ["rank 0", "rank 1", "serve.py", "worker"]);
    let text = text::render_diff(&diff);
    assert!(
        text.contains("worker, 2 and 1 of them") && text.contains("rank 1, only in B"),
        "{text}"
    );
    // In one run, of two that are called the same each is itself.
    let two = report(vec![with(3, None, "worker 1", 1), with(4, None, "worker 2", 1)]);
    let one = report(vec![with(3, None, "worker 1", 1)]);
    let names = compare(&one, &two).roles;
    let names: Vec<&str> = names.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["worker (pid 4)", "worker (pid 3)"]);
}

#[test]
fn a_program_in_another_folder_has_its_lines_and_another_program_has_none_in_common() {
    let named = |pid, file: &str, function: &str| {
        let mut process = holding(pid, &[(PYTHON, 4)]);
        for code in process.tables.codes.values_mut() {
            (code.file, code.name) = (file.to_owned(), function.to_owned());
        }
        report(vec![process])
    };
    let a = named(1, "/home/a/job.py", "step");
    let moved = compare(&a, &named(2, "/home/b/job.py", "step"));
    assert!(moved.comparable && moved.sites.is_empty());
    let other = compare(&a, &named(2, "/home/a/other.py", "run"));
    assert!(!other.comparable && other.sites.is_empty());
    assert_eq!(other.roles.len(), 1, "sums are compared all the same");
    let text = text::render_diff(&other);
    assert_eq!(text.matches("no line of code in common").count(), 1, "{text}");
    assert!(!text.contains("gone") && text.contains("200.0 MiB"), "{text}");
}

#[test]
fn the_text_fits_the_page_and_keeps_control_characters_to_itself() {
    let long = |pid, name: &str| {
        let mut process = holding(pid, &[(PYTHON, 4 + u64::from(pid)), (OTHER, 1)]);
        for code in process.tables.codes.values_mut() {
            code.name = format!("{}\u{1b}[31m{}", name.repeat(60), code.name);
        }
        process.role = Some("r\u{7}ole ".repeat(20));
        report(vec![process])
    };
    let text = text::render_diff(&compare(&long(1, "x"), &long(1, "y")));
    assert!(text.lines().all(|line| line.chars().count() <= text::WIDTH), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{7}']));
}

#[test]
fn small_changes_are_summed_up() {
    let many = |more: u64| {
        let mut process = holding(1, &[]);
        let mut entries = vec![live(Class::Linear, 0x1000_0000, 200 * MIB, TORCH)];
        for n in 0..30_u64 {
            let node = process.tables.nodes[&PYTHON];
            let id = 100 + n as u32;
            process
                .tables
                .nodes
                .insert(id, wire::trie::Node { frame: u64::from(id) << 32, ..node });
            let code = process.tables.codes[&5].clone();
            let code = collector::ledger::Code { name: format!("f{n}"), ..code };
            process.tables.codes.insert(id, code);
            let size = 4096 + if n == 7 { 3 * MIB } else { 512 } * more;
            let block = live(Class::Block, 0x1000_0000 + n * 4 * MIB, size, 0);
            let entry = wire::live::Entry { python: id, ..block.entry };
            entries.push(Live { entry, ..block });
        }
        process.played.state = State::from_live(&entries);
        report(vec![process])
    };
    let text = text::render_diff(&compare(&many(0), &many(1)));
    assert!(text.contains("   +3.0 MiB   +0 blocks  grown  job.py:7 f7"), "{text}");
    assert!(text.contains("and 25 other lines: +12.5 KiB, -0 B"), "{text}");
}

#[test]
fn the_page_about_the_json_is_what_the_program_writes() {
    let (_, rest) = PAGE.split_once("```json\n").unwrap();
    let sample = rest.split_once("```").unwrap().0;
    let diff: Diff = serde_json::from_str(sample).unwrap();
    let written: serde_json::Value = serde_json::to_value(&diff).unwrap();
    let read: serde_json::Value = serde_json::from_str(sample).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&written).unwrap());
    // Every field of the sample is told of.
    fn fields(value: &serde_json::Value) -> Vec<String> {
        match value {
            serde_json::Value::Array(items) => items.iter().flat_map(fields).collect(),
            serde_json::Value::Object(map) if map.contains_key("frames") => Vec::new(),
            serde_json::Value::Object(map) => {
                map.iter().flat_map(|(k, v)| [vec![k.clone()], fields(v)].concat()).collect()
            }
            _ => Vec::new(),
        }
    }
    for field in fields(&read) {
        assert!(rest.contains(&format!("`{field}`")), "{field} is not told of");
    }
}
