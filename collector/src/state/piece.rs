//! What a free takes out of the state, kept until its real call returned: it may fail.

use std::collections::VecDeque;

use wire::record::Class;

use super::{
    pool::{Pool, PoolBlock},
    range::Span,
    unit::Unit,
    vmm::{Handle, HandleId, Mapping, Reservation},
};

/// Something taken out, with all it takes to put it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Memory of its own, at this address or by this handle.
    Unit(u64, Unit),
    /// A handle that nothing kept any more.
    Handle(HandleId, Handle),
    /// The program's last reference to the handle it called so.
    Reference(HandleId, u64),
    Mapping(Span<Mapping>),
    Reservation(Span<Reservation>),
    Pool(u64, Pool),
    PoolBlock(Span<PoolBlock>),
}

/// Frees whose real call may still be under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending(VecDeque<(Class, u64, Vec<Piece>)>);

impl Ending {
    /// More frees than threads can have under way at once; the oldest are done.
    const KEPT: usize = 1024;

    pub fn begin(&mut self, class: Class, address: u64, pieces: Vec<Piece>) {
        if pieces.is_empty() {
            return;
        }
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back((class, address, pieces));
    }

    /// What the last free of this took out, in the order it has to be put back.
    pub fn failed(&mut self, class: Class, address: u64) -> Vec<Piece> {
        let found = self.0.iter().rposition(|(c, a, _)| (*c, *a) == (class, address));
        found.and_then(|at| self.0.remove(at)).map(|(.., pieces)| pieces).unwrap_or_default()
    }
}
