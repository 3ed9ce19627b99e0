//! Whose memory it is: the library that asked the driver for it.

use std::collections::{HashMap, HashSet};

use wire::trie::{FrameKind, Node};

use super::{
    modules::{Modules, file_name},
    place::in_packages,
};
use crate::ledger::Tables;

/// Owner of what PyTorch's caching allocator took.
pub const TORCH: &str = "torch";

/// The library every one of PyTorch's device allocators lives in.
const TORCH_ALLOCATOR: &str = "libc10_cuda.so";
/// Libraries that only pass a request on, by how their names begin: the driver, the shared runtime
/// (`libcudart.so.13`, and `libcudart.3eda8113.so.13` as wheels bundle it), `ctypes` and what it calls by,
/// and libc below all of it; HAMi's limiter. A library with a runtime of its own inside asks itself.
const PASSING_ON: [&str; 7] =
    ["libcuda.so", "libcudart", "libmemtrace", "libffi", "_ctypes.", "libc.so", "libvgpu.so"];

/// The interpreter, where that is a library: then Python code asked, which is the program, as it is
/// where the interpreter is the program's file. What runs that code, such as a worker of Ray's, did not.
const INTERPRETER: &str = "libpython";
/// NVIDIA's Python bindings pass on too, as `ctypes` does.
const BINDINGS: &str = "cuda/bindings/";
/// What the file name of an extension module of CPython has in it.
const EXTENSION: &str = ".cpython-";

/// The owner of what was taken through `frames` (innermost first, as [`Tables::frames`] gives
/// them): [`TORCH`] if the stack passes through PyTorch's allocator, else the file name of the
/// innermost library that does not merely pass requests on; of an extension module the package it
/// belongs to, because many are called `runtime` or `driver`. `None` where no frame tells: the
/// program itself is then the best answer.
///
/// [`Tables::frames`]: crate::ledger::Tables::frames
#[must_use]
pub fn owner<'a>(modules: &Modules<'a>, frames: &[(FrameKind, u64)]) -> Option<&'a str> {
    let mut first = None;
    let mut by_python = false;
    for (kind, address) in frames {
        let FrameKind::Native = kind else { continue };
        let Some(module) = modules.caller(*address) else { continue };
        let name = file_name(&module.path);
        if name == TORCH_ALLOCATOR {
            return Some(TORCH);
        }
        by_python |= first.is_none() && name.starts_with(INTERPRETER);
        if first.is_none() && !by_python && !passes_on(&module.path) {
            first = Some(package(&module.path).unwrap_or(name));
        }
    }
    first
}

fn passes_on(path: &str) -> bool {
    let name = file_name(path);
    PASSING_ON.iter().any(|prefix| name.starts_with(prefix))
        || in_packages(path).is_some_and(|inside| inside.starts_with(BINDINGS))
}

/// The package of an extension module; PyTorch's own is another name for its allocator here.
fn package(path: &str) -> Option<&str> {
    let (package, _) = in_packages(path)?.split_once('/')?;
    (file_name(path).contains(EXTENSION) && package != TORCH).then_some(package)
}

