//! Checkpoints: another process's memory is moved to the host, or back.

use wire::record::Step;

use crate::{abi::Status, call::Call};

type OfProcess = unsafe extern "C" fn(i32, usize) -> Status;

/// # Safety
/// `real` is the real function; the arguments are the program's.
unsafe fn step(call: &Call<'_>, real: OfProcess, pid: i32, args: usize, step: Step) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(pid, args) };
    guard.called(status, step, u64::try_from(pid).unwrap_or_default(), 0);
    status
}

/// `cuCheckpointProcessCheckpoint`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn take(call: &Call<'_>, real: OfProcess, pid: i32, args: usize) -> Status {
    // SAFETY: as promised here.
    unsafe { step(call, real, pid, args, Step::CheckpointTaken) }
}

/// `cuCheckpointProcessRestore`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn restore(call: &Call<'_>, real: OfProcess, pid: i32, args: usize) -> Status {
    // SAFETY: as promised here.
    unsafe { step(call, real, pid, args, Step::CheckpointRestored) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::SUCCESS,
        event::Op,
        table::Api,
        testing::{event, on, recording},
    };

    extern "C" fn process_ok(_: i32, _: usize) -> Status {
        SUCCESS
    }

    #[test]
    fn a_checkpoint_names_the_process_whose_memory_it_moves() {
        let hooks = recording();
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuCheckpointProcessCheckpoint, |call| unsafe {
            take(call, process_ok, 77, 0)
        });
        let step = event();
        let got = (step.op, step.address, step.aux);
        assert_eq!(got, (Op::Called, 77, Step::CheckpointTaken as u64));
        // SAFETY: as above.
        on(&hooks, Api::cuCheckpointProcessRestore, |call| unsafe {
            restore(call, process_ok, 77, 0)
        });
        assert_eq!(event().aux, Step::CheckpointRestored as u64);
    }
}
