//! Functions that the verifier checks only once.

/// Declares a function that the verifier checks separately ("global function"), once for each program that has it. At a
/// call, its result can be any value. The verifier enters other functions at each call and with each state, and
/// continues after each of their ends: programs took ten times as many steps to verify.
///
/// Arguments are numbers, or pointers to structures that may be null to the verifier (`btf_prepare_func_args`). The
/// result is a number, unused if the function has none.
macro_rules! global {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$attribute])*
        // On the host it is an ordinary function, because some of the names are taken there.
        #[cfg_attr(target_arch = "bpf", unsafe(no_mangle))]
        #[inline(never)]
        $visibility extern "C" fn $name($($argument: $type),*) -> $result $body
    };
}
pub(crate) use global;
