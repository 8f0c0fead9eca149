//! The running kernel's own description of its types (BTF).

use std::{fs, io, path::Path};

use btf_rs::{Btf, BtfType, Type};
use zctrace_common::Offsets;

/// Where the kernel publishes its BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The BTF cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// It is not there, or not to be read.
    #[error("cannot read the kernel's type information: {0}")]
    Read(#[from] io::Error),
    /// It makes no sense.
    #[error("cannot understand the kernel's type information: {0}")]
    Parse(#[from] btf_rs::Error),
}

/// A kernel's types.
pub struct Types(Btf);

impl Types {
    /// The types of the running kernel.
    ///
    /// # Errors
    /// When there is no BTF, or none that can be parsed.
    pub fn running() -> Result<Self, BtfError> {
        Self::from_file(Path::new(VMLINUX))
    }

    /// The types in a file.
    ///
    /// # Errors
    /// When the file cannot be read or parsed.
    pub fn from_file(path: &Path) -> Result<Self, BtfError> {
        // Not `Btf::from_file`: it asks for its place in the file at every type.
        Ok(Self(Btf::from_bytes(&fs::read(path)?)?))
    }

    /// The types of a module, of which only those are given that the kernel itself does not have.
    ///
    /// # Errors
    /// When they cannot be parsed.
    pub fn of_module(&self, types: &[u8]) -> Result<Self, BtfError> {
        Ok(Self(Btf::from_split_bytes(types, &self.0)?))
    }

    /// The number of a function among the types.
    #[must_use]
    pub fn function_id(&self, name: &str) -> Option<u32> {
        self.id(name, |found| matches!(found, Type::Func(_)))
    }

    /// The number of a typedef among the types.
    #[must_use]
    pub fn typedef_id(&self, name: &str) -> Option<u32> {
        self.id(name, |found| matches!(found, Type::Typedef(_)))
    }

    /// The number of the first type of this name that is wanted.
    fn id(&self, name: &str, is_wanted: impl Fn(&Type) -> bool) -> Option<u32> {
        let ids = self.0.resolve_ids_by_name(name).ok()?;
        let wanted = ids.into_iter().filter(|&id| {
            let found = self.0.resolve_type_by_id(id);
            found.is_ok_and(|found| is_wanted(&found))
        });
        wanted.min()
    }

    /// Offsets and enum values of this kernel and these modules; what they do not have stays absent.
    #[must_use]
    pub fn offsets(&self, modules: &[Self]) -> Offsets {
        Offsets::resolve(|source| {
            let mut all = std::iter::once(self).chain(modules);
            all.find_map(|types| types.value(source))
        })
    }

    /// The names of a function's parameters; `None` where the kernel does not describe it.
    #[must_use]
    pub fn parameters(&self, function: &str) -> Option<Vec<String>> {
        let types = self.0.resolve_types_by_name(function).ok()?;
        let function = types.iter().find_map(|ty| match ty {
            Type::Func(function) => Some(function),
            _ => None,
        })?;
        let Type::FuncProto(prototype) = self.0.resolve_chained_type(function).ok()? else {
            return None;
        };
        let name = |parameter| self.name(parameter).unwrap_or_default();
        Some(prototype.parameters.iter().map(|p| name(p)).collect())
    }

    /// Which of these enumerators an enumeration lacks; none if the kernel does not describe it.
    pub fn lacks<'a>(&self, name: &'a str, enumerators: &'a [&'a str]) -> Vec<&'a str> {
        let all = self.0.resolve_types_by_name(name).unwrap_or_default();
        let mut members = all.iter().filter_map(|ty| match ty {
            Type::Enum(ty) => Some(&ty.members),
            _ => None,
        });
        let Some(members) = members.next() else {
            return Vec::new();
        };
        let has = |wanted: &str| {
            let mut members = members.iter();
            members.any(|member| self.name(member).as_deref() == Some(wanted))
        };
        let missing = enumerators.iter().copied().filter(|wanted| !has(wanted));
        missing.collect()
    }

    /// The types of the first arguments of all functions of this name: `*` for each pointer, and the name; `none` where there is
    /// no argument.
    #[must_use]
    pub fn first_arguments(&self, function: &str) -> Vec<String> {
        let types = self.0.resolve_types_by_name(function).unwrap_or_default();
        let functions = types.iter().filter_map(|ty| match ty {
            Type::Func(function) => Some(function),
            _ => None,
        });
        functions
            .map(|function| {
                self.first_argument(function)
                    .unwrap_or_else(|| "none".to_owned())
            })
            .collect()
    }

    fn first_argument(&self, function: &btf_rs::Func) -> Option<String> {
        let Type::FuncProto(prototype) = self.0.resolve_chained_type(function).ok()? else {
            return None;
        };
        let mut name = String::new();
        let mut ty = self
            .0
            .resolve_type_by_id(prototype.parameters.first()?.get_type_id()?)
            .ok()?;
        loop {
            match &ty {
                Type::Ptr(_) => name.push('*'),
                Type::Const(_) | Type::Volatile(_) | Type::Restrict(_) | Type::TypeTag(_) => {}
                Type::Void => return Some(name + "void"),
                named => return Some(name + &self.name(named.as_btf_type()?)?),
            }
            ty = self.0.resolve_chained_type(ty.as_btf_type()?).ok()?;
        }
    }

    /// The value of a source expression of [`Offsets::resolve`].
    fn value(&self, source: &str) -> Option<u32> {
        if let Some(source) = source.strip_prefix("enum:") {
            let (name, enumerator) = source.split_once('.')?;
            return self.enumerator(name, enumerator);
        }
        if let Some(source) = source.strip_prefix("arg:") {
            let (function, name) = source.split_once('.')?;
            let position = self.parameters(function)?.iter().position(|p| p == name)?;
            return u32::try_from(position).ok()?.checked_sub(1);
        }
        if let Some(name) = source.strip_prefix("size:") {
            return self.size(name);
        }
        if let Some(source) = source.strip_prefix("bit:") {
            return self.bit_offset(source);
        }
        if let Some((array, index)) = source.strip_suffix(']').and_then(|s| s.split_once('[')) {
            let index: u32 = index.parse().ok()?;
            return Some(self.bit_offset(array)? / 8 + 8 * index);
        }
        self.bit_offset(source).map(|bits| bits / 8)
    }

    fn enumerator(&self, name: &str, enumerator: &str) -> Option<u32> {
        self.0
            .resolve_types_by_name(name)
            .ok()?
            .into_iter()
            .find_map(|ty| {
                let Type::Enum(ty) = ty else { return None };
                ty.members
                    .iter()
                    .find(|member| self.name(*member).as_deref() == Some(enumerator))
                    .map(btf_rs::EnumMember::val)
            })
    }

    fn size(&self, name: &str) -> Option<u32> {
        let types = self.0.resolve_types_by_name(name).ok()?;
        types.iter().find_map(|ty| match ty {
            Type::Struct(ty) => u32::try_from(ty.size()).ok(),
            _ => None,
        })
    }

    fn bit_offset(&self, source: &str) -> Option<u32> {
        let (name, members) = source.split_once('.')?;
        self.0
            .resolve_types_by_name(name)
            .ok()?
            .into_iter()
            .find_map(|ty| self.member_path(&ty, members))
    }

    /// The offset in bits of `members` (`a.b.c`) in `ty`, looking into anonymous members.
    fn member_path(&self, ty: &Type, members: &str) -> Option<u32> {
        let (first, rest) = match members.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (members, None),
        };
        let (Type::Struct(parent) | Type::Union(parent)) = ty else {
            return None;
        };
        for member in &parent.members {
            let name = self.name(member).unwrap_or_default();
            if name == first {
                let Some(rest) = rest else {
                    return Some(member.bit_offset());
                };
                let inner = self.plain_type(member)?;
                return Some(member.bit_offset() + self.member_path(&inner, rest)?);
            }
            if name.is_empty()
                && let Some(inner) = self.plain_type(member)
                && let Some(offset) = self.member_path(&inner, members)
            {
                return Some(member.bit_offset() + offset);
            }
        }
        None
    }

    /// The type of a member without typedefs and qualifiers.
    fn plain_type(&self, member: &dyn BtfType) -> Option<Type> {
        let mut ty = self.0.resolve_type_by_id(member.get_type_id()?).ok()?;
        while let Type::Typedef(_) | Type::Const(_) | Type::Volatile(_) | Type::TypeTag(_) = ty {
            ty = self.0.resolve_chained_type(ty.as_btf_type()?).ok()?;
        }
        Some(ty)
    }

    fn name(&self, ty: &dyn BtfType) -> Option<String> {
        self.0.resolve_name(ty).ok()
    }
}

