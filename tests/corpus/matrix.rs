//! The confusion matrix of each detector, as it stands in the page about findings.

use std::fmt::Write;

use crate::score::Counts;

/// One detector's, over seeds that were held out.
pub struct Row {
    /// What the table calls it.
    pub name: &'static str,
    /// Its outcomes, all families together.
    pub counts: Counts,
}

/// Begins the section that is written here; the next section's heading ends it.
const HEADING: &str = "## How often they are right\n";

const HEAD: &str = "
Written by `make corpus`, over the runs of [the corpus](corpus.md) whose seeds were held out: how many that
have it were told and not told, and how many that have it not. For *leak* a run counts once for each line,
if it was ever told. Precision is for as many that have it as that have it not.

| finding | has it: told | not told | has it not: told | not told | precision | recall |
|---|---|---|---|---|---|---|
";

/// `page` with its section made anew; `None` if it has no such section.
pub fn renewed(page: &str, rows: &[Row]) -> Option<String> {
    let (before, section) = page.split_once(HEADING)?;
    let after = section.find("\n## ").and_then(|at| section.get(at..)).unwrap_or("");
    let mut table = String::new();
    for Row { name, counts } in rows {
        let Counts { benign, false_alerts, leaking, found } = *counts;
        let _ = writeln!(
            table,
            "| {name} | {found} | {} | {false_alerts} | {} | {:.3} | {:.3} |",
            leaking.saturating_sub(found),
            benign.saturating_sub(false_alerts),
            counts.precision(),
            counts.recall()
        );
    }
    Some(format!("{before}{HEADING}{HEAD}{table}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_is_written_anew() {
        let counts = Counts { benign: 400, false_alerts: 4, leaking: 200, found: 190 };
        let page = format!("# Page\n\n{HEADING}\nstale\n\n## next\n\nkept\n");
        let renewed = renewed(&page, &[Row { name: "creep", counts }]).unwrap();
        assert!(renewed.starts_with(&format!("# Page\n\n{HEADING}{HEAD}| creep |")), "{renewed}");
        assert!(renewed.contains("| creep | 190 | 10 | 4 | 396 | 0.990 | 0.950 |\n\n## next"));
        assert!(renewed.ends_with("kept\n") && !renewed.contains("stale"), "{renewed}");
        assert!(super::renewed("# Page\n", &[]).is_none());
    }
}
