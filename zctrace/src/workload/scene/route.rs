//! Ways out of the machine, each with something on it that copies pages or could copy them: devices without
//! scatter-gather, segmentation in software, encryption.
//!
//! They are made with the usual programs (`ip`, `tc`, `ethtool`, `wg`). Near and far are two network namespaces.

use std::{fs, net::Ipv4Addr};

use anyhow::{Context as _, Result};

use super::{
    interface::{FAR, Feature, Interfaces, NEAR},
    netfilter::{self, Reader, Rule},
    program::{run, run_with},
    tun::{Relay, Tun},
    xdp_program::Attached,
};

/// The address of the near end.
pub(super) const ADDRESS: [u8; 4] = [198, 51, 100, 1];
/// The address of the far end where that is in another network namespace.
pub(super) const FAR_ADDRESS: [u8; 4] = [198, 51, 100, 2];

/// What packets meet on their way to the other network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Nothing: a device that gathers pages and segments packets.
    Plain,
    /// A device that does not gather pages.
    NotGathering,
    /// The same behind a queue that holds packets back for a while.
    Held,
    /// A device without checksum offload: packets are made linear to be summed.
    NotSumming,
    /// A device that gathers pages, above one that does not.
    Macvlan,
    /// A device for which the kernel segments packets. The segments refer to the same pages.
    NotSegmenting,
    /// A queue that sends each packet twice.
    Twice,
    /// A bridge before the device.
    Bridge,
    /// A program that packets wait for, and that takes them in segments: the kernel copies to make them.
    Queued,
    /// The same, but it takes them whole.
    QueuedWhole,
    /// The first of these two, at a bridge.
    QueuedAtBridge,
    /// A tunnel that segments packets by copying them, before it encrypts.
    WireGuard,
    /// Packets are made linear to be encrypted.
    Ipsec,
    /// A device that encrypts, above the other one.
    Macsec,
    /// A tunnel whose packets are too large for the device, so IP cuts them into fragments.
    Fragmenting,
    /// A program at the far end that takes packets in pages of their own.
    Xdp,
    /// A program that takes packets from a device that does not gather pages, and gives them to another device.
    Tun,
    /// The same, with devices that gather pages and do not segment packets.
    TunWhole,
    /// A device that does not gather pages; another one joins the segments again (GRO), which are chained then: they
    /// are linear.
    Chained,
    /// A device for which the kernel segments packets; another one joins the segments again, which are chained once
    /// their pages are too many for one packet.
    ChainedPages,
    /// A program at the far end that takes packets in pages of their own, after which they are joined and chained.
    ChainedHeads,
}

/// The addresses of the ends of tunnels.
const INSIDE: [[u8; 4]; 2] = [[192, 0, 2, 1], [192, 0, 2, 2]];

/// The ends' private keys of WireGuard, and the public ones.
const KEYS: [[&str; 2]; 2] = [
    [
        "0PNv6ru4RMKuy2eYIdZoMnsX0kO3fW2VqnwVE7nmtlY=",
        "JKXUAaMJBDGaNHxGzcGeUGpHJlcAmTEoVtsKt7qDQUU=",
    ],
    [
        "8yHinii0RTiCVCLdbpmJH3TOD0JdwcawLUoo8jJnAU0=",
        "rDIwiCRjchClSxAb+Sc76lStE6YHynkoNLZGEb4Y/Cc=",
    ],
];

/// What goes when nobody keeps it: a program that packets wait for.
#[derive(Debug)]
#[expect(dead_code, reason = "each ends its program")]
pub(super) enum Between {
    Reader(Reader),
    Relay(Relay),
}

/// What there is at the far end besides the device.
#[derive(Debug, Default)]
pub(super) struct Far {
    program: Option<Attached>,
    tun: Option<Tun>,
}

impl Route {
    /// Whether the kernel copies the pages of files and pipes on this way.
    pub(in crate::workload) const fn copies(self) -> bool {
        match self {
            Self::Plain
            | Self::NotSegmenting
            | Self::Twice
            | Self::Bridge
            | Self::QueuedWhole
            | Self::TunWhole
            | Self::ChainedPages => false,
            Self::NotGathering
            | Self::Held
            | Self::NotSumming
            | Self::Macvlan
            | Self::Queued
            | Self::QueuedAtBridge
            | Self::WireGuard
            | Self::Ipsec
            | Self::Macsec
            | Self::Fragmenting
            | Self::Xdp
            | Self::Tun
            | Self::Chained
            | Self::ChainedHeads => true,
        }
    }

