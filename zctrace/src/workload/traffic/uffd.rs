//! userfaultfd: a process fills its own pages, by a copy, by zeros, by moving others there, or by
//! making those visible that the file has.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsRawFd as _, FromRawFd as _},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::MapFlags,
    },
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic,
    stage::mapping::{Mapping, page_size},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "uffd",
        "UFFDIO_COPY and UFFDIO_ZEROPAGE, and a copy to where a page is",
        fill,
    ),
    Traffic::new(
        "uffd-continue",
        "UFFDIO_CONTINUE: pages of a file in memory become visible",
        proceed,
    )
    .tag("uffd-cont"),
    Traffic::new(
        "uffd-move",
        "UFFDIO_MOVE: pages from one place to another",
        relocate,
    ),
];

const OBJECT: &str = "userfaultfd";
pub(crate) const MISSING: u64 = 1 << 0;
const MINOR: u64 = 1 << 2;
const FEATURE_MINOR_SHMEM: u64 = 1 << 10;
pub(crate) const FEATURE_MOVE: u64 = 1 << 16;

const API: libc::Ioctl = nix::request_code_readwrite!(0xaa, 0x3f, size_of::<Api>());
const REGISTER: libc::Ioctl = nix::request_code_readwrite!(0xaa, 0, size_of::<Register>());
pub(crate) const COPY: libc::Ioctl = nix::request_code_readwrite!(0xaa, 3, size_of::<Transfer>());
pub(crate) const ZEROPAGE: libc::Ioctl = nix::request_code_readwrite!(0xaa, 4, size_of::<Place>());
pub(crate) const MOVE: libc::Ioctl = nix::request_code_readwrite!(0xaa, 5, size_of::<Transfer>());
const CONTINUE: libc::Ioctl = nix::request_code_readwrite!(0xaa, 7, size_of::<Place>());

/// `struct uffdio_api`.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// `struct uffdio_copy`, and `struct uffdio_move`.
#[repr(C)]
struct Transfer {
    dst: u64,
    src: u64,
    len: u64,
    mode: u64,
    done: i64,
}

/// `struct uffdio_zeropage`, and `struct uffdio_continue`.
#[repr(C)]
struct Place {
    start: u64,
    len: u64,
    mode: u64,
    done: i64,
}

const _: () = assert!(size_of::<Transfer>() == 40 && size_of::<Place>() == 32);

/// A userfaultfd over a mapping.
pub(crate) struct Uffd(File);

impl Uffd {
    pub(crate) fn over(mapping: &Mapping, mode: u64, features: u64) -> Result<Self> {
        const USER_MODE_ONLY: libc::c_int = 1;
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | USER_MODE_ONLY) };
        let fd = match Errno::result(fd) {
            Err(Errno::ENOSYS) => return Err(Skip("this kernel has no userfaultfd".into()).into()),
            fd => i32::try_from(fd.context("userfaultfd")?)?,
        };
        // SAFETY: a descriptor that nobody else has.
        let uffd = Self(unsafe { File::from_raw_fd(fd) });
        let mut api = Api {
            api: 0xaa,
            features,
            ioctls: 0,
        };
        match uffd.ask(API, &mut api) {
            Err(Errno::EINVAL) => {
                return Err(Skip("this kernel's userfaultfd cannot do that".into()).into());
            }
            asked => asked.context("UFFDIO_API")?,
        }
        let mut register = Register {
            start: mapping.address() as u64,
            len: mapping.length() as u64,
            mode,
            ioctls: 0,
        };
        uffd.ask(REGISTER, &mut register)
            .context("UFFDIO_REGISTER")?;
        Ok(uffd)
    }

    fn ask<T>(&self, request: libc::Ioctl, argument: &mut T) -> nix::Result<()> {
        // SAFETY: the argument is what the request takes, and outlives the call.
        let result =
            unsafe { libc::ioctl(self.0.as_raw_fd(), request, std::ptr::from_mut(argument)) };
        Errno::result(result).map(drop)
    }

    /// `UFFDIO_COPY`, `UFFDIO_MOVE`.
    pub(crate) fn transfer(
        &self,
        request: libc::Ioctl,
        to: *mut u8,
        from: *mut u8,
        length: usize,
    ) -> nix::Result<i64> {
        let mut transfer = Transfer {
            dst: to as u64,
            src: from as u64,
            len: length as u64,
            mode: 0,
            done: 0,
        };
        self.ask(request, &mut transfer)?;
        Ok(transfer.done)
    }

    /// `UFFDIO_ZEROPAGE`, `UFFDIO_CONTINUE`.
    pub(crate) fn place(
        &self,
        request: libc::Ioctl,
        at: *mut u8,
        length: usize,
    ) -> nix::Result<i64> {
        let mut place = Place {
            start: at as u64,
            len: length as u64,
            mode: 0,
            done: 0,
        };
        self.ask(request, &mut place)?;
        Ok(place.done)
    }
}

