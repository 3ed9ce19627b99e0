//! `cuGetProcAddress`: from name, version and flags to the address of an exported symbol.
//!
//! The real rules, as measured on drivers 535 to 555: names without suffix only; of the versions
//! not newer than the one asked for, the newest; flag 2 prefers the form for the per-thread
//! default stream; an unknown name is no error, but a null pointer and a reason.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use machine::Config;

use crate::error::{Code, Outcome};
use crate::export::{Address, Export, exports};
use crate::ffi::{Out, Text};

const TABLES: &[&[Export]] = &[
    EXPORTS,
    crate::array::EXPORTS,
    crate::capture::EXPORTS,
    crate::context::EXPORTS,
    crate::copy::EXPORTS,
    crate::device::EXPORTS,
    crate::error::EXPORTS,
    crate::event::EXPORTS,
    crate::external::EXPORTS,
    crate::fill::EXPORTS,
    crate::graph::EXPORTS,
    crate::graph_node::EXPORTS,
    crate::graph_query::EXPORTS,
    crate::host::EXPORTS,
    crate::init::EXPORTS,
    crate::ipc::EXPORTS,
    crate::launch::EXPORTS,
    crate::legacy::EXPORTS,
    crate::linear::EXPORTS,
    crate::module::EXPORTS,
    crate::multicast::EXPORTS,
    crate::physical::EXPORTS,
    crate::pointer::EXPORTS,
    crate::pool::EXPORTS,
    crate::pool_query::EXPORTS,
    crate::pool_share::EXPORTS,
    crate::sparse::EXPORTS,
    crate::stream::EXPORTS,
    crate::tensor_map::EXPORTS,
    crate::vmm::EXPORTS,
    crate::vmm_share::EXPORTS,
];

const PER_THREAD_DEFAULT_STREAM: u64 = 2;

/// Why there is no address, or that there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
enum Found {
    Yes = 0,
    UnknownName = 1,
    VersionTooLow = 2,
}

fn rows_by_name() -> &'static BTreeMap<&'static str, Vec<&'static Export>> {
    static ROWS: OnceLock<BTreeMap<&str, Vec<&Export>>> = OnceLock::new();
    ROWS.get_or_init(|| {
        // A driver does not know what came after it.
        let newest = Config::from_env().driver_version;
        let mut rows: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in TABLES.iter().copied().flatten().filter(|row| row.version <= newest) {
            rows.entry(row.name).or_default().push(row);
        }
        rows
    })
}

fn look_up(name: &str, version: u32, flags: u64) -> (Found, Address) {
    let missing = Address(std::ptr::null());
    let Some(rows) = rows_by_name().get(name) else {
        return (Found::UnknownName, missing);
    };
    let wants_twin = flags & PER_THREAD_DEFAULT_STREAM != 0;
    let newest = |twin: bool| {
        let known = rows.iter().filter(|row| row.version <= version && row.twin == twin);
        known.max_by_key(|row| row.version)
    };
    let twin = if wants_twin { newest(true) } else { None };
    match twin.or_else(|| newest(false)) {
        Some(row) => (Found::Yes, row.address),
        None => (Found::VersionTooLow, missing),
    }
}

fn get_proc_address(name: Text, out: Out<Address>, version: i32, flags: u64) -> Outcome {
    get_proc_address_v2(name, out, version, flags, None)
}

fn get_proc_address_v2(
    name: Text,
    out: Out<Address>,
    version: i32,
    flags: u64,
    found: Option<&mut i32>,
) -> Outcome {
    if flags > PER_THREAD_DEFAULT_STREAM {
        return Err(Code::INVALID_VALUE);
    }
    let version = u32::try_from(version).map_err(|_| Code::INVALID_VALUE)?;
    let (reason, address) = look_up(&name.get()?, version, flags);
    out.set(address)?;
    if let Some(found) = found {
        *found = reason as i32;
    }
    Ok(())
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuGetProcAddress(
        name: Text, out: Out<Address>, version: i32, flags: u64,
    ) => free get_proc_address {
        11030: cuGetProcAddress,
    }
    cuGetProcAddress(
        name: Text, out: Out<Address>, version: i32, flags: u64, found: Option<&mut i32>,
    ) => free get_proc_address_v2 {
        12000: cuGetProcAddress_v2,
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_not_above_the_wanted_one_is_given() {
        assert_ne!(look_up("cuMemAlloc", 2000, 0).1, look_up("cuMemAlloc", 13000, 0).1);
        assert_eq!(look_up("cuMemAlloc", 3020, 0).1, look_up("cuMemAlloc", 13000, 0).1);
        assert_ne!(look_up("cuCtxGetDevice", 12090, 0).1, look_up("cuCtxGetDevice", 13000, 0).1);
    }

    #[test]
    fn flag_two_gives_the_twin_where_there_is_one() {
        assert_ne!(look_up("cuMemAllocAsync", 12000, 2).1, look_up("cuMemAllocAsync", 12000, 0).1);
        assert_eq!(look_up("cuMemAllocAsync", 12000, 1).1, look_up("cuMemAllocAsync", 12000, 0).1);
        assert_eq!(look_up("cuMemAlloc", 12000, 2).1, look_up("cuMemAlloc", 12000, 0).1);
    }

    #[test]
    fn suffixed_empty_and_unknown_names_are_unknown_and_early_versions_too_low() {
        for name in ["cuMemAlloc_v2", "", "cuNoSuchThing"] {
            assert_eq!(look_up(name, 13000, 0).0, Found::UnknownName, "{name}");
        }
        assert_eq!(look_up("cuMemAllocAsync", 11010, 0).0, Found::VersionTooLow);
        assert_eq!(look_up("cuGetProcAddress", 11020, 0).0, Found::VersionTooLow);
    }

    #[test]
    fn get_proc_address_itself_changes_form_at_12() {
        assert_eq!(
            look_up("cuGetProcAddress", 11030, 0).1,
            look_up("cuGetProcAddress", 11080, 0).1
        );
        assert_ne!(
            look_up("cuGetProcAddress", 11080, 0).1,
            look_up("cuGetProcAddress", 12000, 0).1
        );
    }

    #[test]
    fn no_row_stands_twice() {
        for (name, rows) in rows_by_name() {
            for (index, row) in rows.iter().enumerate() {
                let same = |other: &&Export| (other.version, other.twin) == (row.version, row.twin);
                assert!(!rows[..index].iter().any(same), "{name} {}", row.version);
            }
        }
    }
}
