//! Reading what traced processes write: ring files, found and drained with `pread`.
