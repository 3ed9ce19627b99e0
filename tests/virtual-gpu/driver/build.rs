//! Gives the library the real driver's name, and binds its own references to itself: the real
//! driver hands out its own addresses, whatever else in the process exports the same names.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcuda.so.1");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic");
}
