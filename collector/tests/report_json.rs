//! The page about the report's JSON against the structures: same fields, same order.

use std::collections::{BTreeMap, BTreeSet};

use collector::present::report::Report;
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/report-json.md");

fn sample() -> &'static str {
    let (_, rest) = PAGE.split_once("```json\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// Fields by table, as the page lists them.
fn tables() -> BTreeMap<&'static str, Vec<&'static str>> {
    let (_, fields) = PAGE.split_once("## Fields").unwrap();
    fields
        .split("### ")
        .skip(1)
        .map(|section| {
            let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
            (
                section.lines().next().unwrap(),
                rows.map(|row| row.split_once('`').unwrap().0).collect(),
            )
        })
        .collect()
}

/// Which table describes the object under `key`.
fn table(key: &str, within: &str, object: &serde_json::Map<String, Value>) -> &'static str {
    match (key, within) {
        ("", _) => "Report",
        ("findings", _) => "Finding",
        ("instances", _) => "FindingInstance",
        ("rate", _) => "Rate",
        ("exhausted", _) => "Exhaustion",
        ("trend", _) => "Trend",
        ("allocated" | "reserved", "Trend") => "Course",
        ("evidence", _) => "Evidence",
        ("pins", _) => "Pin",
        ("holders", _) => "Holder",
        ("gpus", _) => "Gpu",
        ("processes", "Gpu") => "GpuProcess",
        ("processes", _) => "Process",
        ("untraced", _) => "Untraced",
        ("phases", "Phases") => "Phase",
        ("phases", _) => "Phases",
        ("steps", _) => "Steps",
        ("marks", _) => "Mark",
        ("growth", _) => "Growth",
        ("sites", "Growth") => "GrowthSite",
        ("devices", "Phase") => "PhaseDevice",
        ("peak_sites" | "survivor_sites", _) => "PhaseSite",
        ("devices", _) => "Device",
        ("by_kind", _) => "ByKind",
        ("sites", "Device" | "Peak") => "SiteUse",
        ("graph_pools", _) => "GraphPools",
        ("sites", "GraphPools") => "GraphPoolSite",
        ("sites", _) => "Site",
        ("peak", _) => "Peak",
        ("owners", _) => "Owner",
        ("sizes", _) => "SizeClass",
        ("bursts", _) => "Burst",
        ("allocators", _) => "Allocator",
        ("ooms", _) => "Oom",
        ("imports", _) => "Import",
        ("loose_handles", _) => "LooseHandles",
        ("untracked_steps", _) => "UntrackedStep",
        ("calls", _) => "CallCount",
        ("exports", _) => "Export",
        ("opened_by", _) => "Opener",
        ("from" | "by", _) => "Peer",
        ("segments", _) => "Segment",
        ("blocks", _) => "Block",
        ("events", _) => "Events",
        ("frames", _) if object["kind"] == "python" => "Frame, kind `python`",
        ("frames", _) => "Frame, kind `native`",
        _ => panic!("an object that no table describes: {key} in {within}"),
    }
}

/// Compares an object and all inside it with their tables; returns which tables were used.
fn compare(key: &str, within: &'static str, value: &Value, used: &mut BTreeSet<&'static str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| compare(key, within, item, used)),
        Value::Object(map)
            if key == "sites" && within == "Report" && !map.contains_key("frames") =>
        {
            map.values().for_each(|item| compare(key, within, item, used));
        }
        Value::Object(map) => {
            let name = table(key, within, map);
            let fields: Vec<&str> = map.keys().map(String::as_str).collect();
            assert_eq!(fields, tables()[name], "fields of {name}");
            used.insert(name);
            map.iter().for_each(|(key, value)| compare(key, name, value, used));
        }
        _ => {}
    }
}

#[test]
fn the_tables_name_every_field_in_order() {
    let report: Report = serde_json::from_str(sample()).unwrap();
    let written: Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    let mut used = BTreeSet::new();
    compare("", "", &written, &mut used);
    assert_eq!(used, tables().into_keys().collect(), "a table whose object the sample lacks");
}

#[test]
fn the_sample_is_what_the_program_writes() {
    let report: Report = serde_json::from_str(sample()).unwrap();
    let (sample, written): (Value, Value) =
        (serde_json::from_str(sample()).unwrap(), serde_json::to_value(&report).unwrap());
    assert_eq!(sample, written);
    assert_eq!(serde_json::to_string(&sample).unwrap(), serde_json::to_string(&report).unwrap());
}
