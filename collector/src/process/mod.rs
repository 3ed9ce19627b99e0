//! Who a process is: role, redacted command line, how it ended.
