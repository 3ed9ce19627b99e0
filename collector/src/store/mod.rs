//! The trace folder: `tail.bin`, live sets and side tables, written and read back.
//!
//! ```text
//! trace.json      what this folder is, for people and other programs
//! tail.bin        drained slots of all processes as they are (wire::folder)
//! live.bin        live sets: after each loss, and the last one
//! processes.bin   who they were, how they fared; the last row of a process counts
//! bystanders.bin  processes of the job that never used CUDA; the last row of each counts
//! nodes.bin  codes.bin  modules.bin      what stack ids mean
//! samples.bin     least and greatest totals of each second, sites' turnover of each 10 s
//! gpus.bin        what NVML said
//! notes.bin       what went wrong while tracing
//! marks.bin       what was marked from outside
//! ```
//!
//! Every file is made together with the folder. Every one but `trace.json` is only ever appended to, and each is valid up to its last whole row
//! whatever kills the writer: a table by the length and check before each row (`codec.rs`),
//! `tail.bin` by the check in each slot. A reader passes over a cut end in silence; anything else that
//! is not whole, or not there, is a [`Flaw`] that it tells.

mod codec;
#[cfg(test)]
mod flaw_tests;
mod job;
mod moments;
mod reader;
mod rows;
mod table;
mod tail_reader;
mod tail_writer;
#[cfg(test)]
mod tests;
mod trace;
mod writer;

pub use job::{job, job_at, job_with_growth};
pub use moments::{NoMoment, stops};
pub use reader::{Folder, NoTrace};
pub use rows::{
    BystanderRow, CodesRow, LiveRow, MarkRow, ModulesRow, NodesRow, NoteRow, ProcessRow, Range,
    SampleRow, SiteSample, TABLES, TotalsSample,
};
pub use table::{Flaw, FlawKind};
pub use tail_reader::{TailItem, TailReader};
pub use tail_writer::TailWriter;
pub use trace::{FORMAT, Trace};
pub use writer::Writer;
