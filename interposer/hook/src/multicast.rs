//! Multicast objects and logical endpoints: addresses behind which several devices' memory lies. They
//! have none of their own, but what is bound to them stays as long as it is bound.
//!
//! A binding is known by where it lies in its object: the object's handle plus the offset. An
//! endpoint has a number instead of a handle, and 2^40 bytes of room each, above any handle.

use wire::{device::UNKNOWN, record::Class};

use crate::{
    abi::{MulticastProp, Status, ordinal, read},
    call::{Call, Guard, Note},
    event::{Event, Op},
};

type Create = unsafe extern "C" fn(*mut u64, *const MulticastProp) -> Status;
type BindMem = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64) -> Status;
type BindMemOn = unsafe extern "C" fn(u64, i32, u64, u64, u64, u64, u64) -> Status;
type BindAddr = unsafe extern "C" fn(u64, u64, u64, u64, u64) -> Status;
type BindAddrOn = unsafe extern "C" fn(u64, i32, u64, u64, u64, u64) -> Status;
type Unbind = unsafe extern "C" fn(u64, i32, u64, u64) -> Status;
type EndpointBindMem = unsafe extern "C" fn(u32, i32, u64, u64, u64, u64, u64) -> Status;
type EndpointBindAddr = unsafe extern "C" fn(u32, i32, u64, u64, u64, u64) -> Status;
type EndpointUnbind = unsafe extern "C" fn(u32, i32, u64, u64) -> Status;
type EndpointDestroy = unsafe extern "C" fn(u32) -> Status;

/// Room of an endpoint among the names of bindings.
const ENDPOINT: u64 = 1 << 40;

/// What is bound: memory by its handle, or by an address it is mapped at.
#[derive(Clone, Copy)]
enum Bound {
    Handle(u64),
    Address(u64),
}

/// Where an endpoint's bindings are known to lie.
fn endpoint(id: u32) -> u64 {
    1 << 63 | u64::from(id).wrapping_mul(ENDPOINT)
}

/// A bind returned. `device` is the one it is bound on, if the call said so: otherwise it is the one
/// the memory lies on.
fn took(guard: &Guard<'_>, status: Status, at: u64, size: u64, bound: Bound, device: Option<i32>) {
    let Some(note) = guard.note(status) else { return };
    let told = device.and_then(ordinal);
    let (aux, extra, lies_on) = match bound {
        Bound::Handle(handle) => (handle, 0, note.driver().handle_device(handle)),
        Bound::Address(address) => (0, address, note.driver().address_device(address)),
    };
    let device = told.or(lies_on).unwrap_or_else(|| note.current_device());
    let address = if note.succeeded() { at } else { 0 };
    let class = Class::Binding;
    note.took(Event { class, address, size, aux, extra, device, ..note.event(Op::Took) });
}

/// `cuMulticastCreate`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create(
    call: &Call<'_>,
    real: Create,
    out: *mut u64,
    props: *const MulticastProp,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, props) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        // SAFETY: read only after success, when the driver has read it.
        let props = note.succeeded().then(|| unsafe { read(props) }).flatten();
        let size = props.map_or(0, |props| props.size);
        let (class, device) = (Class::Multicast, note.current_device());
        note.took(Event { class, address, size, device, ..note.event(Op::Took) });
    }
    status
}

/// `cuMulticastBindMem`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
#[allow(clippy::too_many_arguments, reason = "the real function's")]
pub unsafe fn bind_mem(
    call: &Call<'_>,
    real: BindMem,
    object: u64,
    offset: u64,
    memory: u64,
    memory_offset: u64,
    size: u64,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(object, offset, memory, memory_offset, size, flags) };
    took(&guard, status, object.wrapping_add(offset), size, Bound::Handle(memory), None);
    status
}

/// `cuMulticastBindMem_v2`: on a device that the call names.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
#[allow(clippy::too_many_arguments, reason = "the real function's")]
pub unsafe fn bind_mem_on(
    call: &Call<'_>,
    real: BindMemOn,
    object: u64,
    device: i32,
    offset: u64,
    memory: u64,
    memory_offset: u64,
    size: u64,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(object, device, offset, memory, memory_offset, size, flags) };
    let at = object.wrapping_add(offset);
    took(&guard, status, at, size, Bound::Handle(memory), Some(device));
    status
}

/// `cuMulticastBindAddr`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn bind_addr(
    call: &Call<'_>,
    real: BindAddr,
    object: u64,
    offset: u64,
    address: u64,
    size: u64,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(object, offset, address, size, flags) };
    took(&guard, status, object.wrapping_add(offset), size, Bound::Address(address), None);
    status
}

/// `cuMulticastBindAddr_v2`: on a device that the call names.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
#[allow(clippy::too_many_arguments, reason = "the real function's")]
pub unsafe fn bind_addr_on(
    call: &Call<'_>,
    real: BindAddrOn,
    object: u64,
    device: i32,
    offset: u64,
    address: u64,
    size: u64,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(object, device, offset, address, size, flags) };
    let at = object.wrapping_add(offset);
    took(&guard, status, at, size, Bound::Address(address), Some(device));
    status
}

/// `cuMulticastUnbind`: of all that is bound in a range, on one device.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn unbind(
    call: &Call<'_>,
    real: Unbind,
    object: u64,
    device: i32,
    offset: u64,
    size: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(object, device, offset, size) };
    unbound(&guard, status, object.wrapping_add(offset), size, device);
    status
}

/// An unbind returned. Nobody can bind anew in between what the recorder would take for this: the
/// object's name is the program's own.
fn unbound(guard: &Guard<'_>, status: Status, at: u64, size: u64, device: i32) {
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        let (address, classes) = (at, 1 << Class::Binding as u32);
        let device = ordinal(device).unwrap_or(UNKNOWN);
        note.publish(Event { address, size, classes, device, ..note.event(Op::Ended) });
    }
}

