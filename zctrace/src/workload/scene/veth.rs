//! A pair of virtual network devices whose far end throws away what it gets, like a network does:
//! what is sent there leaves the machine as far as the sender knows.

use std::{
    cell::RefCell,
    fs::File,
    net::TcpListener,
    os::fd::{AsFd, AsRawFd as _},
    rc::{Rc, Weak},
    sync::mpsc,
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use nix::{
    errno::Errno,
    libc,
    sched::{CloneFlags, unshare},
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, send, socket},
};

use super::{
    interface::{FAR, Feature, Interfaces, NEAR},
    netlink::{answer, attribute},
    route::{ADDRESS, Between, FAR_ADDRESS, Far, Route},
};
use crate::workload::Skip;

/// An address beyond the far end.
pub const BEYOND: &str = "198.51.100.2:9";
/// Packets that the near end sends.
const MTU: libc::c_int = 20_000;
/// Packets that the far end takes: none of a test's.
const SMALL_MTU: libc::c_int = 68;

/// The pair; it goes with the network namespace, or when this is dropped.
#[derive(Debug)]
pub struct Veth {
    route: Route,
    /// Ends after what makes packets wait for it.
    between: Option<Between>,
    far: Far,
}

impl Veth {
    /// The pair that exists, or a new one: for several at once that send beyond it.
    pub fn common() -> Result<Rc<Self>> {
        thread_local! {
            static COMMON: RefCell<Weak<Veth>> = const { RefCell::new(Weak::new()) };
        }
        COMMON.with_borrow_mut(|common| {
            if let Some(veth) = common.upgrade() {
                return Ok(veth);
            }
            let veth = Rc::new(Self::new(true)?);
            *common = Rc::downgrade(&veth);
            Ok(veth)
        })
    }

    /// Makes the pair in the network namespace of the caller. The near end passes pages on if
    /// `gathers`.
    pub fn new(gathers: bool) -> Result<Self> {
        Self::make(gathers, SMALL_MTU)
    }

    /// Makes a pair whose far end takes what it gets.
    pub fn between_sockets() -> Result<Self> {
        Self::make(true, MTU)
    }

    /// Makes a pair whose far end is in a network namespace of its own, where a socket listens: what is
    /// sent there leaves the machine as far as the sender knows, and comes in as on another one.
    pub fn apart(route: Route) -> Result<(Self, TcpListener)> {
        let (tell, told) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let far = thread::spawn(move || -> Result<(TcpListener, Far)> {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|_| Skip("a network namespace needs root".into()))?;
            tell.send(File::open("/proc/thread-self/ns/net")?)?;
            begun.recv()?;
            let interfaces = Interfaces::new()?;
            interfaces.set_address(FAR, FAR_ADDRESS)?;
            interfaces.raise(FAR, 0)?;
            let far = route.far()?;
            Ok((TcpListener::bind((route.address(), 0))?, far))
        });
        let made = told.recv().map(|namespace| create(Some(&namespace)));
        // It goes too if the far end fails.
        let veth = matches!(made, Ok(Ok(()))).then_some(Self {
            route,
            between: None,
            far: Far::default(),
        });
        if veth.is_some() {
            begin.send(())?;
        }
        drop(begin);
        let listener = far.join().map_err(|_| anyhow!("the far end panicked"));
        // What went wrong first.
        made.unwrap_or(Ok(()))?;
        let (listener, far) = listener??;
        let mut veth = veth.context("no pair was made")?;
        veth.far = far;
        let interfaces = Interfaces::new()?;
        interfaces.set_address(NEAR, ADDRESS)?;
        if !route.gathers() {
            interfaces.set_feature(NEAR, Feature::ScatterGather, false)?;
        }
        interfaces.raise(NEAR, 0)?;
        veth.between = route.near(&mut veth.far)?;
        Ok((veth, listener))
    }

    fn make(gathers: bool, far_mtu: libc::c_int) -> Result<Self> {
        create(None::<&File>)?;
        let veth = Self {
            route: Route::Plain,
            between: None,
            far: Far::default(),
        };
        let interfaces = Interfaces::new()?;
        interfaces.set_mtu(NEAR, MTU)?;
        interfaces.set_mtu(FAR, far_mtu)?;
        interfaces.set_address(NEAR, ADDRESS)?;
        // The near one last: when it is opened both are up, so its queue is activated at once and not
        // some time later (`linkwatch_event`). Until then it throws packets away.
        for name in [FAR, NEAR] {
            // Without ARP nobody has to answer.
            interfaces.raise(name, libc::IFF_NOARP)?;
        }
        if !gathers {
            interfaces.set_feature(NEAR, Feature::ScatterGather, false)?;
        }
        Ok(veth)
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        // A failure leaves it to the end of the namespace.
        let _ = self.route.unmake();
        drop(self.between.take());
        let _ = link(
            libc::RTM_DELLINK,
            0,
            &attribute(libc::IFLA_IFNAME, NEAR.to_bytes_with_nul()),
        );
    }
}

/// Makes the pair. The far end goes into a network namespace if one is given.
fn create(namespace: Option<&impl AsFd>) -> Result<()> {
    const VETH_INFO_PEER: u16 = 1;
    let namespace = namespace.map_or_else(Vec::new, |namespace| {
        let fd = namespace.as_fd().as_raw_fd();
        attribute(libc::IFLA_NET_NS_FD, &fd.to_ne_bytes())
    });
    let far = [
        vec![0; IFINFOMSG],
        attribute(libc::IFLA_IFNAME, FAR.to_bytes_with_nul()),
        namespace,
    ]
    .concat();
    let info = [
        attribute(libc::IFLA_INFO_KIND, b"veth"),
        attribute(libc::IFLA_INFO_DATA, &attribute(VETH_INFO_PEER, &far)),
    ]
    .concat();
    let attributes = [
        attribute(libc::IFLA_IFNAME, NEAR.to_bytes_with_nul()),
        attribute(libc::IFLA_LINKINFO, &info),
    ]
    .concat();
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    match link(libc::RTM_NEWLINK, flags as u16, &attributes)? {
        Ok(()) => Ok(()),
        Err(Errno::EOPNOTSUPP) => Err(Skip("this kernel has no veth devices".into()).into()),
        Err(Errno::EPERM) => Err(Skip("making a network device needs root".into()).into()),
        Err(errno) => Err(errno).context("making a veth pair"),
    }
}

/// Size of `struct ifinfomsg`.
const IFINFOMSG: usize = 16;

/// Sends one request about a device and returns the kernel's answer to it.
fn link(kind: u16, flags: u16, attributes: &[u8]) -> Result<nix::Result<()>> {
    const HEADER: usize = 16;
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let flags = flags | (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let length = (HEADER + IFINFOMSG + attributes.len()) as u32;
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; IFINFOMSG]);
    message.extend(attributes);
    send(netlink.as_raw_fd(), &message, MsgFlags::empty()).context("netlink")?;
    answer(&netlink)
}
