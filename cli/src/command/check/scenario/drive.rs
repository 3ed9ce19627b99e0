//! The waves.

use std::{
    io::{IsTerminal, stderr},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use collector::{
    gate::{
        outcome,
        waves::{Wave, Waves},
    },
    process::Job,
    session::{Moment, Witness},
};

use super::{Scenario, request::Requests, server::Server};
use crate::output;

/// How often the processes are looked at while answers are awaited.
const LOOK: Duration = Duration::from_millis(10);
/// Nothing taken or given back for so long is a rest.
const REST: Duration = Duration::from_millis(200);
/// A rest that does not come in so long does not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of driving.
pub(crate) struct Driven {
    /// The processes with all that was seen of them.
    pub job: Job,
    /// The waves that were answered whole.
    pub waves: Waves,
    /// What was driven.
    pub scenario: outcome::Scenario,
    /// Why not everything can be judged.
    pub undecided: Vec<String>,
}

/// Sends waves of these sizes, until the last or until one is not answered.
pub(super) fn drive(
    scenario: Scenario,
    server: &Server,
    sizes: &[u64],
    mut witness: Witness,
    pids: &[u32],
) -> Driven {
    let begin = Moment::now();
    let mut requests = Requests::new(scenario, server.model.clone(), begin.realtime);
    let (mut waves, mut undecided, mut restless) = (Waves::default(), Vec::new(), 0_u64);
    rest(&mut witness);
    let before = witness.events();
    for (number, size) in sizes.iter().enumerate() {
        show(number, sizes.len());
        let bodies = match requests.wave(number, *size) {
            Ok(bodies) => bodies,
            Err(why) => {
                undecided.push(why);
                break;
            }
        };
        let began = Moment::now();
        let refused = wave(server, bodies, &mut witness);
        restless += u64::from(!rest(&mut witness));
        if let Some(first) = refused.first() {
            let wave = number + 1;
            let of = format!("{} of the {size} requests of wave {wave}", refused.len());
            undecided.push(format!("{of} came to nothing: {first}"));
            break;
        }
        waves.0.push(Wave {
            begin_monotonic_ns: began.monotonic,
            begin_ns: began.realtime,
            end_ns: Moment::now().realtime,
            requests: *size,
        });
    }
    output::end_progress();
    if witness.events() == before && undecided.is_empty() {
        let why = "no process under memtrace took or gave back memory while requests were answered: \
                   was the server started with it?";
        undecided.push(why.to_owned());
    }
    let (mut job, absent) = witness.end(pids);
    undecided.extend(absent);
    if restless > 0 {
        job.notes.push(format!(
            "after {restless} of {} waves some process did not rest for {} ms: what is of one wave and \
             what of the next is not sharp",
            sizes.len(),
            REST.as_millis(),
        ));
    }
    job.waves = waves.0.iter().map(|wave| wave.begin_monotonic_ns).collect();
    let scenario = outcome::Scenario {
        name: scenario.name().to_owned(),
        requests: waves.0.iter().map(|wave| wave.requests).sum(),
        waves: waves.0.len() as u64,
        warm_up_waves: (waves.0.len() - waves.measured().len()) as u64,
        time_ns: Moment::now().monotonic.saturating_sub(begin.monotonic),
    };
    Driven { job, waves, scenario, undecided }
}

/// Sends requests at once and waits for all answers. Why some did not come.
fn wave(server: &Server, bodies: Vec<String>, witness: &mut Witness) -> Vec<String> {
    let mut refused = Vec::new();
    let (sender, answers) = mpsc::channel();
    thread::scope(|scope| {
        for body in bodies {
            let sender = sender.clone();
            scope.spawn(move || {
                // Who waits for it is there until the last has come.
                let _ = sender.send(server.chat(body));
            });
        }
        drop(sender);
        loop {
            witness.look();
            match answers.recv_timeout(LOOK) {
                Ok(answer) => refused.extend(answer.err()),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    refused
}

/// Waits until nothing was taken or given back for a while; false if that does not come.
fn rest(witness: &mut Witness) -> bool {
    let began = Instant::now();
    loop {
        witness.look();
        // A rest that began before the last answer was in is none after it.
        if witness.rested().min(began.elapsed()) >= REST {
            return true;
        }
        if began.elapsed() >= PATIENCE {
            return false;
        }
        thread::sleep(LOOK);
    }
}

fn show(number: usize, of: usize) {
    if stderr().is_terminal() {
        output::progress(&format!("memtrace: wave {} of {of}", number + 1));
    }
}
