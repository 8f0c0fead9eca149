//! Sizes of operations cost memory, and are counted on demand only.

use std::{fs::File, io::Read as _};

use nix::unistd::gettid;
use zctrace::tracer::{Config, Session};

#[test]
#[ignore = "needs root and BPF"]
fn sizes_that_are_not_asked_for_are_not_there() {
    let mut session = Session::start(&Config {
        tasks: vec![u32::try_from(gettid().as_raw()).expect("an id")],
        ..Config::default()
    })
    .expect("the probes attach");
    let mut zero = File::open("/dev/zero").expect("a device");
    zero.read_exact(&mut [0; 100]).expect("zeros");
    let reading = session.read().expect("the maps");
    assert!(reading.total.ops > 0, "{reading:?}");
    assert!(reading.sizes.is_empty());
}
