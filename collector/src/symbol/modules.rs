//! Which file an address of the traced process lies in.

use std::collections::BTreeMap;

use crate::ledger::Module;

/// The executable mappings of a process, by address.
#[derive(Clone, Debug, Default)]
pub struct Modules<'a> {
    by_start: BTreeMap<u64, &'a Module>,
}

impl<'a> Modules<'a> {
    /// The mappings in the order they were recorded; of two that overlap the later one counts,
    /// because the earlier one must have been unmapped.
    #[must_use]
    pub fn new(recorded: &'a [Module]) -> Self {
        let mut by_start: BTreeMap<u64, &'a Module> = BTreeMap::new();
        for module in recorded {
            let overlapped: Vec<u64> = by_start
                .range(..module.end)
                .rev()
                .take_while(|(_, before)| before.end > module.start)
                .map(|(start, _)| *start)
                .collect();
            for start in overlapped {
                by_start.remove(&start);
            }
            by_start.insert(module.start, module);
        }
        Self { by_start }
    }

    /// The mapping that holds `address`.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<&'a Module> {
        let (_, module) = self.by_start.range(..=address).next_back()?;
        (address < module.end).then_some(*module)
    }

    /// The mapping of the code that called from `return_address`. A call may be the last
    /// instruction of its mapping, so the byte before the return address decides.
    #[must_use]
    pub fn caller(&self, return_address: u64) -> Option<&'a Module> {
        self.find(return_address.checked_sub(1)?)
    }
}

/// The part of a path after the last slash.
#[must_use]
pub fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(start: u64, end: u64, path: &str) -> Module {
        Module { start, end, offset: 0, path: path.into(), inode: 1 }
    }

    #[test]
    fn of_two_overlapping_mappings_the_later_one_counts() {
        let recorded =
            [module(10, 20, "a"), module(20, 30, "b"), module(30, 40, "c"), module(15, 31, "d")];
        let modules = Modules::new(&recorded);
        let path = |at| modules.find(at).map(|m| m.path.as_str());
        assert_eq!(
            [path(9), path(12), path(15), path(30), path(31)],
            [None, None, Some("d"), Some("d"), None]
        );
    }

    #[test]
    fn a_return_address_just_past_a_mapping_belongs_to_it() {
        let recorded = [module(10, 20, "a"), module(20, 30, "b")];
        let modules = Modules::new(&recorded);
        assert_eq!(modules.caller(20).map(|m| m.path.as_str()), Some("a"));
        assert_eq!(modules.caller(0), None);
    }
}
