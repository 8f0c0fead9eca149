//! The macro that declares programs, so that a site reads as one line of table and a body.

use crate::base::kernel::{Access as _, Probed};

/// Declares the program of a probe:
///
/// ```text
/// program! {
///     /// What runs here.
///     KIND MODE name(ctx) { body }
/// }
/// ```
///
/// `KIND` is `fentry`, `fexit` or `tp_btf`. Each program of these has a twin, `name_twin`, for kernels that
/// can preempt it (`book/twin.rs`). `MODE` says how the two share an event:
///
/// - `marked`: the work is the current thread's. The first leaves a mark in the thread's record, and the
///   twin works only where the mark is missing.
/// - `idempotent`: a second run for one event finds nothing to do, so the twin always runs. For functions
///   that interrupts call: a mark in the interrupted thread's record would pass for one of its own.
/// - `anywhere`, which is declared with `name(ctx, id, second)`: the work need not be the current thread's.
///   The body asks `twin::take_turn` with this number and flag before it goes on.
///
/// A marked program can be declared with `name(ctx) in task`: its body runs for threads that are traced
/// and has the current one's record.
///
/// Two kinds have no mode:
///
/// - `kretprobe name(ctx)`, which has a program at the entry of the function instead of a twin. It counts
///   what the first will miss (`book/room.rs`).
/// - `at_return name(returned: type)`, which has two programs for one event: a marked `fexit`, and a
///   `kretprobe` under the name with `_kretprobe` behind it. The second is for kernels that take no fexit
///   there: more than six arguments before Linux 6.6, and modules whose types cannot be read.
macro_rules! program {
    ($(#[$meta:meta])* fentry $($rest:tt)*) => {
        $crate::book::probe::twins! { fentry FEntryContext [$(#[$meta])*] $($rest)* }
    };
    ($(#[$meta:meta])* fexit $($rest:tt)*) => {
        $crate::book::probe::twins! { fexit FExitContext [$(#[$meta])*] $($rest)* }
    };
    ($(#[$meta:meta])* tp_btf $($rest:tt)*) => {
        $crate::book::probe::twins! { btf_tracepoint BtfTracePointContext [$(#[$meta])*] $($rest)* }
    };

    ($(#[$meta:meta])* kretprobe $name:ident($ctx:ident) { $($body:tt)* }) => {
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

    ($(#[$meta:meta])* at_return $name:ident($returned:ident: $type:ty) { $($body:tt)* }) => {
        pastey::paste! {
            #[inline(always)]
            fn [<$name _returned>]($returned: i64) {
                $($body)*
            }

            $crate::book::probe::program! {
                $(#[$meta])*
                fexit marked $name(ctx) {
                    let returned = $crate::book::probe::returned(ctx) as $type;
                    [<$name _returned>](i64::from(returned));
                }
            }

            $crate::book::probe::program! {
                kretprobe [<$name _kretprobe>](ctx) {
                    let returned: $type = ctx.ret();
                    [<$name _returned>](i64::from(returned));
                }
            }
        }
    };
}
pub(crate) use program;

/// A program and its twin, as [`program!`] declares them: how each mode lets them share an event.
macro_rules! twins {
    (
        $attribute:ident $context:ident $metas:tt
        marked $name:ident($ctx:ident) in $task:ident { $($body:tt)* }
    ) => {
        $crate::book::probe::twins! {
            $attribute $context $metas marked $name($ctx) {
                // SAFETY: the body begins, so nothing in this program refers to the record.
                let Some($task) = (unsafe { $crate::book::target::current_or_adopt() }) else { return 0 };
                $($body)*
            }
        }
    };
    ($attribute:ident $context:ident $metas:tt marked $name:ident($ctx:ident) $body:tt) => {
        $crate::book::probe::pair! {
            $attribute $context $metas $name($ctx) $body
            first(ctx, id, body) {
                body(&ctx);
                $crate::book::stacks::take(&ctx);
                $crate::book::twin::done(id);
            }
            second(ctx, id, body) {
                if $crate::book::twin::take_over(id) {
                    body(&ctx);
                    $crate::book::stacks::take(&ctx);
                }
            }
        }
    };
    ($attribute:ident $context:ident $metas:tt idempotent $name:ident($ctx:ident) $body:tt) => {
        $crate::book::probe::pair! {
            $attribute $context $metas $name($ctx) $body
            first(ctx, _id, body) { body(&ctx); }
            second(ctx, _id, body) { body(&ctx); }
        }
    };
    (
        $attribute:ident $context:ident $metas:tt
        anywhere $name:ident($ctx:ident, $id:ident, $second:ident) $body:tt
    ) => {
        $crate::book::probe::pair! {
            $attribute $context $metas $name($ctx, $id: u32, $second: bool) $body
            first(ctx, id, body) { body(&ctx, id, false); }
            second(ctx, id, body) { body(&ctx, id, true); }
        }
    };
}
pub(crate) use twins;

macro_rules! pair {
    (
        $attribute:ident $context:ident [$(#[$meta:meta])*]
        $name:ident($ctx:ident $(, $argument:ident: $type:ty)*) { $($body:tt)* }
        first($first_ctx:ident, $first_id:ident, $first_body:ident) { $($first:tt)* }
        second($second_ctx:ident, $second_id:ident, $second_body:ident) { $($second:tt)* }
    ) => {
        pastey::paste! {
            #[inline(always)]
            fn [<$name _body>](
                $ctx: &aya_ebpf::programs::$context $(, $argument: $type)*
            ) -> i32 {
                $($body)*
                0
            }

            $(#[$meta])*
            #[aya_ebpf::macros::$attribute]
            fn $name($first_ctx: aya_ebpf::programs::$context) -> i32 {
                let $first_id = $crate::book::twin::slot(stringify!($name));
                let $first_body = [<$name _body>];
                $($first)*
                0
            }

            #[aya_ebpf::macros::$attribute]
            fn [<$name _twin>]($second_ctx: aya_ebpf::programs::$context) -> i32 {
                let $second_id = $crate::book::twin::slot(stringify!($name));
                let $second_body = [<$name _body>];
                $($second)*
                0
            }
        }
    };
}
pub(crate) use pair;

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
