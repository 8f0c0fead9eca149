//! Programs at functions of modules, by fexit and fentry: aya looks for functions in the kernel's own BTF
//! only, and has no way to name another. So the program is loaded and attached here, out of a second
//! copy of the object that uses the maps of the first.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
    sync::Arc,
};

use aya::{Ebpf, maps::Map};
use aya_obj::{
    Object,
    generated::{bpf_attach_type, bpf_attr, bpf_btf_info, bpf_cmd, bpf_prog_info, bpf_prog_type},
};

use super::bpf;
use crate::{
    catalog::{self, Kind, Way},
    kernel::btf::Types,
};

/// Modules with types that programs read, and without functions of the catalog.
const ONLY_TYPES: [&str; 2] = ["erofs", "f2fs"];

/// A program at a function of a module could not be attached.
#[derive(Debug, thiserror::Error)]
pub(super) enum ModuleError {
    /// No module that is loaded has the function, or its types cannot be read.
    #[error("no module describes it")]
    NotThere,
    /// The copy of the object cannot be used.
    #[error("the object cannot be used a second time: {0}")]
    Object(String),
    /// The kernel refused to load or attach the program.
    #[error("{cause}{}{log}", if .log.is_empty() { "" } else { ": " })]
    Refused {
        /// Why.
        #[source]
        cause: io::Error,
        /// What the verifier said.
        log: String,
    },
}

/// A function of a module.
struct Function {
    /// The types of the module.
    types: Arc<OwnedFd>,
    /// Its number among them.
    id: u32,
}

/// A loaded program.
struct Loaded {
    program: OwnedFd,
    link: Option<OwnedFd>,
}

/// The functions of modules that the catalog names, and the programs at them.
pub(super) struct Modules {
    data: &'static [u8],
    functions: HashMap<&'static str, Function>,
    /// What the modules that have them describe.
    described: Vec<Types>,
    object: Option<Object>,
    /// The object's own types, where they are known: with them the verifier looks at functions that are
    /// called once only.
    types: Option<OwnedFd>,
    programs: HashMap<String, Loaded>,
}

impl Modules {
    /// Looks for the catalog's functions in the modules that are loaded now. `data` is the object.
    pub(super) fn find(data: &'static [u8], kernel: &Types) -> Self {
        let mut functions = HashMap::new();
        let mut described = Vec::new();
        let wanted: BTreeSet<_> = catalog::probes()
            .flat_map(|probe| probe.ways)
            .filter_map(|way| Some((way.module?, way.symbol)))
            .collect();
        // Without the privilege to ask there is nothing to find: kretprobes are left.
        for types in all().into_iter().flatten() {
            let Ok((name, size)) = describe(types.as_fd()) else {
                continue;
            };
            let mut symbols = wanted
                .iter()
                .filter_map(|(module, symbol)| (*module == name).then_some(*symbol))
                .peekable();
            if symbols.peek().is_none() && !ONLY_TYPES.contains(&name.as_str()) {
                continue;
            }
            let Some(split) = read(types.as_fd(), size)
                .ok()
                .and_then(|bytes| kernel.of_module(&bytes).ok())
            else {
                continue;
            };
            let types = Arc::new(types);
            for symbol in symbols {
                if let Some(id) = split.function_id(symbol) {
                    let types = Arc::clone(&types);
                    functions.insert(symbol, Function { types, id });
                }
            }
            described.push(split);
        }
        Self {
            data,
            functions,
            described,
            object: None,
            types: None,
            programs: HashMap::new(),
        }
    }

    /// What the modules describe: their offsets are among those that programs need.
    pub(super) fn described(&self) -> &[Types] {
        &self.described
    }

    /// Frees what only attaching needs: the types of the kernel and its modules, and the copy of the object. Another
    /// copy is made if a program is attached again.
    pub(super) fn forget(&mut self) {
        self.described = Vec::new();
        self.object = None;
    }

    /// Loads the program of this name and attaches it.
    pub(super) fn attach(&mut self, ebpf: &Ebpf, way: &Way, name: &str) -> Result<(), ModuleError> {
        if !self.programs.contains_key(name) {
            let program = self.load(ebpf, way, name)?;
            let link = None;
            self.programs
                .insert(name.to_owned(), Loaded { program, link });
        }
        let Some(loaded) = self.programs.get_mut(name) else {
            return Err(ModuleError::NotThere);
        };
        let mut attr = bpf::attr();
        attr.raw_tracepoint.prog_fd = loaded.program.as_raw_fd().cast_unsigned();
        // SAFETY: it has a descriptor only.
        let link = unsafe { bpf::open(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr) };
        loaded.link = Some(link.map_err(|cause| ModuleError::Refused {
            cause,
            log: String::new(),
        })?);
        Ok(())
    }