/// Pages of a request.
const PIECE_PAGES: usize = 4;

fn piece_length() -> usize {
    PIECE_PAGES * page_size()
}

/// How many requests a run makes of each kind.
fn pieces(arena: &Arena) -> usize {
    (arena.sizes.bytes as usize).div_ceil(piece_length())
}

fn whole(done: nix::Result<i64>) -> Result<()> {
    let done = done?;
    ensure!(done == piece_length() as i64, "{done} bytes");
    Ok(())
}

fn fill(arena: &Arena) -> Result<Prepared> {
    let pieces = pieces(arena);
    let bytes = (pieces * piece_length()) as u64;
    drop(Uffd::over(&Mapping::absent(1)?, MISSING, 0)?);
    let (copied, calls) = (Class::CopiedFromUser, pieces as u64);
    let expected = Expected::new()
        .moves(Op::UffdCopy, OBJECT, copied, calls, bytes)
        .row(ExpectedRow::new(Op::UffdCopy, OBJECT).errors(libc::EEXIST, 1))
        .moves(Op::UffdZeropage, OBJECT, Class::Synthetic, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let source = Mapping::present(piece_length())?;
        let target = Mapping::absent(2 * pieces * PIECE_PAGES)?;
        let uffd = Uffd::over(&target, MISSING, 0)?;
        let at = |piece: usize| target.page(piece * PIECE_PAGES).as_ptr();
        for piece in 0..pieces {
            whole(uffd.transfer(COPY, at(piece), source.address(), piece_length()))
                .context("UFFDIO_COPY")?;
        }
        let again = uffd.transfer(COPY, at(0), source.address(), piece_length());
        ensure!(
            again == Err(Errno::EEXIST),
            "a page that is there: {again:?}"
        );
        // The same number means nothing to another file.
        let other = Uffd(File::open("/dev/null")?);
        let refused = other.transfer(COPY, at(pieces), source.address(), piece_length());
        ensure!(refused == Err(Errno::ENOTTY), "/dev/null: {refused:?}");
        for piece in pieces..2 * pieces {
            whole(uffd.place(ZEROPAGE, at(piece), piece_length())).context("UFFDIO_ZEROPAGE")?;
        }
        Ok(())
    }))
}

fn proceed(arena: &Arena) -> Result<Prepared> {
    let pieces = pieces(arena);
    let bytes = (pieces * piece_length()) as u64;
    let file = File::from(memfd_create(c"zctrace-uffd", MFdFlags::MFD_CLOEXEC)?);
    (&file).write_all(&vec![1; pieces * piece_length()])?;
    let map = move |file: &File| Mapping::of_file(file, pieces * PIECE_PAGES, MapFlags::MAP_SHARED);
    drop(Uffd::over(&map(&file)?, MINOR, FEATURE_MINOR_SHMEM)?);
    let (mapped, calls) = (Class::Mapped, pieces as u64);
    let expected = Expected::new().moves(Op::UffdContinue, OBJECT, mapped, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let target = map(&file)?;
        let uffd = Uffd::over(&target, MINOR, FEATURE_MINOR_SHMEM)?;
        for piece in 0..pieces {
            let at = target.page(piece * PIECE_PAGES).as_ptr();
            whole(uffd.place(CONTINUE, at, piece_length())).context("UFFDIO_CONTINUE")?;
        }
        Ok(())
    }))
}

fn relocate(arena: &Arena) -> Result<Prepared> {
    let pieces = pieces(arena);
    let bytes = (pieces * piece_length()) as u64;
    drop(Uffd::over(&Mapping::absent(1)?, MISSING, FEATURE_MOVE)?);
    let (mapped, calls) = (Class::Mapped, pieces as u64);
    let expected = Expected::new().moves(Op::UffdMove, OBJECT, mapped, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let source = Mapping::present(pieces * piece_length())?;
        let target = Mapping::absent(pieces * PIECE_PAGES)?;
        let uffd = Uffd::over(&target, MISSING, FEATURE_MOVE)?;
        for piece in 0..pieces {
            let page = piece * PIECE_PAGES;
            let (to, from) = (target.page(page).as_ptr(), source.page(page).as_ptr());
            whole(uffd.transfer(MOVE, to, from, piece_length())).context("UFFDIO_MOVE")?;
        }
        Ok(())
    }))
}
