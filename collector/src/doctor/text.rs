//! The examination as a person reads it.

use std::fmt::Write;

use super::{Examination, Mark};
use crate::present::text::count;

/// A line for each check, what to do below it, and the outcome.
#[must_use]
pub fn render(examination: &Examination) -> String {
    let mut text = String::new();
    for check in &examination.checks {
        let mark = match check.mark {
            Mark::Ok => "ok",
            Mark::Warning => "warning",
            Mark::Fails => "FAILS",
        };
        let _ = writeln!(text, "{mark:8} {:12} {}", check.check, check.says);
        if let Some(advice) = &check.advice {
            let _ = writeln!(text, "{:21} → {advice}", "");
        }
    }
    let number = |mark| examination.checks.iter().filter(|check| check.mark == mark).count() as u64;
    let outcome = match (number(Mark::Fails), number(Mark::Warning)) {
        (0, 0) => "Tracing works here.".to_owned(),
        (0, warnings) => format!("Tracing works here, with {}.", count(warnings, "warning")),
        (fails, _) => format!("Tracing does not work here: {}.", count(fails, "reason")),
    };
    text + "\n" + &outcome + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Check;

    #[test]
    fn a_line_for_each_check_and_the_outcome() {
        let mut examination = Examination {
            schema_version: 1,
            works: true,
            checks: vec![Check::ok("library", "here"), Check::warning("room", "short", "get more")],
            names: None,
        };
        assert_eq!(
            render(&examination),
            "ok       library      here\n\
             warning  room         short\n                      → get more\n\n\
             Tracing works here, with 1 warning.\n"
        );
        examination.checks.push(Check::fails("driver", "none", "install it"));
        assert!(render(&examination).ends_with("\nTracing does not work here: 1 reason.\n"));
    }
}