/// Type information as a kernel would have it.
#[cfg(test)]
pub(crate) struct MadeUp {
    /// The section of types, as include/uapi/linux/btf.h has it.
    pub(crate) words: Vec<u32>,
    strings: Vec<u8>,
}

#[cfg(test)]
impl MadeUp {
    pub(crate) const PTR: u32 = 2 << 24;
    pub(crate) const STRUCT: u32 = 4 << 24;
    pub(crate) const ENUM: u32 = 6 << 24;
    pub(crate) const TYPEDEF: u32 = 8 << 24;
    pub(crate) const CONST: u32 = 10 << 24;
    pub(crate) const FUNC: u32 = 12 << 24;
    pub(crate) const FUNC_PROTO: u32 = 13 << 24;

    pub(crate) fn new() -> Self {
        Self {
            words: Vec::new(),
            strings: vec![0],
        }
    }

    /// The place of a name.
    pub(crate) fn name(&mut self, text: &str) -> u32 {
        let place = self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        place
    }

    pub(crate) fn types(&self) -> Types {
        let types = 4 * self.words.len() as u32;
        // Magic number and version, length of the header, where types and strings are.
        let header = [0x0001_eb9f, 24, 0, types, types, self.strings.len() as u32];
        let bytes: Vec<u8> = header
            .iter()
            .chain(&self.words)
            .flat_map(|word| word.to_le_bytes())
            .chain(self.strings.iter().copied())
            .collect();
        Types(Btf::from_bytes(&bytes).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_argument_is_told_by_its_type() {
        let mut btf = MadeUp::new();
        let [file, one, other, none] =
            ["file", "load_msg", "read_zero", "init"].map(|name| btf.name(name));
        #[rustfmt::skip]
        let words = vec![
            // 1: const void; 2: a pointer to it
            0, MadeUp::CONST, 0, 0, MadeUp::PTR, 1,
            // 3: struct file; 4: a pointer to it
            file, MadeUp::STRUCT, 8, 0, MadeUp::PTR, 3,
            // 5 and 6: a function of the first pointer and another argument
            0, MadeUp::FUNC_PROTO | 2, 0, 0, 2, 0, 4, one, MadeUp::FUNC, 5,
            // 7 and 8: a function of the second
            0, MadeUp::FUNC_PROTO | 1, 0, 0, 4, other, MadeUp::FUNC, 7,
            // 9 to 11: another one of this name, and one without arguments
            0, MadeUp::FUNC_PROTO, 0, other, MadeUp::FUNC, 9, none, MadeUp::FUNC, 9,
        ];
        btf.words = words;
        let types = btf.types();
        assert_eq!(types.first_arguments("load_msg"), ["*void"]);
        let mut both = types.first_arguments("read_zero");
        both.sort();
        assert_eq!(both, ["*file", "none"]);
        assert_eq!(types.first_arguments("init"), ["none"]);
        assert_eq!(types.first_arguments("absent"), [] as [&str; 0]);
    }
}
