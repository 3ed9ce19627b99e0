//! What to call a process in a line: its role, or else its program.

use crate::symbol::modules::file_name;

/// Longest name.
const LIMIT: usize = 32;

/// The role; else the script or module a Python interpreter was given; else the program.
#[must_use]
pub fn name(role: Option<&str>, command: &str) -> String {
    let name = role.map(str::to_owned).or_else(|| program(command));
    super::page::cut(&name.unwrap_or_else(|| "process".to_owned()), LIMIT)
}

fn program(command: &str) -> Option<String> {
    let mut words = command.split_whitespace();
    let program = file_name(words.next()?);
    if !program.starts_with("python") {
        return Some(program.to_owned());
    }
    for word in words {
        match word {
            // What follows is code.
            "-c" => break,
            option if option.starts_with('-') => {}
            script => return Some(file_name(script).to_owned()),
        }
    }
    Some(program.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_called_by_its_role_or_by_what_it_runs() {
        let cases = [
            (Some("tokenizer"), "python serve.py", "tokenizer"),
            (None, "/usr/bin/python3.11 -u /home/me/serve.py --part 1", "serve.py"),
            (None, "python -m sglang.launch_server --port 1", "sglang.launch_server"),
            (None, "python -c 'import torch'", "python"),
            (None, "/opt/bin/server --x", "server"),
            (None, "", "process"),
        ];
        for (role, command, expected) in cases {
            assert_eq!(name(role, command), expected);
        }
    }
}
