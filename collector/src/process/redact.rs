//! Command lines without their secrets.
//!
//! A report is made to be sent to others. What looks like a secret is blotted out: the value after
//! a name like `--api-key` or `token=`, the password in a URL, tokens with a known beginning, and
//! long runs of base64 or hex. Paths, model names and numbers stay.

/// What stands in the place of a secret.
pub const BLOT: &str = "***";

/// Words that, as a word of a name, mean that its value is secret.
const SECRET: [&str; 14] = [
    "token",
    "secret",
    "secrets",
    "key",
    "apikey",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "auth",
    "authorization",
    "credential",
    "credentials",
    "cookie",
];

/// How tokens of well-known services begin.
const PREFIXES: [&str; 9] =
    ["hf_", "sk-", "ghp_", "gho_", "github_pat_", "glpat-", "xoxb-", "AKIA", "eyJ"];
/// Shortest such token, and the longest run of letters and digits that is left alone: a git hash
/// has 40.
const TOKEN: usize = 16;
const RUN: usize = 40;

/// The command line, blotted, quoted as a shell would need it.
#[must_use]
pub fn command_line(command: &[String]) -> String {
    let quoted: Vec<String> = arguments(command).iter().map(|argument| quote(argument)).collect();
    quoted.join(" ")
}

/// The arguments, blotted.
#[must_use]
pub fn arguments(command: &[String]) -> Vec<String> {
    let mut value_is_secret = false;
    let blotted = |argument: &String| {
        if value_is_secret && !argument.starts_with('-') {
            value_is_secret = false;
            return BLOT.to_owned();
        }
        value_is_secret = argument.starts_with('-')
            && !argument.contains(['=', ':', ' '])
            && is_secret_name(argument);
        redact(argument)
    };
    command.iter().map(blotted).collect()
}

/// One argument, or any other text, blotted.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut last_name_secret = false;
    while !rest.is_empty() {
        let word_end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        if word.is_empty() {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            let (mark, after) = rest.split_at(length);
            if let Some(host) = mark.strip_prefix(':').and_then(|_| userinfo_end(after)) {
                out.push_str("://");
                out.push_str(BLOT);
                rest = &after[host..];
                continue;
            }
            // A name and its value are parted by `=` or `:`, quotes and spaces.
            last_name_secret &= matches!(mark, "=" | ":" | "\"" | "'" | " ");
            out.push_str(mark);
            rest = after;
            continue;
        }
        let scheme = matches!(word, "Bearer" | "Basic" | "bearer" | "basic");
        if (last_name_secret && !scheme) || is_token(word) {
            out.push_str(BLOT);
            // What hangs on to a secret value is part of it.
            rest = after.trim_start_matches(|c: char| !" \"'&,;)}]".contains(c));
            last_name_secret = false;
            continue;
        }
        out.push_str(word);
        let assigns = after.trim_start_matches(['"', '\'']).starts_with(['=', ':']);
        last_name_secret = (assigns && is_secret_name(word) && !after.starts_with("://")) || scheme;
        rest = after;
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-+.".contains(c)
}

fn is_secret_name(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| SECRET.contains(&word.to_ascii_lowercase().as_str()))
}

fn is_token(word: &str) -> bool {
    let known = word.len() >= TOKEN && PREFIXES.iter().any(|prefix| word.starts_with(prefix));
    let runs = || word.split(|c: char| !(c.is_ascii_alphanumeric() || c == '+'));
    known || runs().any(|run| run.len() > RUN && run.bytes().any(|b| b.is_ascii_digit()))
}

/// Where the `@` of `//user:password@host` is, in a text that begins after the colon of a URL.
fn userinfo_end(text: &str) -> Option<usize> {
    let authority = text.strip_prefix("//")?;
    let end = authority.find(['/', '?', '#', ' ', '"', '\'']).unwrap_or(authority.len());
    authority[..end].rfind('@').map(|at| at + 2)
}

/// An argument as a shell would need it.
#[must_use]
pub fn quote(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=+.,:/@%*".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        command_line(&arguments)
    }

    #[test]
    fn secrets_are_blotted_out() {
        let hex = "0123456789abcdef".repeat(4);
        for (given, shown) in [
            (vec!["x", "--api-key", "hunter2", "--port", "80"], "x --api-key *** --port 80"),
            (vec!["x", "--api-key=hunter2"], "x --api-key=***"),
            (vec!["x", "HF_TOKEN=abc"], "x HF_TOKEN=***"),
            (vec!["x", "-H", "Authorization: Bearer abc.def"], "x -H 'Authorization: Bearer ***'"),
            (vec!["x", "{\"api_key\": \"abc\", \"n\": 1}"], "x '{\"api_key\": \"***\", \"n\": 1}'"),
            (vec!["x", "http://me:pass@host:80/p"], "x http://***@host:80/p"),
            (vec!["x", "u=s3://k:v@b", "b"], "x u=s3://***@b b"),
            (vec!["x", "hf_abcdefghijklmnopqrst"], "x ***"),
            (vec!["x", hex.as_str()], "x ***"),
            (vec!["x", "--url", "http://h/?token=abc&n=5"], "x --url 'http://h/?token=***&n=5'"),
            (vec!["x", "password=a/b+c=="], "x password=***"),
        ] {
            assert_eq!(line(&given), shown);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for kept in [
            "python -m sglang.launch_server --model-path Qwen/Qwen2.5-VL-72B-Instruct --tp 8",
            "x --tokenizer-path /m --max-total-tokens 4096 --skip-tokenizer-init",
            "x /hub/models--Qwen--Qwen2-VL-7B-Instruct/snapshots/0123456789abcdef0123456789abcdef01234567",
            "x --monkey 5 --host http://127.0.0.1:30000/v1",
            "x --auth --port 3",
        ] {
            let arguments: Vec<&str> = kept.split(' ').collect();
            assert_eq!(line(&arguments), kept);
        }
    }

    #[test]
    fn redacting_twice_changes_nothing() {
        let once = line(&["x", "--api-key", "hunter2", "http://me:pass@host", "a b"]);
        assert_eq!(redact(&once), once);
    }

    #[test]
    fn arguments_with_spaces_are_quoted() {
        assert_eq!(line(&["sh", "-c", "echo 'a'", ""]), r"sh -c 'echo '\''a'\''' ''");
    }
}
