//! A 128-bit hash that is the same on every machine and in every version: FNV-1a (Fowler, Noll,
//! Vo). Nobody gains by making two sites collide, so speed of writing it down is what counts.

const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// The hash of the bytes so far.
#[derive(Debug)]
pub struct Hash128(u128);

impl Default for Hash128 {
    fn default() -> Self {
        Self(OFFSET_BASIS)
    }
}

impl Hash128 {
    /// Adds bytes and their end, so that "ab", "c" and "a", "bc" differ.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes.iter().chain(&[0xff]) {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
        self
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    /// The hash.
    #[must_use]
    pub fn finish(&self) -> u128 {
        self.0
    }
}
