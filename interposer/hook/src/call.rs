//! One call through a hook.
//!
//! A hook is five steps: [`Call::enter`] (guard), the real call, [`Guard::note`], [`Note::publish`],
//! return. Between guard and return nothing can fail, and nothing touches the result.

use core::ptr::NonNull;

use wire::{
    device::UNKNOWN,
    header::Counter,
    record::{Class, Step},
};

use crate::{
    abi::{SUCCESS, Status},
    driver::Driver,
    event::{Event, NO_ENTRY, Op, Recorder, Thread},
    guard::{Depth, Errno},
    hooks::Hooks,
    table::Api,
};

/// One call of a hooked function.
pub struct Call<'a> {
    hooks: &'a Hooks,
    thread: NonNull<Thread>,
    api: Api,
}

impl<'a> Call<'a> {
    /// A call of `api`.
    ///
    /// # Safety
    /// `thread` is the calling thread's block and outlives the call.
    #[must_use]
    pub const unsafe fn new(hooks: &'a Hooks, thread: NonNull<Thread>, api: Api) -> Self {
        Self { hooks, thread, api }
    }

    /// The hooks.
    #[must_use]
    pub const fn hooks(&self) -> &'a Hooks {
        self.hooks
    }

    /// First step of a hook: from here to the guard's end, other hooks of this thread only pass on.
    #[must_use]
    pub fn enter(&self) -> Guard<'_> {
        // SAFETY: `Call::new` was promised that this is the calling thread's block.
        let depth = unsafe { Depth::enter(self.thread) };
        Guard { call: self, depth }
    }

    /// An event of this call, to be completed.
    #[must_use]
    pub fn event(&self, op: Op) -> Event {
        Event {
            op,
            class: Class::None,
            api: self.api as u8,
            device: UNKNOWN,
            result: SUCCESS,
            address: 0,
            size: 0,
            aux: 0,
            extra: 0,
            classes: 0,
            entry: NO_ENTRY,
            private: self.hooks.captures() > 0,
            thread: self.thread.as_ptr(),
        }
    }
}

/// Classes as the bits of an event.
fn set(classes: &[Class]) -> u32 {
    classes.iter().fold(0, |set, class| set | 1 << *class as u32)
}

/// Hands an event to the recorder.
pub(crate) fn send(recorder: &Recorder, event: &mut Event) {
    // SAFETY: the event's thread block is the calling thread's, as `Call::new` was promised.
    unsafe { (recorder.record)(event) };
}

/// A hook under way.
pub struct Guard<'a> {
    call: &'a Call<'a>,
    depth: Depth<'a>,
}