/// `cuLogicalEndpointBindMem`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
#[allow(clippy::too_many_arguments, reason = "the real function's")]
pub unsafe fn endpoint_bind_mem(
    call: &Call<'_>,
    real: EndpointBindMem,
    id: u32,
    device: i32,
    offset: u64,
    memory: u64,
    memory_offset: u64,
    size: u64,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(id, device, offset, memory, memory_offset, size, flags) };
    let at = endpoint(id).wrapping_add(offset);
    took(&guard, status, at, size, Bound::Handle(memory), Some(device));
    status
}

/// `cuLogicalEndpointBindAddr`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
#[allow(clippy::too_many_arguments, reason = "the real function's")]
pub unsafe fn endpoint_bind_addr(
    call: &Call<'_>,
    real: EndpointBindAddr,
    id: u32,
    device: i32,
    offset: u64,
    address: u64,
    size: u64,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(id, device, offset, address, size, flags) };
    let at = endpoint(id).wrapping_add(offset);
    took(&guard, status, at, size, Bound::Address(address), Some(device));
    status
}

/// `cuLogicalEndpointUnbind`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn endpoint_unbind(
    call: &Call<'_>,
    real: EndpointUnbind,
    id: u32,
    device: i32,
    offset: u64,
    size: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(id, device, offset, size) };
    unbound(&guard, status, endpoint(id).wrapping_add(offset), size, device);
    status
}

/// `cuLogicalEndpointDestroy`: what this process bound to it, on whatever device, is unbound.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn endpoint_destroy(call: &Call<'_>, real: EndpointDestroy, id: u32) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(id) };
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        let classes = 1 << Class::Binding as u32;
        let (address, size) = (endpoint(id), ENDPOINT);
        note.publish(Event { address, size, classes, ..note.event(Op::Ended) });
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::SUCCESS,
        table::Api,
        testing::{event, lies_on_four, on, ops, recording},
    };

    extern "C" fn bind_ok(_: u64, _: u64, _: u64, _: u64, _: u64, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn bind_on_ok(_: u64, _: i32, _: u64, _: u64, _: u64, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn endpoint_ok(_: u32, _: i32, _: u64, _: u64, _: u64, _: u64, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn unbind_ok(_: u64, _: i32, _: u64, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn unbind_fails(_: u64, _: i32, _: u64, _: u64) -> Status {
        1
    }

    #[test]
    fn a_binding_says_where_and_what_is_bound() {
        let hooks = recording();
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuMulticastBindMem, |call| unsafe {
            bind_mem(call, bind_ok, 0x1_0000, 0x2000, 0x77, 0, 0x4000, 0)
        });
        let bound = event();
        let got = (bound.class, bound.address, bound.size, bound.aux, bound.device);
        assert_eq!(got, (Class::Binding, 0x1_2000, 0x4000, 0x77, 2));
        // SAFETY: as above.
        on(&hooks, Api::cuMulticastBindAddr_v2, |call| unsafe {
            bind_addr_on(call, bind_on_ok, 0x1_0000, 5, 0, 0x90_0000, 0x4000, 0)
        });
        let bound = event();
        let got = (bound.address, bound.aux, bound.extra, bound.device);
        assert_eq!(got, (0x1_0000, 0, 0x90_0000, 5));
    }

    #[test]
    fn an_endpoints_bindings_lie_where_no_handle_is() {
        // SAFETY: the real one takes any numbers.
        on(&recording(), Api::cuLogicalEndpointBindMem, |call| unsafe {
            endpoint_bind_mem(call, endpoint_ok, 3, 0, 0x2000, 0x77, 0, 0x4000, 0)
        });
        assert_eq!(event().address, 0x8000_0300_0000_2000);
    }

    extern "C" fn destroy_ok(_: u32) -> Status {
        SUCCESS
    }

    #[test]
    fn an_endpoint_that_ends_takes_its_bindings_on_all_devices_along() {
        // SAFETY: the real one takes any number.
        on(&recording(), Api::cuLogicalEndpointDestroy, |call| unsafe {
            endpoint_destroy(call, destroy_ok, 3)
        });
        let ended = event();
        let got = (ended.op, ended.address, ended.size, ended.device);
        assert_eq!(got, (Op::Ended, 0x8000_0300_0000_0000, 1 << 40, UNKNOWN));
    }

    extern "C" fn bind_addr_ok(_: u64, _: u64, _: u64, _: u64, _: u64) -> Status {
        SUCCESS
    }

    #[test]
    fn memory_bound_by_its_address_is_bound_on_the_device_it_lies_on() {
        let hooks = recording();
        hooks.driver.set("cuPointerGetAttribute", lies_on_four as *const () as usize);
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuMulticastBindAddr, |call| unsafe {
            bind_addr(call, bind_addr_ok, 0x1_0000, 0, 0x90_0000, 0x4000, 0)
        });
        assert_eq!(event().device, 4, "and not on the current one");
    }

    #[test]
    fn an_unbinding_names_its_range_and_device_unless_it_fails() {
        let hooks = recording();
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuMulticastUnbind, |call| unsafe {
            unbind(call, unbind_ok, 0x1_0000, 1, 0x2000, 0x4000)
        });
        let ended = event();
        let got = (ended.op, ended.address, ended.size, ended.device);
        assert_eq!(got, (Op::Ended, 0x1_2000, 0x4000, 1));
        // SAFETY: as above.
        on(&hooks, Api::cuMulticastUnbind, |call| unsafe {
            unbind(call, unbind_fails, 0x1_0000, 1, 0x2000, 0x4000)
        });
        assert_eq!(ops(), []);
    }
}
