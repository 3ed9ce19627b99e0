//! The header, devices and text sections: who writes the file, and how it fares.

use std::collections::BTreeMap;

use wire::{
    device,
    header::{self, COUNTER_WORDS, COUNTERS},
    layout::{DEVICE_WORDS, DEVICES, HEADER_WORDS, TEXT_WORDS, WORD},
    text::{self, Field},
};

use super::{Damage, RingFile};
use crate::{
    ledger::{Gauges, Health, Identity, clean},
    process::proc_fs,
};

impl RingFile {
    /// Who the file says wrote it.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn identity(&self) -> Result<Identity, Damage> {
        let header = self.words(0, HEADER_WORDS)?;
        let text = self.words(self.at().text, TEXT_WORDS)?;
        Ok(Identity {
            instance: self.instance(),
            pid: header[header::PID] as u32,
            pid_namespace: header[header::PID_NAMESPACE],
            start_ticks: header[header::START_TICKS],
            started_monotonic: header[header::STARTED_MONOTONIC],
            started_realtime: header[header::STARTED_REALTIME],
            command: proc_fs::arguments(&field(&text, text::COMMAND)),
            executable: clean(&field(&text, text::EXECUTABLE)),
            environment: environment(&field(&text, text::ENVIRONMENT)),
            driver_version: header[header::DRIVER_VERSION] as u32,
        })
    }

    /// What the ledger is doing, and what it lost, as of now.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn health(&self) -> Result<Health, Damage> {
        let header = self.words(0, HEADER_WORDS)?;
        let text = self.words(self.at().text, TEXT_WORDS)?;
        Ok(Health {
            mode: header[header::MODE],
            python_state: header[header::PYTHON_STATE],
            python_version: header[header::PYTHON_VERSION],
            exited: header[header::EXITED],
            head: header[header::HEAD],
            counters: header[COUNTERS..COUNTERS + COUNTER_WORDS].to_vec(),
            detail: clean(&field(&text, text::DETAIL)),
        })
    }

    /// The devices the process ever touched, with their gauges as of now.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn gauges(&self) -> Result<Vec<Gauges>, Damage> {
        let words = self.words(self.at().devices, DEVICES * DEVICE_WORDS)?;
        let (devices, _) = words.as_chunks::<DEVICE_WORDS>();
        let used = (0u8..).zip(devices).filter(|(_, words)| words.iter().any(|word| *word != 0));
        Ok(used.map(|(ordinal, words)| gauges(ordinal, words)).collect())
    }
}

fn gauges(ordinal: u8, words: &[u64; DEVICE_WORDS]) -> Gauges {
    Gauges {
        device: ordinal,
        uuid: [words[device::UUID_0], words[device::UUID_1]],
        total: words[device::TOTAL],
        reserved: words[device::RESERVED],
        reserved_peak: words[device::RESERVED_PEAK],
        reserved_peak_time: words[device::RESERVED_PEAK_TIME],
        allocated: words[device::ALLOCATED],
        allocated_peak: words[device::ALLOCATED_PEAK],
        allocated_peak_time: words[device::ALLOCATED_PEAK_TIME],
        torch_reserved: words[device::TORCH_RESERVED],
        torch_reserved_peak: words[device::TORCH_RESERVED_PEAK],
        pool_allocated: words[device::POOL_ALLOCATED],
    }
}

/// The bytes of a field of the text section; a length that is too great is cut.
fn field(text: &[u64], field: Field) -> Vec<u8> {
    let length = usize::try_from(text[field.at]).unwrap_or(usize::MAX).min(field.capacity());
    let words = &text[field.at + 1..field.at + 1 + length.div_ceil(WORD)];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

fn environment(lines: &[u8]) -> BTreeMap<String, String> {
    let lines = lines.split(|byte| *byte == b'\n').map(clean);
    lines
        .filter_map(|line| line.split_once('=').map(|(name, value)| (name.into(), value.into())))
        .filter(|(name, _): &(String, String)| text::ENVIRONMENT_NAMES.contains(&name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fake::FakeRing;

    #[test]
    fn identity_is_what_the_process_wrote_and_only_known_variables() {
        let folder = tempfile::tempdir().unwrap();
        let identity = FakeRing::new([1, 2]).open(folder.path()).identity().unwrap();
        assert_eq!(identity.pid, 4711);
        assert_eq!(identity.command, ["python3", "job.py"]);
        assert_eq!(identity.executable, "/usr/bin/python3");
        assert_eq!(identity.environment, BTreeMap::from([("RANK".into(), "3".into())]));
        assert_eq!(identity.realtime(3_000), 1_700_000_000_000_002_000);
    }

    #[test]
    fn a_text_longer_than_its_field_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let ring = FakeRing::new([1, 2]);
        let at = wire::layout::SMALL.offsets().text;
        ring.set(at + text::EXECUTABLE.at, u64::MAX);
        let identity = ring.open(folder.path()).identity().unwrap();
        assert_eq!(identity.executable.chars().count(), text::EXECUTABLE.capacity());
    }

    #[test]
    fn gauges_are_those_of_devices_that_were_touched() {
        let folder = tempfile::tempdir().unwrap();
        let ring = FakeRing::new([1, 2]);
        let at = wire::layout::SMALL.offsets().devices + device::at(5);
        ring.set(at + device::RESERVED, 42);
        let gauges = ring.open(folder.path()).gauges().unwrap();
        assert_eq!(gauges, [Gauges { device: 5, reserved: 42, ..Gauges::default() }]);
    }
}
