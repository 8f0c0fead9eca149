//! A sample as it comes out of the ring.

use std::mem::offset_of;

use zctrace_common::{StackKey, StackSample};

/// Registers and memory of a user's stack.
pub(super) struct Sample<'a> {
    pub(super) key: StackKey,
    pub(super) bytes: u64,
    pub(super) pc: u64,
    pub(super) sp: u64,
    pub(super) fp: u64,
    #[cfg_attr(
        target_arch = "x86_64",
        expect(dead_code, reason = "there is no such register")
    )]
    pub(super) lr: u64,
    memory: &'a [u8],
}

impl<'a> Sample<'a> {
    /// Nothing if it is shorter than a sample is.
    pub(super) fn of(item: &'a [u8]) -> Option<Self> {
        let number = |offset: usize| -> Option<u64> {
            let bytes = item.get(offset..offset + 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let half = |offset: usize| -> Option<u32> {
            let bytes = item.get(offset..offset + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let memory = item.get(offset_of!(StackSample, memory)..)?;
        let length = usize::try_from(number(offset_of!(StackSample, length))?).ok()?;
        Some(Self {
            key: StackKey {
                start_ns: number(offset_of!(StackKey, start_ns))?,
                tgid: half(offset_of!(StackKey, tgid))?,
                kind: half(offset_of!(StackKey, kind))?,
                kernel: half(offset_of!(StackKey, kernel))?.cast_signed(),
                user: half(offset_of!(StackKey, user))?.cast_signed(),
            },
            bytes: number(offset_of!(StackSample, bytes))?,
            pc: number(offset_of!(StackSample, pc))?,
            sp: number(offset_of!(StackSample, sp))?,
            fp: number(offset_of!(StackSample, fp))?,
            lr: number(offset_of!(StackSample, lr))?,
            memory: memory.get(..length)?,
        })
    }

    /// The 8 bytes at an address of the stack, if they were kept.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let offset = usize::try_from(address.checked_sub(self.sp)?).ok()?;
        let bytes = self.memory.get(offset..offset.checked_add(8)?)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(length: u64) -> Vec<u8> {
        let mut item = vec![0; size_of::<StackSample>()];
        let mut put = |offset: usize, number: u64| {
            item[offset..offset + 8].copy_from_slice(&number.to_ne_bytes());
        };
        put(offset_of!(StackSample, sp), 0x7000);
        put(offset_of!(StackSample, length), length);
        put(offset_of!(StackSample, memory), 11);
        put(offset_of!(StackSample, memory) + 8, 12);
        item
    }

    #[test]
    fn words_are_those_of_the_stack_that_could_be_read() {
        let item = item(12);
        let sample = Sample::of(&item).unwrap();
        assert_eq!(sample.word(0x7000), Some(11));
        assert_eq!(sample.word(0x7004), Some(12 << 32));
        for outside in [0x7005, 0x7008, 0x6fff, 0, u64::MAX] {
            assert_eq!(sample.word(outside), None, "{outside:#x}");
        }
    }

    #[test]
    fn what_is_no_sample_is_nothing() {
        assert!(Sample::of(&[]).is_none());
        assert!(Sample::of(&[0; 72]).is_some_and(|sample| sample.word(0).is_none()));
        assert!(Sample::of(&item(1 << 20)).is_none());
        assert!(Sample::of(&item(u64::MAX)).is_none());
    }
}
