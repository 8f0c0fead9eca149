//! Message queues. Their interfaces are the system calls themselves, because the functions they call may be inlined.

use zctrace_common::Op;

use super::{Exercise, Family, Probe, Proof, Role, Sign, fexit};

const POSIX: Sign = Sign::File("/proc/sys/fs/mqueue");
const SYSTEM_V: Sign = Sign::File("/proc/sysvipc/msg");

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "load_msg",
        family: Family::Message,
        role: Role::CopySite,
        ways: &[fexit("load_msg", "load_msg", &["*void"])],
        woken_by: Some(Exercise::Messages),
        proof: Proof::Unplugged(&[("mqueue", &[Op::Send])]),
        sees: "message into a queue, POSIX or System V",
        lost: "how sends to message queues are copied",
        ..Probe::USUAL
    },
    Probe {
        name: "store_msg",
        family: Family::Message,
        role: Role::CopySite,
        ways: &[fexit("store_msg", "store_msg", &["*void"])],
        woken_by: Some(Exercise::Messages),
        proof: Proof::Unplugged(&[("msgqueue", &[Op::Recv])]),
        sees: "message out of a queue, POSIX or System V",
        lost: "how receives from message queues are copied",
        ..Probe::USUAL
    },
    Probe {
        name: "copy_msg",
        family: Family::Message,
        role: Role::CopySite,
        ways: &[fexit("copy_msg", "copy_msg", &["*msg_msg"])],
        proof: Proof::Otherwise("a second copy, which explains no byte"),
        sees: "message of a System V queue to the copy that MSG_COPY returns",
        lost: "the second of the three copies that msgrcv with MSG_COPY makes",
        ..Probe::USUAL
    },
    Probe {
        name: "mq_timedsend",
        family: Family::Message,
        role: Role::Interface(Op::Send),
        ways: &[
            fexit("sys_mq_timedsend", "__x64_sys_mq_timedsend", &["*pt_regs"]),
            fexit(
                "sys_mq_timedsend",
                "__arm64_sys_mq_timedsend",
                &["*pt_regs"],
            ),
        ],
        woken_by: Some(Exercise::PosixMessages),
        sign: Some(POSIX),
        sees: "mq_send, mq_timedsend",
        lost: "mq_timedsend is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "mq_timedreceive",
        family: Family::Message,
        role: Role::Interface(Op::Recv),
        ways: &[
            fexit(
                "sys_mq_timedreceive",
                "__x64_sys_mq_timedreceive",
                &["*pt_regs"],
            ),
            fexit(
                "sys_mq_timedreceive",
                "__arm64_sys_mq_timedreceive",
                &["*pt_regs"],
            ),
        ],
        woken_by: Some(Exercise::PosixMessages),
        sign: Some(POSIX),
        sees: "mq_receive, mq_timedreceive",
        lost: "mq_timedreceive is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "msgsnd",
        family: Family::Message,
        role: Role::Interface(Op::Send),
        ways: &[
            fexit("sys_msgsnd", "__x64_sys_msgsnd", &["*pt_regs"]),
            fexit("sys_msgsnd", "__arm64_sys_msgsnd", &["*pt_regs"]),
        ],
        woken_by: Some(Exercise::Messages),
        sign: Some(SYSTEM_V),
        sees: "msgsnd",
        lost: "msgsnd is not seen",
        ..Probe::USUAL
    },
    Probe {
        name: "msgrcv",
        family: Family::Message,
        role: Role::Interface(Op::Recv),
        ways: &[
            fexit("sys_msgrcv", "__x64_sys_msgrcv", &["*pt_regs"]),
            fexit("sys_msgrcv", "__arm64_sys_msgrcv", &["*pt_regs"]),
        ],
        woken_by: Some(Exercise::Messages),
        sign: Some(SYSTEM_V),
        sees: "msgrcv",
        lost: "msgrcv is not seen",
        ..Probe::USUAL
    },
];
