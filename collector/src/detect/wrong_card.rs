//! Wrong card: a rank that holds memory on another rank's GPU.
//!
//! A rank's own GPU is the one where it holds most. Memory on a second one is a stray if that is the
//! own GPU of another process of the same *family* (`rank 0` and `rank 1`), which has its own there: a
//! checkpoint loaded without `map_location`, a `set_device` that came too late. A process that spreads
//! over several GPUs by itself is none, since nobody of its family calls those their own.

const MIB: u64 = 1 << 20;

/// Least bytes: below it are the scalars of collectives, which cost nobody anything.
pub const DEFAULT_STRAY: u64 = 64 * MIB;
/// A stray is little beside what the rank holds on its own GPU, one part in so many at most. More of
/// it may be meant so.
pub const DEFAULT_STRAY_SHARE: u64 = 4;

/// A process of a family of equal parts, and the most it held on each GPU, bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank<G> {
    /// What it is in the job, with its number.
    pub role: String,
    /// By GPU.
    pub held: Vec<(G, u64)>,
}

impl<G: Copy + PartialEq> Rank<G> {
    fn own(&self) -> Option<(G, u64)> {
        self.held.iter().copied().max_by_key(|(_, bytes)| *bytes).filter(|(_, bytes)| *bytes > 0)
    }

    /// Its role without numbers; `None` for one that has none.
    fn family(&self) -> Option<String> {
        let without: String = self.role.chars().filter(|c| !c.is_ascii_digit()).collect();
        (without != self.role).then_some(without)
    }
}

/// Memory where it does not belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray<G> {
    /// Whose, by its place in the list.
    pub rank: usize,
    /// Where.
    pub gpu: G,
    /// Whose GPU that is, by its place in the list.
    pub owner: usize,
    /// How much.
    pub bytes: u64,
    /// So much beside what it holds on its own GPU that it may be meant so.
    pub meant: bool,
}

/// The strays among the processes of a job.
#[must_use]
pub fn strays<G: Copy + PartialEq>(ranks: &[Rank<G>]) -> Vec<Stray<G>> {
    let mut strays = Vec::new();
    for (n, rank) in ranks.iter().enumerate() {
        let (Some((own, most)), Some(family)) = (rank.own(), rank.family()) else { continue };
        let others = rank.held.iter().filter(|(gpu, b)| *gpu != own && *b >= DEFAULT_STRAY);
        for (gpu, bytes) in others {
            let owner = ranks.iter().position(|other| {
                other.role != rank.role
                    && other.family().as_ref() == Some(&family)
                    && other.own().is_some_and(|(its, _)| its == *gpu)
            });
            let meant = *bytes > most / DEFAULT_STRAY_SHARE;
            let stray = |owner| Stray { rank: n, gpu: *gpu, owner, bytes: *bytes, meant };
            strays.extend(owner.map(stray));
        }
    }
    strays
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn rank(role: &str, held: &[(u8, u64)]) -> Rank<u8> {
        Rank { role: role.to_owned(), held: held.to_vec() }
    }

    #[test]
    fn a_rank_on_another_s_card_is_named_with_both_and_its_bytes() {
        let ranks = [
            rank("rank 0", &[(0, 60 * GIB)]),
            rank("rank 1", &[(0, 2 * GIB), (1, 60 * GIB)]),
            rank("rank 2", &[(2, 60 * GIB), (1, DEFAULT_STRAY - 1)]),
        ];
        let stray = Stray { rank: 1, gpu: 0, owner: 0, bytes: 2 * GIB, meant: false };
        assert_eq!(strays(&ranks), [stray]);
    }

    #[test]
    fn what_is_a_quarter_of_its_own_may_be_meant() {
        let both = |bytes| [rank("w 0", &[(0, GIB)]), rank("w 1", &[(1, 4 * GIB), (0, bytes)])];
        assert!(!strays(&both(GIB))[0].meant);
        assert!(strays(&both(GIB + 1))[0].meant);
    }

    #[test]
    fn spreading_over_cards_sharing_one_or_being_of_another_kind_is_no_stray() {
        let spread = [
            rank("rank 0", &[(0, 40 * GIB), (1, 30 * GIB)]),
            rank("rank 1", &[(2, 40 * GIB), (3, 30 * GIB)]),
        ];
        assert_eq!(strays(&spread), []);
        let beside = [
            rank("scheduler_TP0", &[(0, 60 * GIB)]),
            rank("tokenizer", &[(0, GIB), (1, 2 * GIB)]),
            rank("actor rank 1", &[(1, 60 * GIB), (0, GIB)]),
        ];
        assert_eq!(strays(&beside), []);
        let twice = [rank("rank 0", &[(0, GIB)]), rank("rank 0", &[(1, GIB), (0, GIB / 8)])];
        assert_eq!(strays(&twice), [], "a second job's rank of the same name");
    }
}
