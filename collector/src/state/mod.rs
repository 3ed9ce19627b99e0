//! What a process holds: the segment map, advanced only by `apply`.
