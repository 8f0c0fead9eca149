//! Takes out of a BPF object what nothing reads: the DWARF from which its BTF was made, nine tenths of the file, and the
//! numbers of source lines, which every loaded program would keep, here and in the kernel.

use anyhow::{Context as _, Result};
use object::{
    build::elf::{Builder, SectionData},
    elf::SHT_STRTAB,
};

/// Where `struct btf_ext_header` has the length of the lines.
const LINES: usize = 20;

/// The object without it: 64 bits, little endian, as the caller has made it.
pub(crate) fn slim(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    for section in &mut builder.sections {
        let name = section.name.as_slice();
        let target = name.strip_prefix(b".rel").unwrap_or(name);
        let is_of_lines = name == b".rel.BTF.ext";
        if target.starts_with(b".debug_") || is_of_lines {
            section.delete = true;
        } else if name == b".BTF.ext"
            && let SectionData::Data(data) = &mut section.data
        {
            let data = data.to_mut();
            let lines = usize::try_from(number(data, LINES)?)?;
            // The lines are the last part, unless there are CO-RE relocations, which rustc does not make.
            if number(data, LINES + 8)? == 0 {
                let kept = data
                    .len()
                    .checked_sub(lines)
                    .context("more lines than there is")?;
                data.truncate(kept);
                data[LINES..LINES + 4].fill(0);
                // aya holds the place of an empty part against the end too.
                data.copy_within(LINES - 4..LINES, LINES + 4);
            }
        }
    }
    // LLVM has one table of names for sections and symbols; the builder keeps them apart.
    let names = builder.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = SHT_STRTAB;
    names.data = SectionData::SectionString;
    builder.delete_orphans();
    let mut slim = Vec::new();
    builder.write(&mut slim)?;
    Ok(slim)
}

fn number(bytes: &[u8], at: usize) -> Result<u32> {
    let number = bytes.get(at..at + 4).context("cut off")?;
    Ok(u32::from_le_bytes(number.try_into()?))
}
