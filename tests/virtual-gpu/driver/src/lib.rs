//! Virtual GPU: driver.
