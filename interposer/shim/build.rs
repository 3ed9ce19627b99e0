//! How the library is linked.

fn main() {
    for argument in [
        // Our own references mean our own functions, also when another preloaded library has them.
        "-Bsymbolic",
        // Hooks may be called until the process ends.
        "-z,nodelete",
        "-z,now",
        "-z,relro",
        // An unresolved name is an error here, and the panic handler refers to one: see lib.rs.
        "-z,defs",
        "--gc-sections",
        "-soname,libmemtrace.so",
    ] {
        println!("cargo:rustc-cdylib-link-arg=-Wl,{argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
