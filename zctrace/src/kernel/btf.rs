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
        let ids = self.0.resolve_ids_by_name(name).ok()?;
        ids.into_iter().find(|&id| {
            let found = self.0.resolve_type_by_id(id);
            matches!(found, Ok(Type::Func(_)))
        })
    }

    /// Offsets and enum values of this kernel and these modules; what they do not have stays absent.
    #[must_use]
    pub fn offsets(&self, modules: &[Self]) -> Offsets {
        Offsets::resolve(|source| {
            let mut all = std::iter::once(self).chain(modules);
            all.find_map(|types| types.value(source))
        })
    }

    /// Whether the kernel has a function of this name; inlined ones can be missing.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.0
            .resolve_types_by_name(name)
            .is_ok_and(|types| types.iter().any(|ty| matches!(ty, Type::Func(_))))
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
