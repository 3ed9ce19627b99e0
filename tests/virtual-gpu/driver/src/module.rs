//! Modules, libraries, functions, kernels. Images are not looked at: every name exists.
//!
//! A library is its module, and a kernel its function, under the same handle.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{Out, Text};
use crate::memory::Kind;
use crate::store;

/// Size of every variable of a module.
const VARIABLE: u64 = 64 << 10;

struct Module {
    /// The card that its code lies on.
    device: Option<usize>,
    functions: BTreeMap<String, u64>,
    variables: BTreeMap<String, u64>,
}

struct Function {
    module: u64,
    name: CString,
    attributes: BTreeMap<i32, i32>,
}

/// All loaded modules and the functions that somebody asked for.
#[derive(Default)]
pub struct Modules {
    loaded: BTreeMap<u64, Module>,
    functions: BTreeMap<u64, Function>,
}

fn module(driver: &mut Driver, handle: u64) -> Outcome<&mut Module> {
    driver.modules.loaded.get_mut(&handle).ok_or(Code::INVALID_HANDLE)
}

fn function(driver: &mut Driver, handle: u64) -> Outcome<&mut Function> {
    driver.modules.functions.get_mut(&handle).ok_or(Code::INVALID_HANDLE)
}

/// Its code lies on `device`, which is charged for it as long as it is loaded.
fn new_module(driver: &mut Driver, out: Out<u64>, image: u64, device: Option<usize>) -> Outcome {
    if image == 0 {
        return Err(Code::INVALID_VALUE);
    }
    if let Some(device) = device {
        let bytes = driver.config.module_bytes;
        let card = driver.devices[device].index;
        driver.machine.charge(card, bytes).map_err(|_| Code::OUT_OF_MEMORY)?;
    }
    let handle = driver.new_handle();
    let made = Module { device, functions: BTreeMap::new(), variables: BTreeMap::new() };
    driver.modules.loaded.insert(handle, made);
    out.set(handle)
}

/// A module belongs to a context.
fn load(driver: &mut Driver, out: Out<u64>, image: u64) -> Outcome {
    let device = driver.current_device()?;
    new_module(driver, out, image, Some(device))
}

fn load_ex(driver: &mut Driver, out: Out<u64>, image: u64, _: u32, _: u64, _: u64) -> Outcome {
    load(driver, out, image)
}

/// A library does not: a thread without a context may load one, and its code is then on no card.
fn load_library(
    driver: &mut Driver,
    out: Out<u64>,
    code: u64,
    _options: u64,
    _values: u64,
    _count: u32,
    _library_options: u64,
    _library_values: u64,
    _library_count: u32,
) -> Outcome {
    let device = driver.current_device().ok();
    new_module(driver, out, code, device)
}

fn unload(driver: &mut Driver, handle: u64) -> Outcome {
    let module = driver.modules.loaded.remove(&handle).ok_or(Code::INVALID_HANDLE)?;
    if let Some(device) = module.device {
        driver.machine.give_back(driver.devices[device].index, driver.config.module_bytes);
    }
    for function in module.functions.values() {
        driver.modules.functions.remove(function);
    }
    for &address in module.variables.values() {
        // It may be gone with its context already.
        let _ = driver.free_at(address);
    }
    Ok(())
}

fn get_function(driver: &mut Driver, out: Out<u64>, owner: u64, name: Text) -> Outcome {
    let name = name.get()?;
    if let Some(&known) = module(driver, owner)?.functions.get(&name) {
        return out.set(known);
    }
    let handle = driver.new_handle();
    let text = CString::new(name.clone()).map_err(|_| Code::NOT_FOUND)?;
    let made = Function { module: owner, name: text, attributes: BTreeMap::new() };
    driver.modules.functions.insert(handle, made);
    module(driver, owner)?.functions.insert(name, handle);
    out.set(handle)
}

fn get_global(
    driver: &mut Driver,
    out: Out<u64>,
    size: Out<usize>,
    owner: u64,
    name: Text,
) -> Outcome {
    let name = name.get()?;
    let known = module(driver, owner)?.variables.get(&name).copied();
    let address = match known {
        Some(address) => address,
        None => {
            let device = driver.current_device()?;
            let address = store::anonymous(VARIABLE).map_err(|_| Code::OUT_OF_MEMORY)?;
            driver.book(address, VARIABLE, VARIABLE, Kind::Variable, device);
            module(driver, owner)?.variables.insert(name, address);
            address
        }
    };
    out.set_if_given(address);
    size.set_if_given(VARIABLE as usize);
    Ok(())
}

