//! Rules of netfilter, and programs that packets wait for, by the kernel's own interface (`nfnetlink`): no program of
//! the distribution is needed.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket},
};

use super::{
    forked::Forked,
    netlink::{answer, attribute},
};
use crate::workload::Skip;

/// `NFPROTO_IPV4`.
pub const IPV4: u8 = 2;
/// `NFPROTO_BRIDGE`.
pub const BRIDGE: u8 = 7;
/// `NF_INET_LOCAL_OUT`, and `NF_BR_LOCAL_OUT`.
pub const LOCAL_OUT: u32 = 3;

const NESTED: u16 = 1 << 15;
const NFNL_SUBSYS_QUEUE: u16 = 3;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const HEADER: usize = 20;
/// The queue of the rules made here.
const QUEUE: u16 = 7;

/// What a rule does with every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It counts it.
    Counts,
    /// It passes it to a program, and takes what comes back.
    Queues,
}

/// Puts a rule at a hook of this network namespace. A [`Skip`] where this kernel has no such rules.
pub fn add(family: u8, hook: u32, rule: Rule) -> Result<()> {
    let text = |kind: u16, text: &str| attribute(kind, &[text.as_bytes(), &[0]].concat());
    let nested = |kind: u16, parts: &[Vec<u8>]| attribute(kind | NESTED, &parts.concat());
    let hook = nested(
        4,
        &[
            attribute(1, &hook.to_be_bytes()),
            attribute(2, &0_u32.to_be_bytes()),
        ],
    );
    let expression = match rule {
        Rule::Counts => vec![text(1, "counter"), nested(2, &[])],
        Rule::Queues => vec![
            text(1, "queue"),
            nested(
                2,
                &[
                    attribute(1, &QUEUE.to_be_bytes()),
                    attribute(2, &1_u16.to_be_bytes()),
                ],
            ),
        ],
    };
    let expressions = nested(4, &[nested(1, &expression)]);
    let (table, chain) = (text(1, "zctrace"), text(2, "all"));
    let of = |kind: u16| NFNL_SUBSYS_NFTABLES << 8 | kind;
    let create = (libc::NLM_F_CREATE | libc::NLM_F_ACK) as u16;
    let append = create | libc::NLM_F_APPEND as u16;
    let batch = [
        message(0x10, 0, 0, NFNL_SUBSYS_NFTABLES, &[]),
        message(of(0), create, family, 0, std::slice::from_ref(&table)),
        message(
            of(3),
            create,
            family,
            0,
            &[table.clone(), text(3, "all"), hook, text(7, "filter")],
        ),
        message(of(6), append, family, 0, &[table, chain, expressions]),
        message(0x11, 0, 0, NFNL_SUBSYS_NFTABLES, &[]),
    ];
    let netlink = open()?;
    send(netlink.as_raw_fd(), &batch.concat(), MsgFlags::empty()).context("nftables")?;
    for _ in 0..3 {
        answer(&netlink)?.map_err(|errno| absent(errno, "nftables"))?;
    }
    Ok(())
}

/// Takes away every rule made here of a family.
pub fn remove(family: u8) -> Result<()> {
    let kind = NFNL_SUBSYS_NFTABLES << 8 | 2;
    let name = attribute(1, b"zctrace\0");
    let batch = [
        message(0x10, 0, 0, NFNL_SUBSYS_NFTABLES, &[]),
        message(kind, libc::NLM_F_ACK as u16, family, 0, &[name]),
        message(0x11, 0, 0, NFNL_SUBSYS_NFTABLES, &[]),
    ];
    let netlink = open()?;
    send(netlink.as_raw_fd(), &batch.concat(), MsgFlags::empty()).context("nftables")?;
    answer(&netlink)?.context("removing rules")
}

/// A program that gets every packet of the queue and gives it back as it is; it ends when this is dropped.
#[derive(Debug)]
pub struct Reader(#[expect(dead_code, reason = "ends the program")] Forked);

impl Reader {
    /// Starts it. With `whole` it takes packets that are still to be segmented.
    pub fn start(whole: bool) -> Result<Self> {
        let netlink = open()?;
        let config = NFNL_SUBSYS_QUEUE << 8 | 2;
        let flags = u32::from(whole) * 4;
        let bind = [1, 0, 0, 0];
        let copies = [&0xffff_u32.to_be_bytes()[..], &[2]].concat();
        let steps = [
            vec![attribute(1, &bind)],
            vec![attribute(2, &copies)],
            vec![
                attribute(4, &4_u32.to_be_bytes()),
                attribute(5, &flags.to_be_bytes()),
            ],
        ];
        for step in steps {
            let message = message(config, libc::NLM_F_ACK as u16, 0, QUEUE, &step);
            send(netlink.as_raw_fd(), &message, MsgFlags::empty()).context("nfnetlink_queue")?;
            answer(&netlink)?.map_err(|errno| absent(errno, "nfnetlink_queue"))?;
        }
        // SAFETY: it only makes system calls and uses memory that exists.
        unsafe { Forked::start(&netlink, give_back) }.map(Self)
    }
}

/// Accepts packets until it is killed.
fn give_back(netlink: &OwnedFd) -> ! {
    const PACKET_HEADER: u16 = 1;
    static mut ROOM: [u8; 1 << 17] = [0; 1 << 17];
    // SAFETY: this process has one thread, and nothing else refers to it.
    let room = unsafe { (&raw mut ROOM).as_mut() }.expect("not null");
    // A verdict: header, and the attribute with the verdict and the packet's id.
    let mut verdict = [0_u8; HEADER + 12];
    verdict[0] = verdict.len() as u8;
    verdict[4..6].copy_from_slice(&(NFNL_SUBSYS_QUEUE << 8 | 1).to_ne_bytes());
    verdict[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    verdict[18..20].copy_from_slice(&QUEUE.to_be_bytes());
    verdict[HEADER] = 12;
    verdict[HEADER + 2] = 2;
    verdict[HEADER + 7] = libc::NF_ACCEPT as u8;
    loop {
        let Ok(length) = recv(netlink.as_raw_fd(), room, MsgFlags::empty()) else {
            continue;
        };
        let mut at = HEADER;
        while at + 8 <= length {
            let size = usize::from(u16::from_ne_bytes([room[at], room[at + 1]]));
            if u16::from_ne_bytes([room[at + 2], room[at + 3]]) == PACKET_HEADER {
                verdict[HEADER + 8..].copy_from_slice(&room[at + 4..at + 8]);
                let _ = send(netlink.as_raw_fd(), &verdict, MsgFlags::empty());
                break;
            }
            at += size.max(4).next_multiple_of(4);
        }
    }
}

fn open() -> Result<OwnedFd> {
    let opened = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    );
    opened.map_err(|errno| absent(errno, "nfnetlink"))
}

fn absent(errno: Errno, what: &str) -> anyhow::Error {
    match errno {
        Errno::EPROTONOSUPPORT
        | Errno::EOPNOTSUPP
        | Errno::ENOENT
        | Errno::EINVAL
        | Errno::EAFNOSUPPORT
        | Errno::EPERM => Skip(format!("no {what}: {errno}")).into(),
        _ => anyhow::Error::new(errno).context(what.to_owned()),
    }
}

fn message(kind: u16, flags: u16, family: u8, resource: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut bytes = ((HEADER + attributes.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
    bytes
}
