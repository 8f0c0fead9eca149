//! Macros that declare programs, so that a site reads as one line of table and a body.
//!
//! Each declares a pair: the program, and a twin for kernels that can preempt it (`twin.rs`).

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
                $crate::twin::done($crate::twin::id(stringify!($name)));
                0
            }

            #[aya_ebpf::macros::fexit]
            fn [<$name _twin>](ctx: aya_ebpf::programs::FExitContext) -> i32 {
                if $crate::twin::is_needed($crate::twin::id(stringify!($name))) {
                    [<$name _body>](&ctx);
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
                $crate::twin::done($crate::twin::id(stringify!($name)));
                0
            }

            #[aya_ebpf::macros::fentry]
            fn [<$name _twin>](ctx: aya_ebpf::programs::FEntryContext) -> i32 {
                if $crate::twin::is_needed($crate::twin::id(stringify!($name))) {
                    [<$name _body>](&ctx);
                }
                0
            }
        }
    };
}
pub(crate) use fentry;

/// Declares a `kretprobe` program, for functions of modules and those with more than six arguments.
macro_rules! kretprobe {
    ($(#[$meta:meta])* $name:ident($ctx:ident) { $($body:tt)* }) => {
        $(#[$meta])*
        #[aya_ebpf::macros::kretprobe]
        fn $name($ctx: aya_ebpf::programs::RetProbeContext) -> u32 {
            $($body)*
            0
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
                $crate::twin::done($crate::twin::id(stringify!($name)));
                0
            }

            #[aya_ebpf::macros::btf_tracepoint]
            fn [<$name _twin>](ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
                if $crate::twin::is_needed($crate::twin::id(stringify!($name))) {
                    [<$name _body>](&ctx);
                }
                0
            }
        }
    };
}
pub(crate) use tp_btf;

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