fn library_global(
    driver: &mut Driver,
    out: Out<u64>,
    size: Out<usize>,
    owner: u64,
    name: Text,
) -> Outcome {
    get_global(driver, out, size, owner, name)
}

fn same_handle(driver: &mut Driver, out: Out<u64>, handle: u64) -> Outcome {
    let known = driver.modules.loaded.contains_key(&handle)
        || driver.modules.functions.contains_key(&handle);
    if known { out.set(handle) } else { Err(Code::INVALID_HANDLE) }
}

fn function_module(driver: &mut Driver, out: Out<u64>, handle: u64) -> Outcome {
    out.set(function(driver, handle)?.module)
}

fn function_count(driver: &mut Driver, out: Out<u32>, handle: u64) -> Outcome {
    out.set(module(driver, handle)?.functions.len() as u32)
}

fn function_name(driver: &mut Driver, out: Out<*const c_char>, handle: u64) -> Outcome {
    out.set(function(driver, handle)?.name.as_ptr())
}

/// The most a kernel may have, for what nobody set.
fn default_attribute(kind: i32) -> Outcome<i32> {
    match kind {
        0 => Ok(1024),
        4 => Ok(32),
        5 | 6 => Ok(90),
        8 => Ok(49152),
        9 => Ok(-1),
        1..=17 => Ok(0),
        _ => Err(Code::INVALID_VALUE),
    }
}

fn get_attribute(driver: &mut Driver, out: Out<i32>, kind: i32, handle: u64) -> Outcome {
    let default = default_attribute(kind)?;
    out.set(function(driver, handle)?.attributes.get(&kind).copied().unwrap_or(default))
}

fn kernel_attribute(driver: &mut Driver, out: Out<i32>, kind: i32, handle: u64, _: i32) -> Outcome {
    get_attribute(driver, out, kind, handle)
}

fn set_attribute(driver: &mut Driver, handle: u64, kind: i32, value: i32) -> Outcome {
    default_attribute(kind)?;
    function(driver, handle)?.attributes.insert(kind, value);
    Ok(())
}

fn set_kernel_attribute(
    driver: &mut Driver,
    kind: i32,
    value: i32,
    handle: u64,
    _: i32,
) -> Outcome {
    set_attribute(driver, handle, kind, value)
}

fn set_config(driver: &mut Driver, handle: u64, _config: i32) -> Outcome {
    function(driver, handle).map(|_| ())
}

fn set_kernel_config(driver: &mut Driver, handle: u64, _config: i32, _device: i32) -> Outcome {
    function(driver, handle).map(|_| ())
}

/// Parameters are unknown, and past the last one is `INVALID_VALUE`.
fn param_info(driver: &mut Driver, handle: u64, _: usize, _: Out<usize>, _: Out<usize>) -> Outcome {
    function(driver, handle)?;
    Err(Code::INVALID_VALUE)
}

fn loading_state(driver: &mut Driver, out: Out<i32>, handle: u64) -> Outcome {
    function(driver, handle)?;
    out.set(1)
}

fn load_function(driver: &mut Driver, handle: u64) -> Outcome {
    function(driver, handle).map(|_| ())
}

