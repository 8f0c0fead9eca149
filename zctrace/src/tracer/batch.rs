//! Whole arrays in one system call: a call for each of thousands of slots is what a dashboard that
//! has nothing to show would otherwise spend its time on.

use std::{
    mem,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    Pod,
    maps::{Array, Map},
};
use aya_obj::generated::{bpf_attr, bpf_cmd};

use super::Error;

/// Every value of an array, by its index.
pub(super) fn values<V: Pod>(map: &Map) -> Result<Vec<V>, Error> {
    let array: Array<_, V> = Array::try_from(map)?;
    let length = array.len();
    if let Map::Array(data) = map
        && let Some(values) = lookup(data.fd().as_fd().as_raw_fd(), length)
    {
        return Ok(values);
    }
    let mut values = Vec::with_capacity(length as usize);
    for index in 0..length {
        values.push(array.get(&index, 0)?);
    }
    Ok(values)
}

/// `BPF_MAP_LOOKUP_BATCH`; `None` where the kernel does not do it for the whole array at once. The
/// caller has checked the size of `V` against the map.
fn lookup<V: Pod>(map: i32, length: u32) -> Option<Vec<V>> {
    let mut values: Vec<V> = Vec::with_capacity(length as usize);
    let mut keys = vec![0_u32; length as usize];
    let mut next = 0_u64;
    // SAFETY: a plain C union for which all zeros are a value.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    attr.batch.out_batch = (&raw mut next) as u64;
    attr.batch.keys = keys.as_mut_ptr() as u64;
    attr.batch.values = values.as_mut_ptr() as u64;
    attr.batch.count = length;
    attr.batch.map_fd = map.cast_unsigned();
    // SAFETY: keys and values have room for `count` of them. At the end of the map the call fails
    // with ENOENT; `count` says what it has written in any case.
    let count = unsafe {
        let result = libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_MAP_LOOKUP_BATCH as libc::c_long,
            &raw mut attr,
            size_of::<bpf_attr>(),
        );
        let at_end = std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT);
        if result != 0 && !at_end {
            return None;
        }
        attr.batch.count
    };
    // Those of an array come in the order of their indices.
    if count != length || keys.iter().zip(0..).any(|(&key, index)| key != index) {
        return None;
    }
    // SAFETY: the kernel has written all of them, and any bytes are a `V`.
    unsafe { values.set_len(length as usize) };
    Some(values)
}
