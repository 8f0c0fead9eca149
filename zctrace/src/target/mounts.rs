//! What is mounted where, from the text of `/proc/self/mountinfo`.

use std::path::PathBuf;

/// A line of the file.
pub(crate) struct Mount<'a> {
    /// Major and minor number, as in `0:21`.
    pub(crate) device: &'a str,
    /// Where it is mounted.
    pub(crate) point: String,
    /// The filesystem type.
    pub(crate) kind: &'a str,
}

/// Every mount, in the order of the file.
pub(crate) fn all(mountinfo: &str) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut words = before.split(' ').skip(2);
        Some(Mount {
            device: words.next()?,
            point: unescape(words.nth(1)?),
            kind: after.split(' ').next()?,
        })
    })
}

/// Mount points of the filesystem type `kind`, in the order of the file.
pub(crate) fn of_type(mountinfo: &str, kind: &str) -> Vec<PathBuf> {
    all(mountinfo)
        .filter(|mount| mount.kind == kind)
        .map(|mount| mount.point.into())
        .collect()
}

/// The kernel writes blanks and backslashes as octal numbers.
fn unescape(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match (first, octal) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:1 - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:2 master:3 - cgroup2 cgroup2 rw
50 27 0:21 / /host\\040proc ro - proc proc rw
";

    #[test]
    fn mounts_are_found_by_type() {
        assert_eq!(
            of_type(MOUNTINFO, "cgroup2"),
            [PathBuf::from("/sys/fs/cgroup/unified")]
        );
        assert_eq!(
            of_type(MOUNTINFO, "proc"),
            [PathBuf::from("/proc"), PathBuf::from("/host proc")]
        );
        assert!(of_type(MOUNTINFO, "nfs").is_empty());
    }
}