impl<'a> Guard<'a> {
    /// The recorder, if this is the outermost hook and there is one.
    fn recorder(&self) -> Option<&'a Recorder> {
        if self.depth.is_outermost() { self.call.hooks.recorder() } else { None }
    }

    /// Before the real call: whether calls on `stream` are captured, so that they take and give
    /// nothing now. Asks the driver only while some capture is under way.
    #[must_use]
    pub fn captured(&self, stream: u64) -> bool {
        let hooks = self.call.hooks;
        if self.recorder().is_none() || hooks.captures() == 0 {
            return false;
        }
        let _errno = Errno::keep();
        hooks.driver.capturing(stream, self.call.api.per_thread()).unwrap_or(false)
    }

    /// Before the real call of a free: the pool that stream-ordered memory at `address` came from.
    #[must_use]
    pub fn pool_of(&self, address: u64) -> Option<u64> {
        self.recorder()?;
        let _errno = Errno::keep();
        let driver = &self.call.hooks.driver;
        driver.pool_of(address).or_else(|| driver.pool_of_device(driver.device()?))
    }

    /// Before the real call: whether `context` is current to this thread.
    #[must_use]
    pub fn is_current(&self, context: u64) -> bool {
        if self.recorder().is_none() {
            return false;
        }
        let _errno = Errno::keep();
        self.call.hooks.driver.context() == Some(context)
    }

    /// Before the real call: whether a device's primary context is active already.
    #[must_use]
    pub fn primary_active(&self, device: i32) -> Option<bool> {
        self.recorder()?;
        let _errno = Errno::keep();
        self.call.hooks.driver.primary_active(device)
    }

    /// Before the real call of a free: the thing at `address`, one of `classes`, is on its way out.
    #[must_use]
    pub fn giving_back(&self, address: u64, size: u64, classes: &[Class]) -> End {
        let recorder = self.recorder().filter(|_| address != 0);
        End(recorder.map(|recorder| {
            let classes = set(classes);
            let mut event = Event { address, size, classes, ..self.call.event(Op::GivingBack) };
            send(recorder, &mut event);
            event
        }))
    }

    /// After the real call of a free: it is gone, or it is still there.
    pub fn gave_back(&self, end: &mut End, status: Status) {
        // Should the recorder be opened only now, the thing was never recorded either.
        if let (Some(event), Some(note)) = (&mut end.0, self.note(status)) {
            event.op = Op::GaveBack;
            event.result = status;
            send(note.recorder, event);
        }
    }

    /// Before the real call: `context` is on its way out, and all that is in it.
    #[must_use]
    pub fn resetting(&self, context: u64) -> End {
        let recorder = self.recorder().filter(|_| context != 0);
        End(recorder.map(|recorder| {
            let mut event = Event { aux: context, ..self.call.event(Op::Resetting) };
            send(recorder, &mut event);
            event
        }))
    }

    /// After the real call: the context is gone, or it is still there.
    pub fn reset(&self, end: &mut End, status: Status) {
        if let (Some(event), Some(note)) = (&mut end.0, self.note(status)) {
            event.op = Op::Reset;
            event.result = status;
            send(note.recorder, event);
        }
    }

    /// After the real call: it ended the thing at `address`, one of `classes`, if there was one.
    pub fn ended(&self, status: Status, address: u64, classes: &[Class]) {
        if let Some(note) = self.note(status).filter(Note::succeeded) {
            let classes = set(classes);
            note.publish(Event { address, classes, ..note.event(Op::Ended) });
        }
    }

    /// After the real call: the driver may hold more or less for itself now.
    pub fn called(&self, status: Status, step: Step, address: u64, size: u64) {
        if let Some(note) = self.note(status).filter(Note::succeeded) {
            note.called(step, address, size);
        }
    }

    /// After the real call, which returned `status`: what to note with; `None` if nothing is
    /// recorded. The first success opens the recorder.
    #[must_use]
    pub fn note(&self, status: Status) -> Option<Note<'a>> {
        if status == SUCCESS && self.depth.is_outermost() && self.call.hooks.is_idle() {
            let _errno = Errno::keep();
            self.call.hooks.start(self.call);
        }
        self.note_if_started(status)
    }

    /// As [`Self::note`], but opens no recorder: for hooks that run under somebody's lock.
    #[must_use]
    pub fn note_if_started(&self, status: Status) -> Option<Note<'a>> {
        let hooks = self.call.hooks;
        if !self.depth.is_outermost() {
            return None;
        }
        let Some(recorder) = hooks.recorder() else {
            hooks.count_missed();
            return None;
        };
        let note = Note { call: self.call, recorder, status, _errno: Errno::keep() };
        for (counter, kept) in hooks.take_kept() {
            (0..kept).for_each(|_| note.lost(counter));
        }
        Some(note)
    }
}

/// A free, or the end of a context, between its two halves; empty if nothing is recorded.
pub struct End(Option<Event>);

impl End {
    /// What the recorder found at the address; `None` if it found nothing.
    #[must_use]
    pub fn found(&self) -> Option<&Event> {
        self.0.as_ref().filter(|event| event.entry != NO_ENTRY)
    }
}

