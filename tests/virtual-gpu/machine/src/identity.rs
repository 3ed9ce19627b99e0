//! What a card calls itself: the same in every process of a machine and in every run.

/// Name, UUID and place on the bus of one card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Marketing name.
    pub name: String,
    /// UUID, derived from the machine's name and the card's index.
    pub uuid: [u8; 16],
    /// PCI bus number; domain and function are 0.
    pub pci_bus: u32,
}

impl Identity {
    /// The card `device` of the machine called `machine`.
    pub fn new(machine: &str, device: usize) -> Self {
        let text = format!("{machine}/{device}");
        let mut uuid = [0; 16];
        let (low, high) = uuid.split_at_mut(8);
        low.copy_from_slice(&fnv1a(0xcbf2_9ce4_8422_2325, text.as_bytes()).to_be_bytes());
        high.copy_from_slice(&fnv1a(0x9e37_79b9_7f4a_7c15, text.as_bytes()).to_be_bytes());
        uuid[6] = uuid[6] & 0x0f | 0x40;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Self { name: "Virtual GPU".to_owned(), uuid, pci_bus: 0x1a + 0x10 * device as u32 }
    }

    /// `GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, as the management library writes it.
    pub fn uuid_text(&self) -> String {
        let mut text = String::from("GPU");
        for (index, byte) in self.uuid.iter().enumerate() {
            if matches!(index, 0 | 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// `dddddddd:bb:00.0`, as the management library writes it.
    pub fn pci_text(&self) -> String {
        format!("00000000:{:02X}:00.0", self.pci_bus)
    }
}

fn fnv1a(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_is_stable_and_differs_between_cards_and_machines() {
        assert_eq!(Identity::new("a", 0), Identity::new("a", 0));
        assert_ne!(Identity::new("a", 0).uuid, Identity::new("a", 1).uuid);
        assert_ne!(Identity::new("a", 0).uuid, Identity::new("b", 0).uuid);
    }

    #[test]
    fn uuid_text_has_the_usual_form() {
        let text = Identity::new("a", 0).uuid_text();
        assert_eq!(text.len(), 40);
        let dashes: Vec<_> = text.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!(dashes, [3, 12, 17, 22, 27]);
    }
}
