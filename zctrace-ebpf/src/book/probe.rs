//! Macros that declare programs, so that a site reads as one line of table and a body.
//!
//! Each declares a pair: the program, and a twin for kernels that can preempt it (`book/twin.rs`).

use crate::base::kernel::{Access as _, Probed};

/// Declares an `fexit` program. The user side chooses the kernel function when it loads it.
macro_rules! fexit {
    ($(#[$meta:meta])* $name:ident($ctx:ident) { $($body:tt)* }) => {
        pastey::paste! {
            #[inline(always)]
            fn [<$name _body>]($ctx: &aya_ebpf::programs::FExitContext) -> i32 {
                $($body)*
                0
            }

            $(#[$meta])*
            #[aya_ebpf::macros::fexit]
            fn $name(ctx: aya_ebpf::programs::FExitContext) -> i32 {
                [<$name _body>](&ctx);
                $crate::book::stacks::take(&ctx);
                $crate::book::twin::done($crate::book::twin::slot(stringify!($name)));
                0
            }

            #[aya_ebpf::macros::fexit]
            fn [<$name _twin>](ctx: aya_ebpf::programs::FExitContext) -> i32 {
                if $crate::book::twin::take_over($crate::book::twin::slot(stringify!($name))) {
                    [<$name _body>](&ctx);
                    $crate::book::stacks::take(&ctx);
                }
                0
            }
        }
    };
}
pub(crate) use fexit;

/// Declares an `fentry` program.
macro_rules! fentry {
    ($(#[$meta:meta])* $name:ident($ctx:ident) { $($body:tt)* }) => {
        pastey::paste! {
            #[inline(always)]
            fn [<$name _body>]($ctx: &aya_ebpf::programs::FEntryContext) -> i32 {
                $($body)*
                0
            }

            $(#[$meta])*
            #[aya_ebpf::macros::fentry]
            fn $name(ctx: aya_ebpf::programs::FEntryContext) -> i32 {
                [<$name _body>](&ctx);
                $crate::book::stacks::take(&ctx);
                $crate::book::twin::done($crate::book::twin::slot(stringify!($name)));
                0
            }

            #[aya_ebpf::macros::fentry]
            fn [<$name _twin>](ctx: aya_ebpf::programs::FEntryContext) -> i32 {
                if $crate::book::twin::take_over($crate::book::twin::slot(stringify!($name))) {
                    [<$name _body>](&ctx);
                    $crate::book::stacks::take(&ctx);
                }
                0
            }
        }
    };
}
pub(crate) use fentry;

/// Declares an `fentry` program whose second run for one event finds nothing to do: the twin always
/// runs. For functions that interrupts call: there, a mark in the interrupted thread's record would
/// be taken for one of its own.
macro_rules! idempotent_fentry {
    ($(#[$meta:meta])* $name:ident($ctx:ident) { $($body:tt)* }) => {
        pastey::paste! {
            $(#[$meta])*
            #[aya_ebpf::macros::fentry]
            fn $name($ctx: aya_ebpf::programs::FEntryContext) -> i32 {
                $($body)*
                0
            }

            #[aya_ebpf::macros::fentry]
            fn [<$name _twin>]($ctx: aya_ebpf::programs::FEntryContext) -> i32 {
                $($body)*
                0
            }
        }
    };
}
pub(crate) use idempotent_fentry;

/// The same at the return of a function.
macro_rules! idempotent_fexit {
    ($(#[$meta:meta])* $name:ident($ctx:ident) { $($body:tt)* }) => {
        pastey::paste! {
            $(#[$meta])*
            #[aya_ebpf::macros::fexit]
            fn $name($ctx: aya_ebpf::programs::FExitContext) -> i32 {
                $($body)*
                0
            }

            #[aya_ebpf::macros::fexit]
            fn [<$name _twin>]($ctx: aya_ebpf::programs::FExitContext) -> i32 {
                $($body)*
                0
            }
        }
    };
}
pub(crate) use idempotent_fexit;

/// Declares an `fentry` program for work that is not the current task's, such as that of interrupts.
/// Its body says when to go on: `twin::take_turn` with the given number and flag.
macro_rules! fentry_anywhere {
    ($(#[$meta:meta])* $name:ident($ctx:ident, $id:ident, $second:ident) { $($body:tt)* }) => {
        $crate::book::probe::anywhere! { fentry FEntryContext $(#[$meta])* $name($ctx, $id, $second) { $($body)* } }
    };
}
pub(crate) use fentry_anywhere;

/// The same at the return of a function.
macro_rules! fexit_anywhere {
    ($(#[$meta:meta])* $name:ident($ctx:ident, $id:ident, $second:ident) { $($body:tt)* }) => {
        $crate::book::probe::anywhere! { fexit FExitContext $(#[$meta])* $name($ctx, $id, $second) { $($body)* } }
    };
}
pub(crate) use fexit_anywhere;

/// The same at a tracepoint.
macro_rules! tp_btf_anywhere {
    ($(#[$meta:meta])* $name:ident($ctx:ident, $id:ident, $second:ident) { $($body:tt)* }) => {
        $crate::book::probe::anywhere! {
            btf_tracepoint BtfTracePointContext $(#[$meta])* $name($ctx, $id, $second) { $($body)* }
        }
    };
}
pub(crate) use tp_btf_anywhere;

macro_rules! anywhere {
    ($kind:ident $context:ident $(#[$meta:meta])* $name:ident($ctx:ident, $id:ident, $second:ident) { $($body:tt)* }) => {
        pastey::paste! {
            #[inline(always)]
            fn [<$name _body>]($ctx: &aya_ebpf::programs::$context, $id: u32, $second: bool) -> i32 {
                $($body)*
                0
            }

            $(#[$meta])*
            #[aya_ebpf::macros::$kind]
            fn $name(ctx: aya_ebpf::programs::$context) -> i32 {
                [<$name _body>](&ctx, $crate::book::twin::slot(stringify!($name)), false)
            }

            #[aya_ebpf::macros::$kind]
            fn [<$name _twin>](ctx: aya_ebpf::programs::$context) -> i32 {
                [<$name _body>](&ctx, $crate::book::twin::slot(stringify!($name)), true)
            }
        }
    };
}
pub(crate) use anywhere;

/// Declares two ways to the return of a function: an `fexit` program, and a `kretprobe` under the name
/// with `_kretprobe` behind it. The second is for kernels that take no fexit there: more than six
/// arguments before Linux 6.6, and modules whose types cannot be read. The body has what was returned, of
/// the given type.
macro_rules! at_return {
    ($(#[$meta:meta])* $name:ident($returned:ident: $type:ty) { $($body:tt)* }) => {
        pastey::paste! {
            #[inline(always)]
            fn [<$name _returned>]($returned: i64) {
                $($body)*
            }

            $crate::book::probe::fexit! {
                $(#[$meta])*
                $name(ctx) {
                    let returned = $crate::book::probe::returned(ctx) as $type;
                    [<$name _returned>](i64::from(returned));
                }
            }

            $crate::book::probe::kretprobe! {
                [<$name _kretprobe>](ctx) {
                    let returned: $type = ctx.ret();
                    [<$name _returned>](i64::from(returned));
                }
            }
        }
    };
}
pub(crate) use at_return;

/// Declares a `kretprobe` program, and one for the entry of the function, which counts what the first will
/// miss (`book/room.rs`).
macro_rules! kretprobe {
    ($(#[$meta:meta])* $name:ident($ctx:ident) { $($body:tt)* }) => {
        pastey::paste! {
            #[inline(always)]
            fn [<$name _body>]($ctx: &aya_ebpf::programs::RetProbeContext) -> i32 {
                $($body)*
                0
            }

            $(#[$meta])*
            #[aya_ebpf::macros::kretprobe]
            fn $name(ctx: aya_ebpf::programs::RetProbeContext) -> u32 {
                $crate::book::room::returned($crate::book::twin::slot(stringify!($name)));
                [<$name _body>](&ctx);
                $crate::book::stacks::take(&ctx);
                0
            }

            #[aya_ebpf::macros::kprobe]
            fn [<$name _entry>](_ctx: aya_ebpf::programs::ProbeContext) -> u32 {
                $crate::book::room::entered($crate::book::twin::slot(stringify!($name)));
                0
            }
        }
    };
}
pub(crate) use kretprobe;

/// Declares a `tp_btf` program.
macro_rules! tp_btf {
    ($(#[$meta:meta])* $name:ident($ctx:ident) { $($body:tt)* }) => {
        pastey::paste! {
            #[inline(always)]
            fn [<$name _body>]($ctx: &aya_ebpf::programs::BtfTracePointContext) -> i32 {
                $($body)*
                0
            }

            $(#[$meta])*
            #[aya_ebpf::macros::btf_tracepoint]
            fn $name(ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
                [<$name _body>](&ctx);
                $crate::book::stacks::take(&ctx);
                $crate::book::twin::done($crate::book::twin::slot(stringify!($name)));
                0
            }

            #[aya_ebpf::macros::btf_tracepoint]
            fn [<$name _twin>](ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
                if $crate::book::twin::take_over($crate::book::twin::slot(stringify!($name))) {
                    [<$name _body>](&ctx);
                    $crate::book::stacks::take(&ctx);
                }
                0
            }
        }
    };
}
pub(crate) use tp_btf;

/// An argument of a program that runs in any thread, as a number: one that is a typed pointer is none to
/// the verifier ([`zctrace_common::words::opaque`]).
#[inline(always)]
pub(crate) fn number(ctx: &impl aya_ebpf::EbpfContext, index: u32) -> u64 {
    Probed::load(ctx.as_ptr().cast_const().cast(), index * 8)
}

/// The value that an `fexit`-probed function returned.
#[inline(always)]
pub(crate) fn returned(ctx: &aya_ebpf::programs::FExitContext) -> i64 {
    ctx.ret::<i64>().unwrap_or(0)
}

/// The same for functions that return an `int`: the upper half of the register is not defined.
#[inline(always)]
pub(crate) fn returned_int(ctx: &aya_ebpf::programs::FExitContext) -> i64 {
    i64::from(returned(ctx) as i32)
}
