//! Every hooked function in trouble: made to fail with each kind of error, given nothing to write to,
//! called before there is a driver. The program must get what it would have got without us, and the
//! recorder may hear of a failure, never of a thing. The table says which functions there are, so a new
//! row is tested as soon as it stands there.

use std::cell::{Cell, RefCell};

use crate::{
    abi::{IpcHandle, SUCCESS, Status},
    call::Call,
    event::{Event, Op},
    hooks::Hooks,
    table::Api,
    testing::{events, idle, on, recording},
};

/// Errors of `CUresult` that mean different things to programs: a wrong argument, no memory, no
/// `cuInit`, a driver that is gone, no context, an unknown name, a launch that failed, anything.
const ERRORS: [Status; 8] = [1, 2, 3, 4, 201, 500, 719, 999];
/// What the real functions leave in `errno`.
const ERRNO: i32 = 77;

thread_local! {
    static RESULT: Cell<Status> = const { Cell::new(SUCCESS) };
    static SEEN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// An argument of a hooked function.
trait Argument: Copy {
    /// Some argument; a pointer leads to zeroes, or with `null` nowhere.
    fn some(null: bool) -> Self;
    /// What of it must reach the real function.
    fn print(self) -> u64;
}

macro_rules! numbers {
    ($($number:ident)*) => { $(
        impl Argument for $number {
            fn some(_: bool) -> Self {
                3
            }
            fn print(self) -> u64 {
                self as u64
            }
        }
    )* };
}

numbers!(u32 u64 i32 usize);

/// Room that any out-parameter fits into, and that reads as zeroes.
fn room() -> usize {
    Vec::leak(vec![0_u64; 256]).as_mut_ptr().expose_provenance()
}

impl<T> Argument for *mut T {
    fn some(null: bool) -> Self {
        if null { std::ptr::null_mut() } else { std::ptr::with_exposed_provenance_mut(room()) }
    }
    fn print(self) -> u64 {
        self.addr() as u64
    }
}

impl<T> Argument for *const T {
    fn some(null: bool) -> Self {
        <*mut T>::some(null)
    }
    fn print(self) -> u64 {
        self.addr() as u64
    }
}

impl Argument for IpcHandle {
    fn some(_: bool) -> Self {
        Self::new([9; 64])
    }
    fn print(self) -> u64 {
        u64::from(self == Self::some(false))
    }
}

/// Sets `errno`, as a driver that works does.
fn set_errno(value: i32) {
    // SAFETY: always succeeds.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: this thread's `errno`.
    unsafe { *errno = value };
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or_default()
}

/// What came of one call.
struct Outcome {
    status: Status,
    errno: i32,
    /// The arguments arrived as they were given.
    untouched: bool,
    events: Vec<Event>,
}

macro_rules! calls {
    (
        driver { $(
            $symbol:ident $since:literal => $module:ident::$behaviour:ident($($arg:ident: $type:ty),*);
        )* }
        torch { $($rest:tt)* }
    ) => {
        /// The real functions: each notes what it is given and answers what it is told to.
        #[allow(non_snake_case, reason = "named as the functions are")]
        mod real {
            use super::*;
            $(
                pub extern "C" fn $symbol($($arg: $type),*) -> Status {
                    SEEN.set(vec![$($arg.print()),*]);
                    set_errno(ERRNO);
                    RESULT.get()
                }
            )*
        }

        /// One call of a function through its hook.
        fn call(hooks: &Hooks, api: Api, null: bool, inside: bool) -> Outcome {
            match api {
                $(
                    Api::$symbol => {
                        $(let $arg = <$type>::some(null);)*
                        through(hooks, api, inside, vec![$($arg.print()),*], |call| {
                            // SAFETY: the real one reads and writes nothing; what is read after its
                            // success are zeroes.
                            unsafe { crate::$module::$behaviour(call, real::$symbol, $($arg),*) }
                        })
                    }
                )*
                _ => unreachable!("PyTorch's functions return nothing"),
            }
        }

        /// Every function of the driver.
        const ALL: &[Api] = &[$(Api::$symbol),*];
    };
}

crate::hooks!(calls);

fn through(
    hooks: &Hooks,
    api: Api,
    inside: bool,
    given: Vec<u64>,
    behaviour: impl FnOnce(&Call<'_>) -> Status,
) -> Outcome {
    let status = on(hooks, api, |call| {
        let _outer = inside.then(|| call.enter());
        behaviour(call)
    });
    Outcome { status, errno: errno(), untouched: SEEN.take() == given, events: events() }
}

/// Calls every function, with pointers and without, and hands what came of it on.
fn each(hooks: &Hooks, result: Status, inside: bool, see: impl Fn(Api, Outcome)) {
    RESULT.set(result);
    for api in ALL {
        for null in [true, false] {
            let outcome = call(hooks, *api, null, inside);
            assert_eq!(outcome.status, result, "{api:?}: the program's own result");
            assert_eq!(outcome.errno, ERRNO, "{api:?}: and its errno");
            assert!(outcome.untouched, "{api:?}: the real one got other arguments");
            see(*api, outcome);
        }
    }
}

/// Whether a function says, when it succeeds, that something was taken.
fn takes(api: Api) -> bool {
    RESULT.set(SUCCESS);
    let outcome = call(&recording(), api, false, false);
    outcome.events.iter().any(|event| event.op == Op::Took)
}

#[test]
fn a_call_that_fails_fails_for_the_program_and_takes_and_gives_nothing() {
    let hooks = recording();
    for error in ERRORS {
        each(&hooks, error, false, |api, outcome| {
            for event in &outcome.events {
                match event.op {
                    Op::GivingBack | Op::Resetting => {}
                    Op::Took => assert_eq!((event.result, event.address), (error, 0), "{api:?}"),
                    Op::GaveBack | Op::Reset => assert_eq!(event.result, error, "{api:?}"),
                    other => panic!("{api:?} failed with {error} and says {other:?}"),
                }
            }
            let count = |op| outcome.events.iter().filter(|event| event.op == op).count();
            assert_eq!(count(Op::GivingBack), count(Op::GaveBack), "{api:?}");
            assert_eq!(count(Op::Resetting), count(Op::Reset), "{api:?}");
        });
    }
}

#[test]
fn the_failure_of_what_would_have_taken_something_is_recorded() {
    let taking: Vec<Api> = ALL.iter().copied().filter(|api| takes(*api)).collect();
    assert!(taking.len() > 30, "{taking:?}");
    let hooks = recording();
    for error in ERRORS {
        RESULT.set(error);
        for api in &taking {
            let events = call(&hooks, *api, false, false).events;
            assert!(events.iter().any(|event| event.op == Op::Took), "{api:?} with {error}");
        }
    }
}

#[test]
fn a_call_that_succeeds_with_nothing_to_write_to_or_read_from_is_passed_on() {
    each(&recording(), SUCCESS, false, |_, _| ());
}

#[test]
fn calls_before_anything_succeeded_are_passed_on_and_open_no_recorder() {
    let hooks = idle();
    for error in ERRORS {
        each(&hooks, error, false, |api, outcome| {
            assert_eq!(outcome.events.len(), 0, "{api:?}");
        });
    }
    assert!(hooks.recorder().is_none());
}

#[test]
fn calls_inside_another_are_passed_on_and_record_nothing() {
    for result in [SUCCESS, 1] {
        each(&recording(), result, true, |api, outcome| {
            assert_eq!(outcome.events.len(), 0, "{api:?}");
        });
    }
}
