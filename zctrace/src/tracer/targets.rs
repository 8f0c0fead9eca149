//! What the programs are attached to, by its number among the kernel's types.
//!
//! aya finds a program's target by comparing its name with those of all functions of the kernel, again for each of
//! some 180 programs. The numbers are looked up here instead, once. aya is given types of which all but the targets
//! are empty, so that it finds the same numbers soon.

use std::collections::BTreeMap;

use aya::{Btf, BtfError, Endianness};
use aya_obj::btf::BtfKind;

use crate::{
    catalog::{self, Kind, Way},
    kernel::btf::Types,
};

/// The targets that the kernel itself has, with their kinds and names. Those of modules are not among them.
pub(super) struct Targets(BTreeMap<u32, (BtfKind, String)>);

impl Targets {
    /// Those of the whole catalog.
    pub(super) fn of(types: &Types) -> Self {
        let ways = catalog::probes().flat_map(|probe| probe.ways);
        let known = ways.filter_map(|way| {
            let (kind, name) = wanted(way)?;
            let id = match kind {
                BtfKind::Func => types.function_id(&name),
                _ => types.typedef_id(&name),
            };
            Some((id?, (kind, name)))
        });
        Self(known.collect())
    }

    /// The kernel's types, as far as aya needs them.
    ///
    /// # Errors
    /// When aya cannot read them.
    pub(super) fn btf(&self) -> Result<Btf, BtfError> {
        // The length of the header as include/uapi/linux/btf.h has it.
        const HEADER: u32 = 24;
        const MAGIC_AND_VERSION: u32 = 0x0001_eb9f;
        let head = |kind: BtfKind| (kind as u32) << 24;
        let mut types: Vec<[u32; 3]> = Vec::new();
        let mut names = vec![0];
        for (&id, (kind, name)) in &self.0 {
            // The first type has the number 1. A kind that aya does not look for takes the place of the others.
            types.resize(id.saturating_sub(1) as usize, [0, head(BtfKind::Fwd), 0]);
            types.push([names.len() as u32, head(*kind), 0]);
            names.extend(name.as_bytes());
            names.push(0);
        }
        let length = size_of_val(types.as_slice()) as u32;
        let header = [
            MAGIC_AND_VERSION,
            HEADER,
            0,
            length,
            length,
            names.len() as u32,
        ];
        let words = header.iter().chain(types.as_flattened());
        let mut bytes: Vec<u8> = words.flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(names);
        Btf::parse(&bytes, Endianness::default())
    }
}

/// The type that aya looks for to load a program for a way; none for programs that need none.
fn wanted(way: &Way) -> Option<(BtfKind, String)> {
    match way.kind {
        Kind::FEntry | Kind::FExit => Some((BtfKind::Func, way.symbol.to_owned())),
        Kind::BtfTracepoint => Some((BtfKind::Typedef, format!("btf_trace_{}", way.symbol))),
        Kind::KRetProbe | Kind::Clock => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::kernel::btf::{MadeUp, VMLINUX};

    /// What aya finds for every way of the catalog.
    fn found(btf: &Btf) -> Vec<(String, Option<u32>)> {
        let ways = catalog::probes().flat_map(|probe| probe.ways);
        ways.filter_map(wanted)
            .map(|(kind, name)| {
                let id = btf.id_by_type_name_kind(&name, kind).ok();
                (name, id)
            })
            .collect()
    }

    #[test]
    fn aya_finds_what_it_finds_among_all_types() {
        if !Path::new(VMLINUX).exists() {
            println!("SKIP: aya_finds_what_it_finds_among_all_types: no {VMLINUX}");
            return;
        }
        let targets = Targets::of(&Types::running().unwrap());
        let all = found(&Btf::from_sys_fs().unwrap());
        assert!(all.iter().any(|(_, id)| id.is_some()));
        assert_eq!(found(&targets.btf().unwrap()), all);
    }

    #[test]
    fn another_kind_of_the_same_name_is_not_found() {
        let mut btf = MadeUp::new();
        let [function, tracepoint] = ["vfs_read", "btf_trace_sys_enter"].map(|name| btf.name(name));
        #[rustfmt::skip]
        let words = vec![
            // 1 and 2: structures of these names; 3: a prototype
            function, MadeUp::STRUCT, 8, tracepoint, MadeUp::STRUCT, 8, 0, MadeUp::FUNC_PROTO, 0,
            // 4: a typedef of the function's name; 5 and 6: two functions of it
            function, MadeUp::TYPEDEF, 1, function, MadeUp::FUNC, 3, function, MadeUp::FUNC, 3,
            // 7: a function of the tracepoint's name; 8: its typedef
            tracepoint, MadeUp::FUNC, 3, tracepoint, MadeUp::TYPEDEF, 3,
        ];
        btf.words = words;
        let types = btf.types();
        assert_eq!(types.function_id("vfs_read"), Some(5));
        assert_eq!(types.typedef_id("btf_trace_sys_enter"), Some(8));
        let known = [
            (5, BtfKind::Func, "vfs_read"),
            (8, BtfKind::Typedef, "btf_trace_sys_enter"),
        ];
        let targets = Targets(
            known
                .map(|(id, kind, name)| (id, (kind, name.to_owned())))
                .into(),
        );
        let btf = targets.btf().unwrap();
        for (id, kind, name) in known {
            assert_eq!(btf.id_by_type_name_kind(name, kind).unwrap(), id);
        }
        assert!(
            btf.id_by_type_name_kind("vfs_read", BtfKind::Typedef)
                .is_err()
        );
        assert!(
            btf.id_by_type_name_kind("vfs_writev", BtfKind::Func)
                .is_err()
        );
    }

    #[test]
    fn a_kernel_without_any_target_has_none() {
        let btf = Targets(BTreeMap::new()).btf().unwrap();
        assert!(btf.id_by_type_name_kind("vfs_read", BtfKind::Func).is_err());
    }
}