    /// Whether the device of the pair gathers pages.
    pub(super) const fn gathers(self) -> bool {
        !matches!(
            self,
            Self::NotGathering | Self::Held | Self::Macvlan | Self::Chained
        )
    }

    /// Where the far end listens.
    pub(super) const fn address(self) -> Ipv4Addr {
        let [a, b, c, d] = match self {
            Self::WireGuard | Self::Macsec | Self::Fragmenting | Self::Tun | Self::TunWhole => {
                INSIDE[1]
            }
            _ => FAR_ADDRESS,
        };
        Ipv4Addr::new(a, b, c, d)
    }

    /// Makes the near part, once the device is up, and gives the program that packets wait for.
    pub(super) fn near(self, far: &mut Far) -> Result<Option<Between>> {
        self.near_devices()?;
        let family = match self {
            Self::Queued | Self::QueuedWhole => netfilter::IPV4,
            Self::QueuedAtBridge => netfilter::BRIDGE,
            Self::Tun | Self::TunWhole => {
                // The program waits for longer than TCP does before it sends its last packet once more.
                fs::write("/proc/sys/net/ipv4/tcp_early_retrans", "0")
                    .context("tcp_early_retrans")?;
                let near = Tun::end(c"zcttun", INSIDE[0], self == Self::TunWhole)?;
                let far = far.tun.take().context("no device at the far end")?;
                return Ok(Some(Between::Relay(Relay::start(near, far)?)));
            }
            _ => return Ok(None),
        };
        let reader = Reader::start(self == Self::QueuedWhole)?;
        netfilter::add(family, netfilter::LOCAL_OUT, Rule::Queues)?;
        Ok(Some(Between::Reader(reader)))
    }

    fn near_devices(self) -> Result<()> {
        match self {
            Self::Plain
            | Self::NotGathering
            | Self::Queued
            | Self::QueuedWhole
            | Self::Xdp
            | Self::Tun
            | Self::TunWhole
            | Self::Chained
            | Self::ChainedHeads => Ok(()),
            Self::ChainedPages => {
                Interfaces::new()?.set_feature(NEAR, Feature::Segmentation, false)
            }
            Self::NotSegmenting => run(
                "ethtool -K zctnear tcp-segmentation-offload off generic-segmentation-offload off",
            ),
            Self::NotSumming => run("ethtool -K zctnear tx-checksumming off"),
            Self::Macvlan => {
                run("ip address flush dev zctnear")?;
                run("ip link add link zctnear name zctmacvlan type macvlan mode bridge")?;
                run(&format!(
                    "ip address add {}/24 dev zctmacvlan",
                    text(ADDRESS)
                ))?;
                run("ip link set zctmacvlan up")
            }
            Self::Twice => run("tc qdisc add dev zctnear root netem duplicate 100%"),
            Self::Held => run("tc qdisc add dev zctnear root netem delay 100ms"),
            Self::Bridge | Self::QueuedAtBridge => {
                run("ip address flush dev zctnear")?;
                run("ip link add zctbridge type bridge")?;
                run("ip link set zctnear master zctbridge")?;
                run(&format!(
                    "ip address add {}/24 dev zctbridge",
                    text(ADDRESS)
                ))?;
                run("ip link set zctbridge up")
            }
            Self::WireGuard => wireguard(0, FAR_ADDRESS),
            Self::Ipsec => ipsec(ADDRESS, FAR_ADDRESS),
            Self::Macsec => macsec("zctnear", 0),
            Self::Fragmenting => tunnel(0, [ADDRESS, FAR_ADDRESS]),
        }
    }

    /// Makes the far part, once the device is up.
    pub(super) fn far(self) -> Result<Far> {
        let mut far = Far::default();
        match self {
            Self::WireGuard => wireguard(1, ADDRESS)?,
            Self::Ipsec => ipsec(FAR_ADDRESS, ADDRESS)?,
            Self::Macsec => macsec("zctfar", 1)?,
            Self::Fragmenting => tunnel(1, [FAR_ADDRESS, ADDRESS])?,
            Self::Xdp => far.program = Some(Attached::on("zctfar")?),
            Self::Chained | Self::ChainedPages => {
                Interfaces::new()?.set_feature(FAR, Feature::ReceiveOffload, true)?;
            }
            Self::ChainedHeads => {
                far.program = Some(Attached::on("zctfar")?);
                Interfaces::new()?.set_feature(FAR, Feature::ReceiveOffload, true)?;
            }
            Self::Tun | Self::TunWhole => {
                let whole = self == Self::TunWhole;
                far.tun = Some(Tun::end(c"zctfartun", INSIDE[1], whole)?);
            }
            _ => {}
        }
        Ok(far)
    }

