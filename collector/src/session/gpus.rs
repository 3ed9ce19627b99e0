//! Asking NVML once a second, on a thread of its own: it takes its time to start, and a driver in
//! trouble may never answer.

use std::thread;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{pace::LOOK, sink::Item};
use crate::nvml::Gpus;

/// The thread. It ends soon after this value; nobody waits for it.
#[derive(Debug)]
pub struct Watcher {
    _stop: Sender<()>,
}

impl Watcher {
    /// Starts asking; what NVML says goes to `items`, and that it is not there, too.
    #[must_use]
    pub fn start(items: Sender<Item>) -> Self {
        let (stop, stopped) = bounded(0);
        // Without the thread there are no readings.
        let _ = thread::Builder::new().name("nvml".into()).spawn(move || watch(&items, &stopped));
        Self { _stop: stop }
    }
}

fn watch(items: &Sender<Item>, stopped: &Receiver<()>) {
    let gpus = match Gpus::open() {
        Ok(gpus) => gpus,
        Err(sentence) => {
            let _ = items.send(Item::Note(sentence));
            return;
        }
    };
    loop {
        if items.send(Item::Reading(gpus.reading())).is_err() {
            return;
        }
        if stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