/// 2 is lazy.
fn loading_mode(_: &mut Driver, out: Out<i32>) -> Outcome {
    out.set(2)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuModuleLoad(out: Out<u64>, path: u64) => locked load { 2000: cuModuleLoad }
    cuModuleLoadData(out: Out<u64>, image: u64) => locked load { 2000: cuModuleLoadData }
    cuModuleLoadDataEx(
        out: Out<u64>, image: u64, count: u32, options: u64, values: u64,
    ) => locked load_ex {
        2010: cuModuleLoadDataEx,
    }
    cuModuleLoadFatBinary(out: Out<u64>, image: u64) => locked load { 2000: cuModuleLoadFatBinary }
    cuModuleUnload(handle: u64) => locked unload { 2000: cuModuleUnload }
    cuModuleGetFunction(out: Out<u64>, owner: u64, name: Text) => locked get_function {
        2000: cuModuleGetFunction,
    }
    cuModuleGetGlobal(
        out: Out<u64>, size: Out<usize>, owner: u64, name: Text,
    ) => locked get_global {
        3020: cuModuleGetGlobal_v2,
    }
    cuModuleGetFunctionCount(out: Out<u32>, handle: u64) => locked function_count {
        12040: cuModuleGetFunctionCount,
    }
    cuModuleGetLoadingMode(out: Out<i32>) => locked loading_mode { 11070: cuModuleGetLoadingMode }
    cuLibraryLoadData(
        out: Out<u64>, code: u64, options: u64, values: u64, count: u32, library_options: u64,
        library_values: u64, library_count: u32,
    ) => locked load_library {
        12000: cuLibraryLoadData,
    }
    cuLibraryLoadFromFile(
        out: Out<u64>, path: u64, options: u64, values: u64, count: u32, library_options: u64,
        library_values: u64, library_count: u32,
    ) => locked load_library {
        12000: cuLibraryLoadFromFile,
    }
    cuLibraryUnload(handle: u64) => locked unload { 12000: cuLibraryUnload }
    cuLibraryGetModule(out: Out<u64>, handle: u64) => locked same_handle {
        12000: cuLibraryGetModule,
    }
    cuLibraryGetKernel(out: Out<u64>, owner: u64, name: Text) => locked get_function {
        12000: cuLibraryGetKernel,
    }
    cuLibraryGetKernelCount(out: Out<u32>, handle: u64) => locked function_count {
        12040: cuLibraryGetKernelCount,
    }
    cuLibraryGetGlobal(
        out: Out<u64>, size: Out<usize>, owner: u64, name: Text,
    ) => locked library_global {
        12000: cuLibraryGetGlobal,
    }
    cuKernelGetFunction(out: Out<u64>, handle: u64) => locked same_handle {
        12000: cuKernelGetFunction,
    }
    cuKernelGetLibrary(out: Out<u64>, handle: u64) => locked function_module {
        12050: cuKernelGetLibrary,
    }
    cuKernelGetName(out: Out<*const c_char>, handle: u64) => locked function_name {
        12030: cuKernelGetName,
    }
    cuKernelGetAttribute(
        out: Out<i32>, kind: i32, handle: u64, device: i32,
    ) => locked kernel_attribute {
        12000: cuKernelGetAttribute,
    }
    cuKernelSetAttribute(
        kind: i32, value: i32, handle: u64, device: i32,
    ) => locked set_kernel_attribute {
        12000: cuKernelSetAttribute,
    }
    cuKernelSetCacheConfig(handle: u64, config: i32, device: i32) => locked set_kernel_config {
        12000: cuKernelSetCacheConfig,
    }
    cuKernelGetParamInfo(
        handle: u64, index: usize, offset: Out<usize>, size: Out<usize>,
    ) => locked param_info {
        12040: cuKernelGetParamInfo,
    }
    cuFuncGetModule(out: Out<u64>, handle: u64) => locked function_module { 11000: cuFuncGetModule }
    cuFuncGetName(out: Out<*const c_char>, handle: u64) => locked function_name { 12030: cuFuncGetName }
    cuFuncGetAttribute(out: Out<i32>, kind: i32, handle: u64) => locked get_attribute {
        2020: cuFuncGetAttribute,
    }
    cuFuncSetAttribute(handle: u64, kind: i32, value: i32) => locked set_attribute {
        9000: cuFuncSetAttribute,
    }
    cuFuncSetCacheConfig(handle: u64, config: i32) => locked set_config {
        3000: cuFuncSetCacheConfig,
    }
    cuFuncSetSharedMemConfig(handle: u64, config: i32) => locked set_config {
        4020: cuFuncSetSharedMemConfig,
    }
    cuFuncGetParamInfo(
        handle: u64, index: usize, offset: Out<usize>, size: Out<usize>,
    ) => locked param_info {
        12040: cuFuncGetParamInfo,
    }
    cuFuncIsLoaded(out: Out<i32>, handle: u64) => locked loading_state { 12040: cuFuncIsLoaded }
    cuFuncLoad(handle: u64) => locked load_function { 12040: cuFuncLoad }
};
