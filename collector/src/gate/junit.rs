//! What a gate says as JUnit's XML: a test case for each rule.

use super::outcome::{Failure, Outcome, Ruling, Verdict};

/// The file.
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    let failed = number(outcome, Verdict::Fail);
    // What cannot be judged whatever the rules is an error of a case of its own.
    let judged = usize::from(!outcome.undecided.is_empty());
    let errors = number(outcome, Verdict::Undecided) + judged;
    let tests = outcome.rules.len() + judged;
    let counts = format!("tests=\"{tests}\" failures=\"{failed}\" errors=\"{errors}\"");
    let cases: String = outcome.rules.iter().map(|rule| case(outcome, rule)).collect();
    let judging = if judged == 0 {
        String::new()
    } else {
        let why = outcome.undecided.join("\n");
        element("judging", &error(&why))
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n\
         <testsuite name=\"memtrace check\" {counts}>\n{cases}{judging}</testsuite>\n</testsuites>\n"
    )
}

fn number(outcome: &Outcome, verdict: Verdict) -> usize {
    outcome.rules.iter().filter(|rule| rule.verdict == verdict).count()
}

fn case(outcome: &Outcome, rule: &Ruling) -> String {
    let inside = match rule.verdict {
        Verdict::Pass => format!("<system-out>{}</system-out>\n", escaped(&rule.text)),
        Verdict::Undecided => error(&rule.text),
        Verdict::Fail => {
            let of = outcome.failures.iter().filter(|failure| failure.rule == rule.rule);
            of.map(failure).collect()
        }
    };
    element(&rule.rule, &inside)
}

fn element(name: &str, inside: &str) -> String {
    format!("<testcase classname=\"memtrace\" name=\"{}\">\n{inside}</testcase>\n", escaped(name))
}

fn error(why: &str) -> String {
    format!("<error message=\"could not be judged\">{}</error>\n", escaped(why))
}

fn failure(failure: &Failure) -> String {
    let line = failure.line.map(|line| format!(":{line}")).unwrap_or_default();
    let at = failure.file.as_ref().map(|file| format!("at {file}{line}\n")).unwrap_or_default();
    let (text, advice) = (escaped(&failure.text), escaped(&failure.advice));
    format!("<failure message=\"{text}\">{}{text}\nWhat to do: {advice}</failure>\n", escaped(&at))
}

/// Text fit for XML, which has no place for most control characters, escaped or not.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escaped("a<b> & \"c\"\u{1b}\n"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}\n");
    }
}
