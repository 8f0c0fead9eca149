//! Whole maps in one system call: a call for each of thousands of slots is what a dashboard that
//! has nothing to show would otherwise spend its time on.

use std::{
    mem,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    Pod,
    maps::{Array, HashMap, Map},
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

/// Every entry of a hash, which is empty afterwards but for what came meanwhile.
pub(super) fn take<K: Pod, V: Pod>(map: &mut Map) -> Result<Vec<(K, V)>, Error> {
    let info = match map {
        Map::HashMap(data) => Some((data.fd().as_fd().as_raw_fd(), data.info()?.max_entries())),
        _ => None,
    };
    let mut hash: HashMap<_, K, V> = HashMap::try_from(map)?;
    if let Some((fd, room)) = info
        && let Some(entries) = lookup_and_delete(fd, room)
    {
        return Ok(entries);
    }
    let keys: Vec<K> = hash.keys().flatten().collect();
    let mut entries = Vec::with_capacity(keys.len());
    for key in keys {
        if let Ok(value) = hash.get(&key, 0) {
            entries.push((key, value));
            hash.remove(&key)?;
        }
    }
    Ok(entries)
}

/// `BPF_MAP_LOOKUP_AND_DELETE_BATCH`; `None` where the kernel does not do it for the whole hash at once. The caller has
/// checked the sizes of `K` and `V` against the map.
fn lookup_and_delete<K: Pod, V: Pod>(map: i32, room: u32) -> Option<Vec<(K, V)>> {
    let (keys, values) = batch::<K, V>(bpf_cmd::BPF_MAP_LOOKUP_AND_DELETE_BATCH, map, room)?;
    Some(keys.into_iter().zip(values).collect())
}

/// `BPF_MAP_LOOKUP_BATCH`; `None` where the kernel does not do it for the whole array at once. The
/// caller has checked the size of `V` against the map.
fn lookup<V: Pod>(map: i32, length: u32) -> Option<Vec<V>> {
    let (keys, values) = batch::<u32, V>(bpf_cmd::BPF_MAP_LOOKUP_BATCH, map, length)?;
    // Those of an array come in the order of their indices.
    keys.into_iter().eq(0..length).then_some(values)
}

/// The keys and values of a map from its beginning, at most `room` of them.
fn batch<K: Pod, V: Pod>(command: bpf_cmd, map: i32, room: u32) -> Option<(Vec<K>, Vec<V>)> {
    let mut keys: Vec<K> = Vec::with_capacity(room as usize);
    let mut values: Vec<V> = Vec::with_capacity(room as usize);
    let mut next = 0_u64;
    // SAFETY: a plain C union for which all zeros are a value.
    let mut attr: bpf_attr = unsafe { mem::zeroed() };
    attr.batch.out_batch = (&raw mut next) as u64;
    attr.batch.keys = keys.as_mut_ptr() as u64;
    attr.batch.values = values.as_mut_ptr() as u64;
    attr.batch.count = room;
    attr.batch.map_fd = map.cast_unsigned();
    // SAFETY: keys and values have room for `count` of them. At the end of the map the call fails with ENOENT; `count`
    // says how many it has written in any case.
    let count = unsafe {
        let result = libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            &raw mut attr,
            size_of::<bpf_attr>(),
        );
        let at_end = std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT);
        if result != 0 && !at_end {
            return None;
        }
        attr.batch.count.min(room)
    };
    // SAFETY: the kernel has written so many of both, and any bytes are a `K` and a `V`.
    unsafe {
        keys.set_len(count as usize);
        values.set_len(count as usize);
    }
    Some((keys, values))
}
