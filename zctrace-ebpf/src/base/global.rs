//! Functions that the verifier follows once.

/// Declares a function that the verifier looks at by itself ("global function"), once for each program
/// that has it; where it is called, its result is any value. Into other functions it goes at each
/// call and with each state there is, and returns with each of their ends: programs took ten times
/// as many steps to verify.
///
/// Arguments are numbers, or pointers to structures which may be null as far as it knows
/// (`btf_prepare_func_args`); the result is a number, unused if there is none to tell.
macro_rules! global {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$attribute])*
        // On the host it is a function like others: the names are not all free there.
        #[cfg_attr(target_arch = "bpf", unsafe(no_mangle))]
        #[inline(never)]
        $visibility extern "C" fn $name($($argument: $type),*) -> $result $body
    };
}
pub(crate) use global;
