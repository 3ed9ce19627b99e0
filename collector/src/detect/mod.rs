//! Detectors: small pure types over the history of the totals.
