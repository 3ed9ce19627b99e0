//! What a gate fails on, as a user writes it: `leak,creep:>256MiB,peak:>70GiB,growth:>100MB/100req`.

use std::str::FromStr;

use crate::present::report::VERDICTS;

/// The name that stands for every verdict.
const ANY: &str = "any";

/// What a rule holds against its limit.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// A finding of this verdict, or of any, that is about more bytes than this.
    Finding {
        /// The verdict; `None` for any.
        verdict: Option<String>,
        /// Bytes; 0 where the finding alone counts.
        over: u64,
    },
    /// The most that was in use on a GPU, bytes.
    Peak {
        /// Bytes.
        over: u64,
    },
    /// What a process gained on a device after the warm-up.
    Growth {
        /// Bytes.
        over: u64,
        /// The limit is for so many requests; `None` where it is for the whole run.
        requests: Option<u64>,
    },
    /// What an allocator had reserved at most and never used, over what it had reserved at most.
    Frag {
        /// A share, 0 to 1.
        over: f64,
    },
    /// Bytes gained by a request, where waves of them lie on a line.
    Trend {
        /// Bytes.
        over: f64,
    },
}

/// A rule and how the user wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// As it was written.
    pub text: String,
    /// What it means.
    pub test: Test,
}

impl Test {
    /// Whether it counts requests, which only a scenario can.
    #[must_use]
    pub const fn counts_requests(&self) -> bool {
        matches!(self, Self::Growth { requests: Some(_), .. } | Self::Trend { .. })
    }
}

/// Rules, none of them twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// The rules in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// Adds those of `other` that are not there.
    pub fn join(&mut self, other: Self) {
        for rule in other.0 {
            if !self.0.contains(&rule) {
                self.0.push(rule);
            }
        }
    }
}

/// Why rules could not be read: a sentence that names what there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl FromStr for Rules {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut rules = Self(Vec::new());
        for part in text.split(',') {
            rules.join(Self(vec![part.trim().parse()?]));
        }
        Ok(rules)
    }
}

impl FromStr for Rule {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (name, limit) = match text.split_once(':') {
            Some((name, limit)) => (name, Some(limit)),
            None => (text, None),
        };
        let no = |why: &str| Unreadable(format!("{text:?} is no rule: {why}"));
        let test = match (name, limit) {
            ("peak", Some(limit)) => {
                Test::Peak { over: bytes(over(limit).map_err(&no)?).map_err(&no)? }
            }
            ("growth", Some(limit)) => growth(over(limit).map_err(&no)?).map_err(&no)?,
            ("frag", Some(limit)) => {
                Test::Frag { over: share(over(limit).map_err(&no)?).map_err(&no)? }
            }
            ("trend", Some(limit)) => trend(over(limit).map_err(&no)?).map_err(&no)?,
            ("peak" | "frag" | "trend", None) => return Err(no(EXAMPLES)),
            _ if name == ANY || VERDICTS.contains(&name) => Test::Finding {
                verdict: (name != ANY).then(|| name.to_owned()),
                over: limit.map_or(Ok(0), |limit| bytes(over(limit)?)).map_err(&no)?,
            },
            _ => {
                return Err(no(&format!(
                    "there are {}; {EXAMPLES}; and {ANY}",
                    VERDICTS.join(", ")
                )));
            }
        };
        Ok(Self { text: text.to_owned(), test })
    }
}

/// What takes a limit, and how that is written.
const EXAMPLES: &str = "with a limit peak:>70GiB, growth:>100MB, growth:>100MB/100req, frag:>0.3, \
                        trend:>0.01MB/req";

type Sentence = &'static str;

/// What stands behind the `>` of a limit.
fn over(limit: &str) -> Result<&str, Sentence> {
    limit.strip_prefix('>').ok_or("a limit begins with >")
}

fn growth(limit: &str) -> Result<Test, Sentence> {
    let Some((amount, requests)) = limit.split_once('/') else {
        return Ok(Test::Growth { over: bytes(limit)?, requests: None });
    };
    Ok(Test::Growth { over: bytes(amount)?, requests: Some(count(requests)?) })
}