    /// Takes away what does not go with the device.
    pub(super) fn unmake(self) -> Result<()> {
        match self {
            Self::Bridge => run("ip link delete zctbridge"),
            Self::Queued | Self::QueuedWhole => netfilter::remove(netfilter::IPV4),
            Self::QueuedAtBridge => {
                let removed = netfilter::remove(netfilter::BRIDGE);
                run("ip link delete zctbridge").and(removed)
            }
            Self::WireGuard => run("ip link delete zctwg"),
            Self::Fragmenting => run("ip link delete zctgre"),
            Self::Ipsec => {
                run("ip xfrm policy flush")?;
                run("ip xfrm state flush")
            }
            _ => Ok(()),
        }
    }
}

fn text([a, b, c, d]: [u8; 4]) -> String {
    format!("{a}.{b}.{c}.{d}")
}

fn wireguard(end: usize, other: [u8; 4]) -> Result<()> {
    let (near, far) = (INSIDE[end], INSIDE[1 - end]);
    run("ip link add zctwg type wireguard")?;
    let ([private, _], [_, public]) = (KEYS[end], KEYS[1 - end]);
    let line = format!(
        "wg set zctwg private-key /dev/stdin listen-port 51820 peer {public} allowed-ips {}/32 endpoint {}:51820",
        text(far),
        text(other)
    );
    run_with(&line, private)?;
    run(&format!("ip address add {}/24 dev zctwg", text(near)))?;
    run("ip link set zctwg up")
}

fn ipsec(own: [u8; 4], other: [u8; 4]) -> Result<()> {
    const KEY: &str = "0x00112233445566778899aabbccddeeff00112233";
    for (from, to, direction) in [(own, other, "out"), (other, own, "in")] {
        let (from, to) = (text(from), text(to));
        // The index is that of the receiver's address, the same at both ends.
        let index = if to == text(FAR_ADDRESS) { 1 } else { 2 };
        run(&format!(
            "ip xfrm state add src {from} dst {to} proto esp spi {index} mode transport aead rfc4106(gcm(aes)) {KEY} 128"
        ))?;
        run(&format!(
            "ip xfrm policy add src {from} dst {to} proto 6 dir {direction} tmpl src {from} dst {to} proto esp mode transport"
        ))?;
    }
    Ok(())
}

/// A tunnel that lets packets be cut into fragments, whatever the packets in them say, and takes larger ones than the
/// device.
fn tunnel(end: usize, [own, other]: [[u8; 4]; 2]) -> Result<()> {
    run(&format!(
        "ip link add zctgre type gre local {} remote {} nopmtudisc ignore-df",
        text(own),
        text(other)
    ))?;
    run(&format!(
        "ip address add {}/24 dev zctgre",
        text(INSIDE[end])
    ))?;
    run("ip link set zctgre mtu 4000 up")
}

fn macsec(device: &str, end: usize) -> Result<()> {
    const ADDRESSES: [&str; 2] = ["02:00:5e:00:53:01", "02:00:5e:00:53:02"];
    const KEY: &str = "00112233445566778899aabbccddeeff";
    let (own, other) = (ADDRESSES[end], ADDRESSES[1 - end]);
    run(&format!("ip link set {device} address {own}"))?;
    run(&format!(
        "ip link add link {device} zctmacsec type macsec encrypt on"
    ))?;
    run(&format!(
        "ip macsec add zctmacsec tx sa 0 pn 1 on key 0{end} {KEY}"
    ))?;
    run(&format!(
        "ip macsec add zctmacsec rx address {other} port 1"
    ))?;
    run(&format!(
        "ip macsec add zctmacsec rx address {other} port 1 sa 0 pn 1 on key 0{} {KEY}",
        1 - end
    ))?;
    run(&format!(
        "ip address add {}/24 dev zctmacsec",
        text(INSIDE[end])
    ))?;
    run("ip link set zctmacsec up")
}