    /// Detaches the program of this name and unloads it.
    pub(super) fn unload(&mut self, name: &str) {
        self.programs.remove(name);
    }

    /// The programs, by name.
    pub(super) fn programs(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        let programs = self.programs.iter();
        programs.map(|(name, loaded)| (name.as_str(), loaded.program.as_fd()))
    }

    fn load(&mut self, ebpf: &Ebpf, way: &Way, name: &str) -> Result<OwnedFd, ModuleError> {
        let function = self
            .functions
            .get(way.symbol)
            .ok_or(ModuleError::NotThere)?;
        let object = match &mut self.object {
            Some(object) => object,
            None => {
                self.types = types_of_programs(ebpf);
                self.object.insert(second_copy(self.data, ebpf)?)
            }
        };
        let program = object.programs.get(name).ok_or(ModuleError::NotThere)?;
        let code = object
            .functions
            .get(&program.function_key())
            .ok_or(ModuleError::NotThere)?;
        let at = match way.kind {
            Kind::FEntry => bpf_attach_type::BPF_TRACE_FENTRY,
            _ => bpf_attach_type::BPF_TRACE_FEXIT,
        };
        let functions = code.func_info.func_info_bytes();
        let mut attr = bpf::attr();
        {
            // SAFETY: all of `attr` is set: nothing but numbers.
            let load = unsafe { &mut attr.__bindgen_anon_3 };
            if let Some(types) = &self.types {
                load.prog_btf_fd = types.as_raw_fd().cast_unsigned();
                load.func_info = functions.as_ptr() as u64;
                load.func_info_cnt = code.func_info.len() as u32;
                load.func_info_rec_size = code.func_info_rec_size as u32;
            }
            load.prog_type = bpf_prog_type::BPF_PROG_TYPE_TRACING as u32;
            load.expected_attach_type = at as u32;
            load.insns = code.instructions.as_ptr() as u64;
            load.insn_cnt = code.instructions.len() as u32;
            load.license = program.license.as_ptr() as u64;
            load.attach_btf_id = function.id;
            load.__bindgen_anon_1.attach_btf_obj_fd = function.types.as_raw_fd().cast_unsigned();
            // The kernel keeps so much of it, with a zero behind it.
            let room = load.prog_name.len() - 1;
            for (to, from) in load.prog_name.iter_mut().zip(name.bytes().take(room)) {
                *to = from as libc::c_char;
            }
        }
        // SAFETY: `object` and `functions`, to which it points, outlive the calls.
        unsafe { load_logged(&mut attr) }
    }
}

/// Loads a program; again where the verifier was interrupted, as `load.rs` does, and where it refuses, to
/// learn why.
///
/// # Safety
/// What `attr` points to must be there.
unsafe fn load_logged(attr: &mut bpf_attr) -> Result<OwnedFd, ModuleError> {
    const TRIES: usize = 5;
    let mut cause = None;
    for _ in 0..TRIES {
        // SAFETY: the caller answers for it.
        match unsafe { bpf::open(bpf_cmd::BPF_PROG_LOAD, attr) } {
            Ok(program) => return Ok(program),
            Err(error) => {
                let again = error.kind() == io::ErrorKind::WouldBlock;
                cause = Some(error);
                if !again {
                    break;
                }
            }
        }
    }
    let cause = cause.unwrap_or_else(|| io::ErrorKind::WouldBlock.into());
    let mut log = vec![0; 1 << 20];
    {
        // SAFETY: as above.
        let load = unsafe { &mut attr.__bindgen_anon_3 };
        load.log_level = 1;
        load.log_size = log.len() as u32;
        load.log_buf = log.as_mut_ptr() as u64;
    }
    // SAFETY: and for the log there is room.
    if let Ok(program) = unsafe { bpf::open(bpf_cmd::BPF_PROG_LOAD, attr) } {
        return Ok(program);
    }
    let length = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    Err(ModuleError::Refused {
        cause,
        log: String::from_utf8_lossy(&log[..length]).into_owned(),
    })
}

