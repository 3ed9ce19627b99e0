//! What a gate says as workflow commands, which GitHub shows beside the lines they name.

use super::outcome::{Failure, Outcome};

/// A command a line. Files below `root` are named as seen from there, which is how GitHub knows them.
#[must_use]
pub fn annotations(outcome: &Outcome, root: &str) -> String {
    let errors = outcome.failures.iter().map(|failure| about("error", failure, root));
    let suspects = outcome.suspects.iter().map(|suspect| about("warning", suspect, root));
    let undecided = outcome
        .undecided
        .iter()
        .map(|why| format!("::error title=memtrace could not judge::{}\n", text(why)));
    errors.chain(suspects).chain(undecided).collect()
}

fn about(command: &str, failure: &Failure, root: &str) -> String {
    let file = failure.file.as_deref().map(|file| {
        let inside =
            file.strip_prefix(root.trim_end_matches('/')).and_then(|file| file.strip_prefix('/'));
        format!("file={},", property(inside.unwrap_or(file)))
    });
    let line = failure.line.filter(|_| file.is_some()).map(|line| format!("line={line},"));
    let (file, line) = (file.unwrap_or_default(), line.unwrap_or_default());
    let title = property(&format!("memtrace {}", failure.rule));
    format!(
        "::{command} {file}{line}title={title}::{}\n",
        text(&format!("{} {}", failure.text, failure.advice))
    )
}

/// A message: a line break in it would end the command.
fn text(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(value: &str) -> String {
    text(value).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(file: &str) -> Failure {
        Failure {
            rule: "creep:>1MB".into(),
            text: "100 % more,\nevery day".into(),
            advice: "Stop.".into(),
            pids: vec![7],
            file: Some(file.into()),
            line: Some(40),
            finding: None,
        }
    }

    #[test]
    fn a_command_names_the_line_and_nothing_in_it_ends_it() {
        let told = about("error", &failure("/srv/a,b/serve.py"), "/srv/");
        let title = "title=memtrace creep%3A>1MB";
        let expected = format!(
            "::error file=a%2Cb/serve.py,line=40,{title}::100 %25 more,%0Aevery day Stop.\n"
        );
        assert_eq!(told, expected);
        let outside = about("error", &failure("/service/serve.py"), "/serv");
        assert!(outside.starts_with("::error file=/service/serve.py,line=40,"), "{outside}");
    }
}
