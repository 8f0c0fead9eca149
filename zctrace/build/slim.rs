//! Takes out of a BPF object what nothing reads: the DWARF from which its BTF was made, nine tenths of the file, and the
//! numbers of source lines, which every loaded program would keep, here and in the kernel.

use std::ops::Range;

use anyhow::{Context as _, Result};

/// Size of a section's header (`Elf64_Shdr`).
const HEADER: usize = 64;
/// `SHT_NULL`: a header whose section is gone. The headers of the others keep their numbers.
const GONE: u32 = 0;
/// `SHT_NOBITS`: a section without bytes in the file.
const NO_BITS: u32 = 8;
/// Where `struct btf_ext_header` has the length of the lines.
const LINES: usize = 20;

/// The object without it: 64 bits, little endian, as the caller has made it.
pub(crate) fn slim(object: &[u8]) -> Result<Vec<u8>> {
    let headers = usize::try_from(number::<8>(object, 0x28)?)?;
    let count = usize::try_from(number::<2>(object, 0x3c)?)?;
    let names = usize::try_from(number::<2>(object, 0x3e)?)?;
    let mut table = object
        .get(headers..headers + count * HEADER)
        .context("headers of sections beyond the end")?
        .to_vec();
    let place = |table: &[u8], section: usize| -> Result<Range<usize>> {
        let offset = usize::try_from(number::<8>(table, section * HEADER + 24)?)?;
        let size = usize::try_from(number::<8>(table, section * HEADER + 32)?)?;
        Ok(offset..offset + size)
    };
    let names = object
        .get(place(&table, names)?)
        .context("names beyond the end")?;
    let mut slim = object.get(..HEADER).context("no header")?.to_vec();
    for section in 1..count {
        let header = section * HEADER;
        let name = usize::try_from(number::<4>(&table, header)?)?;
        let name = names
            .get(name..)
            .and_then(|name| name.split(|byte| *byte == 0).next())
            .context("a name beyond the end")?;
        let target = name.strip_prefix(b".rel").unwrap_or(name);
        let is_of_lines = name == b".rel.BTF.ext";
        if target.starts_with(b".debug_") || is_of_lines {
            table[header..header + HEADER].fill(0);
            table[header + 4..header + 8].copy_from_slice(&GONE.to_le_bytes());
            continue;
        }
        let kind = u32::try_from(number::<4>(&table, header + 4)?)?;
        let range = place(&table, section)?;
        slim.resize(slim.len().next_multiple_of(16), 0);
        let offset = slim.len();
        table[header + 24..header + 32].copy_from_slice(&(offset as u64).to_le_bytes());
        if kind != NO_BITS {
            slim.extend(object.get(range).context("a section beyond the end")?);
        }
        if name == b".BTF.ext" {
            let lines = usize::try_from(number::<4>(&slim, offset + LINES)?)?;
            let kept = slim.len() - lines;
            // The lines are the last part, unless there are CO-RE relocations, which rustc does not make.
            if number::<4>(&slim, offset + LINES + 8)? == 0 {
                slim.truncate(kept);
                slim[offset + LINES..offset + LINES + 4].fill(0);
                // aya holds the place of an empty part against the end too.
                slim.copy_within(offset + LINES - 4..offset + LINES, offset + LINES + 4);
                let size = (kept - offset) as u64;
                table[header + 32..header + 40].copy_from_slice(&size.to_le_bytes());
            }
        }
    }
    slim.resize(slim.len().next_multiple_of(16), 0);
    let headers = slim.len() as u64;
    slim[0x28..0x30].copy_from_slice(&headers.to_le_bytes());
    slim.extend(table);
    Ok(slim)
}

fn number<const BYTES: usize>(bytes: &[u8], at: usize) -> Result<u64> {
    let bytes = bytes.get(at..at + BYTES).context("cut off")?;
    Ok(bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