/// The object once more, with the maps that are there.
fn second_copy(data: &[u8], ebpf: &Ebpf) -> Result<Object, ModuleError> {
    let wrong = |error: &dyn std::fmt::Display| ModuleError::Object(error.to_string());
    let mut object = Object::parse(data).map_err(|error| wrong(&error))?;
    let maps = std::mem::take(&mut object.maps);
    let descriptors: HashMap<_, _> = ebpf
        .maps()
        .filter_map(|(name, map)| Some((name, descriptor(map)?)))
        .collect();
    let known: Option<Vec<_>> = maps
        .iter()
        .map(|(name, map)| Some((name.as_str(), *descriptors.get(name.as_str())?, map)))
        .collect();
    // With one of them missing, aya-obj would panic.
    let known = known.ok_or_else(|| wrong(&"a map of another kind"))?;
    let text = object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    object
        .relocate_maps(known.into_iter(), &text)
        .map_err(|error| wrong(&error))?;
    object
        .relocate_calls(&text)
        .map_err(|error| wrong(&error))?;
    Ok(object)
}

/// The descriptor of a map of one of the kinds that the programs have.
fn descriptor(map: &Map) -> Option<RawFd> {
    let (Map::Array(data)
    | Map::HashMap(data)
    | Map::LruHashMap(data)
    | Map::PerCpuArray(data)
    | Map::Queue(data)
    | Map::RingBuf(data)
    | Map::StackTraceMap(data)) = map
    else {
        return None;
    };
    Some(data.fd().as_fd().as_raw_fd())
}

/// The types that came with the programs, which aya has given to the kernel.
fn types_of_programs(ebpf: &Ebpf) -> Option<OwnedFd> {
    ebpf.programs().find_map(|(_, program)| {
        let fd = program.fd().ok()?;
        // SAFETY: a plain C struct for which all zeros are a value.
        let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
        // SAFETY: it is what the kernel reports about a program, and asks for none of its lists.
        unsafe { bpf::info(fd.as_fd(), &mut info) }.ok()?;
        if info.btf_id == 0 {
            return None;
        }
        open(info.btf_id).ok()
    })
}

fn open(id: u32) -> io::Result<OwnedFd> {
    let mut attr = bpf::attr();
    attr.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
    // SAFETY: it has a number only.
    unsafe { bpf::open(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attr) }
}

/// The types of the kernel and of its modules.
fn all() -> io::Result<Vec<OwnedFd>> {
    let mut all = Vec::new();
    let mut id = 0;
    loop {
        let mut attr = bpf::attr();
        attr.__bindgen_anon_6.__bindgen_anon_1.start_id = id;
        // SAFETY: it has a number only.
        match unsafe { bpf::call(bpf_cmd::BPF_BTF_GET_NEXT_ID, &mut attr) } {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(all),
            Err(error) => return Err(error),
        }
        // SAFETY: the kernel wrote it.
        id = unsafe { attr.__bindgen_anon_6.next_id };
        match open(id) {
            Ok(types) => all.push(types),
            // Gone since.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The module that types are of, empty where they are a program's, and their size.
fn describe(types: BorrowedFd<'_>) -> io::Result<(String, u32)> {
    let mut name = [0_u8; 64];
    let mut info = EMPTY;
    info.name = name.as_mut_ptr() as u64;
    info.name_len = name.len() as u32;
    // SAFETY: it is what the kernel reports about types; for the name there is room.
    unsafe { bpf::info(types, &mut info)? };
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(0);
    let name = if info.kernel_btf == 0 {
        String::new()
    } else {
        String::from_utf8_lossy(&name[..length]).into_owned()
    };
    Ok((name, info.btf_size))
}

/// The types themselves.
fn read(types: BorrowedFd<'_>, size: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size as usize];
    let mut info = EMPTY;
    info.btf = bytes.as_mut_ptr() as u64;
    info.btf_size = size;
    // SAFETY: it is what the kernel reports about types; there is room for them.
    unsafe { bpf::info(types, &mut info)? };
    Ok(bytes)
}

const EMPTY: bpf_btf_info = bpf_btf_info {
    btf: 0,
    btf_size: 0,
    id: 0,
    name: 0,
    name_len: 0,
    kernel_btf: 0,
};