/// The native stacks that pass through PyTorch's device allocator.
#[must_use]
pub fn torch_stacks(tables: &Tables) -> HashSet<u32> {
    let modules = Modules::new(&tables.modules);
    let its_own = |node: &Node| {
        let module = modules.caller(node.frame);
        module.is_some_and(|module| file_name(&module.path) == TORCH_ALLOCATOR)
    };
    let mut known: HashMap<u32, bool> = HashMap::new();
    for id in tables.nodes.keys() {
        let mut path = Vec::new();
        let mut at = *id;
        // Outwards, until a stack is met that is known or decides; the root decides against it.
        let through = loop {
            if let Some(through) = known.get(&at) {
                break *through;
            }
            let Some(node) = tables.nodes.get(&at) else { break false };
            path.push(at);
            // For a damaged table that leads in a circle.
            known.insert(at, false);
            if node.kind != FrameKind::Native {
                break false;
            }
            if its_own(node) {
                break true;
            }
            at = node.parent;
        };
        known.extend(path.into_iter().map(|id| (id, through)));
    }
    known.into_iter().filter_map(|(id, through)| through.then_some(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Module;

    const LIBRARIES: [&str; 16] = [
        "libcuda.so.1",
        "libcudart.so.13",
        "libnccl.so.2",
        "libc10_cuda.so",
        "libtorch_cpu.so",
        "libcudart.3eda8113.so.13",
        "libffi.so.8",
        "_ctypes.cpython-311-x86_64-linux-gnu.so",
        "python3.11",
        "cuda_utils.so",
        "libpython3.11.so.1.0",
        "libc.so.6",
        "python3.11/site-packages/cuda/bindings/cydriver.cpython-311-x86_64-linux-gnu.so",
        "python3.11/site-packages/cupy_backends/cuda/api/runtime.cpython-311-x86_64-linux-gnu.so",
        "python3.11/site-packages/vllm/cumem_allocator.abi3.so",
        "python3.11/site-packages/torch/_C.cpython-311-x86_64-linux-gnu.so",
    ];

    /// The owner of a stack through these libraries, innermost first; library `i` lies at `i * 16`.
    fn owner_of(stack: &[u64]) -> Option<String> {
        let recorded: Vec<Module> = (0..)
            .zip(LIBRARIES)
            .map(|(i, name)| Module {
                start: i * 16,
                end: (i + 1) * 16,
                offset: 0,
                path: format!("/usr/lib/{name}"),
                inode: 1,
            })
            .collect();
        let frames: Vec<_> = stack.iter().map(|i| (FrameKind::Native, i * 16 + 8)).collect();
        owner(&Modules::new(&recorded), &frames).map(str::to_owned)
    }

    #[test]
    fn a_stack_through_the_torch_allocator_is_torch_s_wherever_it_passes() {
        assert_eq!(owner_of(&[0, 1, 2, 4, 3]).as_deref(), Some(TORCH));
    }

    #[test]
    fn the_stacks_through_the_torch_allocator_are_those_at_and_below_its_frames() {
        let torch = 3 * 16 + 8;
        let module = |start: u64, name: &str| Module {
            start,
            end: start + 16,
            offset: 0,
            path: format!("/usr/lib/{name}"),
            inode: 1,
        };
        let node = |parent, frame, kind| Node { parent, kind, frame };
        // Ids are places in a table, in no order.
        let nodes = [
            (9, node(0, 8, FrameKind::Native)),
            (7, node(9, torch, FrameKind::Native)),
            (3, node(7, 24, FrameKind::Native)),
            (4, node(9, 24, FrameKind::Native)),
            (5, node(0, torch, FrameKind::Python)),
            (6, node(8, 8, FrameKind::Native)),
            (8, node(6, 8, FrameKind::Native)),
        ];
        let tables = Tables {
            nodes: nodes.into(),
            modules: vec![module(0, "python3"), module(48, "libc10_cuda.so")],
            ..Tables::default()
        };
        assert_eq!(torch_stacks(&tables), [3, 7].into());
    }

    #[test]
    fn else_it_is_the_first_library_that_does_not_merely_pass_on() {
        assert_eq!(owner_of(&[0, 1, 2, 4]).as_deref(), Some("libnccl.so.2"));
    }

    #[test]
    fn each_kind_of_caller_is_told_from_the_libraries_below_it() {
        let cases: [(&[u64], &str); 12] = [
            // A runtime of its own inside: no frame but its own.
            (&[2, 4, 8], "libnccl.so.2"),
            // A shared runtime, whatever its version and however a wheel calls it.
            (&[5, 4, 8], "libtorch_cpu.so"),
            (&[0, 1, 9, 8], "cuda_utils.so"),
            // Straight to the driver.
            (&[9, 8], "cuda_utils.so"),
            // By ctypes it is the program that asks, or the library that it called.
            (&[6, 7, 8], "python3.11"),
            (&[6, 7, 8, 9, 8], "python3.11"),
            (&[2, 6, 7, 8], "libnccl.so.2"),
            // So it is by NVIDIA's bindings.
            (&[12, 8], "python3.11"),
            (&[12, 13, 8], "cupy_backends"),
            // An extension module's name says little.
            (&[13, 8], "cupy_backends"),
            (&[14, 8], "cumem_allocator.abi3.so"),
            (&[15, 8], "_C.cpython-311-x86_64-linux-gnu.so"),
        ];
        for (stack, owner) in cases {
            assert_eq!(owner_of(stack).as_deref(), Some(owner), "{stack:?}");
        }
    }

    #[test]
    fn where_python_is_a_library_its_code_asks_for_the_program_and_not_for_what_runs_it() {
        for stack in [&[6, 7, 10, 11, 8][..], &[6, 7, 10, 9, 10, 11, 8]] {
            assert_eq!(owner_of(stack), None, "{stack:?}");
        }
        assert_eq!(owner_of(&[9, 10, 8]).as_deref(), Some("cuda_utils.so"));
        assert_eq!(owner_of(&[0, 10, 3, 4]).as_deref(), Some(TORCH));
    }

    #[test]
    fn frames_outside_every_mapping_name_nobody() {
        assert_eq!(owner_of(&[0, 99]), None);
    }
}
