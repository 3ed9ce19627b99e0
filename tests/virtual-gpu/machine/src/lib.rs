//! Virtual GPU: machine.