/// The result of a real call on its way to the recorder. Keeps `errno`.
pub struct Note<'a> {
    call: &'a Call<'a>,
    recorder: &'a Recorder,
    status: Status,
    _errno: Errno,
}

impl<'a> Note<'a> {
    /// Whether the real call succeeded.
    #[must_use]
    pub const fn succeeded(&self) -> bool {
        self.status == SUCCESS
    }

    /// Questions to the driver.
    #[must_use]
    pub const fn driver(&self) -> &'a Driver {
        &self.call.hooks.driver
    }

    /// What the call wrote to `out`; 0 if it failed or was given nothing to write to.
    ///
    /// # Safety
    /// `out` is null or what the program passed to the real call as its out-parameter.
    #[must_use]
    pub unsafe fn read<W: Copy + Into<u64>>(&self, out: *const W) -> u64 {
        if !self.succeeded() || out.is_null() {
            return 0;
        }
        // SAFETY: the call succeeded, so it wrote there.
        unsafe { out.read_unaligned() }.into()
    }

    /// The current context's device; [`UNKNOWN`] without a context.
    #[must_use]
    pub fn current_device(&self) -> u8 {
        self.driver().device().unwrap_or(UNKNOWN)
    }

    /// The device on which memory lies that a stream gave or that was opened of another process: not always
    /// the current one.
    #[must_use]
    pub fn device_of(&self, address: u64) -> u8 {
        let told = if self.succeeded() { self.driver().address_device(address) } else { None };
        told.unwrap_or_else(|| self.current_device())
    }

    /// The device of a stream that the call named: not always the current one.
    #[must_use]
    pub fn device_of_stream(&self, stream: u64) -> u8 {
        let told = self.driver().stream_device(stream, self.call.api.per_thread());
        told.unwrap_or_else(|| self.current_device())
    }

    /// An event of this call, to be completed.
    #[must_use]
    pub fn event(&self, op: Op) -> Event {
        Event { result: self.status, ..self.call.event(op) }
    }

    /// Hands an event to the recorder, after its device if that was never seen before.
    pub fn publish(&self, mut event: Event) {
        if event.device != UNKNOWN {
            self.see(event.device);
        }
        send(self.recorder, &mut event);
    }

    /// Publishes that something was taken, or that taking it failed.
    pub fn took(&self, event: Event) {
        let device_matters = !matches!(event.class, Class::Host | Class::Reservation);
        if self.succeeded() && device_matters && event.device == UNKNOWN {
            self.lost(Counter::UnknownDevice);
        }
        self.publish(event);
    }

    /// A graph that runs on `device` allocates.
    pub fn note_graph_memory(&self, device: u8) {
        self.call.hooks.note_graph_memory(device);
    }

    /// The program made a context for itself.
    pub fn note_own_context(&self) {
        self.call.hooks.note_own_context();
    }

    /// The primary context of `device` ended.
    pub fn end_captures_of(&self, device: u8) {
        self.call.hooks.end_captures_of(device);
    }

    /// Publishes that the driver may hold more or less for itself now.
    pub fn called(&self, step: Step, address: u64, size: u64) {
        let (device, aux) = (self.current_device(), step as u64);
        self.publish(Event { address, size, aux, device, ..self.event(Op::Called) });
    }

    /// Counts one loss.
    pub fn lost(&self, counter: Counter) {
        send(self.recorder, &mut Event { size: counter as u64, ..self.call.event(Op::Lost) });
    }

    /// Tells the recorder what a device is, once.
    fn see(&self, device: u8) {
        if !self.call.hooks.is_new_device(device) {
            return;
        }
        let [address, aux] = self.driver().uuid(device).unwrap_or_default();
        let size = self.driver().total(device).unwrap_or_default();
        let event = Event { device, address, aux, size, ..self.call.event(Op::Device) };
        send(self.recorder, &mut { event });
    }
}
