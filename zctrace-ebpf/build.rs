//! Passes options to bpf-linker.

fn main() {
    // bpf-linker does the code generation: v3 has atomic operations that return the old value
    // and 32-bit jumps; every kernel from 5.12 on accepts it.
    let target = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if target == "bpf" {
        println!("cargo:rustc-link-arg-bins=--cpu=v3");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
