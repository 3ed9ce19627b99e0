//! Limits that test suites of inference servers use, by name.

use super::rules::Rules;

/// A named set of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The name.
    pub name: &'static str,
    /// The rules as one writes them.
    pub rules: &'static str,
}

const fn preset(name: &'static str, rules: &'static str) -> Preset {
    Preset { name, rules }
}

/// All of them. A server that serves with one GPU or two may take more than text alone needs, because
/// images come in many sizes and its caches fill; a long load takes a little more again.
pub const PRESETS: [Preset; 7] = [
    preset("text", "leak,out-of-memory,growth:>100MB/100req"),
    preset("images", "leak,out-of-memory,growth:>500MB"),
    preset("tp2", "leak,out-of-memory,growth:>500MB"),
    preset("tp4", "leak,out-of-memory,growth:>800MB"),
    preset("audio", "leak,out-of-memory,growth:>400MB"),
    preset("sustained", "leak,out-of-memory,growth:>600MB"),
    preset("trend", "trend:>0.01MB/req"),
];

impl Preset {
    /// The preset of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// Its rules.
    #[must_use]
    pub fn parsed(self) -> Option<Rules> {
        self.rules.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_rules() {
        for preset in PRESETS {
            assert!(preset.parsed().is_some(), "{}", preset.rules);
            assert_eq!(Preset::named(preset.name), Some(preset));
        }
        assert_eq!(Preset::named("TEXT"), None);
    }
}