fn trend(limit: &str) -> Result<Test, Sentence> {
    let (amount, requests) = limit.split_once('/').ok_or("a trend is by request: >0.01MB/req")?;
    Ok(Test::Trend { over: amount_of(amount)? / count(requests)? as f64 })
}

/// `100req`, or `req` for one.
fn count(requests: &str) -> Result<u64, Sentence> {
    let number =
        requests.strip_suffix("req").ok_or("behind / stands a number of requests: 100req")?;
    match number.parse() {
        Err(_) if number.is_empty() => Ok(1),
        Err(_) | Ok(0) => Err("behind / stands a number of requests: 100req"),
        Ok(number) => Ok(number),
    }
}

fn share(limit: &str) -> Result<f64, Sentence> {
    let share = limit.parse().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or("its limit is a share between 0 and 1: >0.3")
}

fn bytes(amount: &str) -> Result<u64, Sentence> {
    amount_of(amount).map(|bytes| bytes.round() as u64)
}

/// Units, the longer names first.
const UNITS: [(&str, f64); 7] = [
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
];

fn amount_of(amount: &str) -> Result<f64, Sentence> {
    const AMOUNT: Sentence = "an amount is a number and B, KB, MB, GB, KiB, MiB or GiB: 256MiB";
    let unit = UNITS.iter().find_map(|(unit, bytes)| Some((amount.strip_suffix(unit)?, bytes)));
    let (number, bytes) = unit.ok_or(AMOUNT)?;
    // Signs, exponents and names such as `inf` are numbers to Rust.
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.trim().parse().ok().filter(|_| plain).ok_or(AMOUNT)?;
    let amount = number * bytes;
    if amount < 1e18 { Ok(amount) } else { Err(AMOUNT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(text: &str) -> Vec<Test> {
        text.parse::<Rules>().unwrap().0.into_iter().map(|rule| rule.test).collect()
    }

    fn finding(verdict: &str, over: u64) -> Test {
        Test::Finding { verdict: Some(verdict.into()), over }
    }

    #[test]
    fn rules_are_read_as_they_are_meant() {
        assert_eq!(
            tests("out-of-memory, creep:>256MiB,peak:>70GiB,growth:>100MB/100req,frag:>0.3,any"),
            [
                finding("out-of-memory", 0),
                finding("creep", 256 << 20),
                Test::Peak { over: 70 << 30 },
                Test::Growth { over: 100_000_000, requests: Some(100) },
                Test::Frag { over: 0.3 },
                Test::Finding { verdict: None, over: 0 },
            ]
        );
        assert_eq!(tests("growth"), [finding("growth", 0)], "without a limit it is the verdict");
        assert_eq!(
            tests("growth:>1.5KiB,growth:>20B/req,trend:>0.01MB/req,trend:>1MB/100req"),
            [
                Test::Growth { over: 1536, requests: None },
                Test::Growth { over: 20, requests: Some(1) },
                Test::Trend { over: 10_000.0 },
                Test::Trend { over: 10_000.0 },
            ]
        );
    }

    #[test]
    fn a_rule_counts_once() {
        let mut rules: Rules = "creep,peak:>1GB,creep".parse().unwrap();
        rules.join("peak:>1GB,any".parse().unwrap());
        let texts: Vec<&str> = rules.iter().map(|rule| rule.text.as_str()).collect();
        assert_eq!(texts, ["creep", "peak:>1GB", "any"]);
    }

    #[test]
    fn what_is_no_rule_is_told_with_what_there_is() {
        for (text, part) in [
            ("", "there are out-of-memory, "),
            ("leek", "there are out-of-memory, "),
            ("creep,", "there are "),
            ("creep:256MiB", "begins with >"),
            ("creep:>256", "an amount is a number and"),
            ("creep:>-1MiB", "an amount is a number and"),
            ("creep:>infGB", "an amount is a number and"),
            ("creep:>99999999999GB", "an amount is a number and"),
            ("peak", "with a limit peak:>70GiB"),
            ("frag:>30", "between 0 and 1"),
            ("frag:>NaN", "between 0 and 1"),
            ("growth:>1MB/100", "a number of requests"),
            ("growth:>1MB/0req", "a number of requests"),
            ("trend:>1MB", "by request"),
        ] {
            let told = text.parse::<Rules>().unwrap_err().to_string();
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}
