//! What code does, by the name of a function or of a library.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

/// What a processor does in user space that costs time for each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// Nothing of what follows.
    Other,
    /// TLS and other ciphers, with their hashes.
    Ciphers,
    /// Compression and decompression.
    Compression,
    /// Copying memory. The last one, so that it counts where a function has several names.
    Copying,
}

impl Work {
    pub(super) const COUNT: usize = 4;
}

/// Names of functions that copy memory: of the C libraries, Go, and the Java virtual machine.
const COPYING: &[&str] = &[
    "memcpy",
    "memmove",
    "mempcpy",
    "bcopy",
    "memccpy",
    "__memcpy",
    "__memmove",
    "__mempcpy",
    "__folly_memcpy",
    "runtime.memmove",
    "runtime.memmove.abi0",
    "runtime.duffcopy",
    "runtime.duffcopy.abi0",
];

/// How such names begin, where a processor has its own variant or a tool its own copy.
const COPYING_FROM: &[&str] = &[
    "__memcpy_",
    "__memmove_",
    "__mempcpy_",
    "__asan_memcpy",
    "__asan_memmove",
    "__tsan_memcpy",
    "__tsan_memmove",
    "_Copy_conjoint_",
    "_Copy_arrayof_conjoint_",
    "_ZN4Copy",
];

const CIPHERS: &[&str] = &["sha1_block_data_order", "chacha20_poly1305_seal"];

const CIPHERS_FROM: &[&str] = &[
    "aes_",
    "AES_",
    "aesni_",
    "vpaes_",
    "bsaes_",
    "gcm_",
    "ghash_",
    "CRYPTO_gcm128_",
    "CRYPTO_ccm128_",
    "CRYPTO_chacha_20",
    "CRYPTO_poly1305",
    "ChaCha20_",
    "chacha20_",
    "poly1305_",
    "sha256_block_",
    "sha512_block_",
    "SHA256_",
    "EVP_",
    "SSL_",
    "ssl3_",
    "tls1_",
    "tls13_",
    "ring_core_",
    "aws_lc_",
    "crypto/",
    "vendor/golang.org/x/crypto/",
    "golang.org/x/crypto/",
    "_ZN4ring",
    "_ZN6rustls",
    "mbedtls_",
    "nettle_",
    "_nettle_",
    "gnutls_",
    "crypto_aead_",
    "crypto_stream_",
];

const COMPRESSION: &[&str] = &[
    "deflate",
    "inflate",
    "inflate_fast",
    "longest_match",
    "compress_block",
    "fill_window",
    "adler32_z",
    "crc32_z",
];

const COMPRESSION_FROM: &[&str] = &[
    "deflate_",
    "inflate_",
    "ZSTD_",
    "HUF_",
    "FSE_",
    "LZ4_",
    "LZ4HC_",
    "LZ4F_",
    "Brotli",
    "lzma_",
    "BZ2_",
    "libdeflate_",
    "snappy_",
    "_ZN6snappy",
    "_ZN11miniz_oxide",
    "compress/",
    "github.com/klauspost/compress/",
];

/// Libraries in which all time counts as ciphers.
const CIPHER_LIBRARIES: &[&str] = &[
    "libcrypto",
    "libssl",
    "libgnutls",
    "libnettle",
    "libhogweed",
    "libgcrypt",
    "libmbedcrypto",
    "libmbedtls",
    "libsodium",
    "libwolfssl",
    "libsoftokn",
    "libfreebl",
    "libssl3",
];

/// Libraries in which all time counts as compression.
const COMPRESSION_LIBRARIES: &[&str] = &[
    "libz",
    "libz-ng",
    "libzstd",
    "liblz4",
    "libbrotlienc",
    "libbrotlidec",
    "libbrotlicommon",
    "liblzma",
    "libbz2",
    "libdeflate",
    "libsnappy",
    "liblzo2",
];

/// Libraries of which it is known that they do nothing of this beside what they export: their functions without a
/// name are none of them.
const PLAIN_LIBRARIES: &[&str] = &[
    "libc",
    "ld-linux-x86-64",
    "ld-linux-aarch64",
    "libm",
    "libpthread",
    "libdl",
    "librt",
    "libgcc_s",
    "libstdc++",
];

/// A name of a function, or how one begins.
struct Known {
    name: &'static [u8],
    is_whole: bool,
    work: Work,
}

impl Known {
    fn is(&self, name: &[u8]) -> bool {
        name.get(1) == self.name.get(1)
            && if self.is_whole {
                name == self.name
            } else {
                name.starts_with(self.name)
            }
    }
}

/// What is known of functions, by their first byte: a large program has hundreds of thousands of names.
static KNOWN: LazyLock<[Vec<Known>; 256]> = LazyLock::new(|| {
    let mut known = [const { Vec::new() }; 256];
    // What comes first counts.
    for (names, is_whole, work) in [
        (COPYING, true, Work::Copying),
        (COPYING_FROM, false, Work::Copying),
        (CIPHERS, true, Work::Ciphers),
        (CIPHERS_FROM, false, Work::Ciphers),
        (COMPRESSION, true, Work::Compression),
        (COMPRESSION_FROM, false, Work::Compression),
    ] {
        for name in names.iter().map(|name| name.as_bytes()) {
            known[usize::from(name[0])].push(Known {
                name,
                is_whole,
                work,
            });
        }
    }
    known
});

/// What the function of this name does.
pub(super) fn of_function(name: &[u8]) -> Work {
    let Some(&first) = name.first() else {
        return Work::Other;
    };
    for known in &KNOWN[usize::from(first)] {
        if known.is(name) {
            return if known.work != Work::Copying && is_compiler_builtin(name) {
                Work::Copying
            } else {
                known.work
            };
        }
    }
    if is_compiler_builtin(name) {
        Work::Copying
    } else {
        Work::Other
    }
}

/// Rust's own memcpy, where no C library is linked: `compiler_builtins::mem::memcpy`, mangled either way.
fn is_compiler_builtin(name: &[u8]) -> bool {
    static CRATE: LazyLock<Finder> = LazyLock::new(|| Finder::new("compiler_builtins"));
    let has = |part: &str| memmem::find(name, part.as_bytes()).is_some();
    name.starts_with(b"_")
        && CRATE.find(name).is_some()
        && (has("memcpy") || has("memmove") || has("copy_forward") || has("copy_backward"))
}

/// What all of a library does, by the name of its file; `None` where that depends on the function.
pub(super) fn of_library(file: &[u8]) -> Option<Work> {
    let is_one = |names: &[&str]| names.iter().any(|name| is_library(file, name));
    if is_one(CIPHER_LIBRARIES) {
        Some(Work::Ciphers)
    } else if is_one(COMPRESSION_LIBRARIES) {
        Some(Work::Compression)
    } else {
        None
    }
}

/// Whether a function without a name in this library is known to do nothing of this.
pub(super) fn is_plain_library(file: &[u8]) -> bool {
    PLAIN_LIBRARIES.iter().any(|name| is_library(file, name))
}

/// Whether a file is a library of this name: `libz.so.1.2.13`, `libc-2.31.so`, but not `libzip.so`.
fn is_library(file: &[u8], name: &str) -> bool {
    file.strip_prefix(name.as_bytes()).is_some_and(|rest| {
        rest.starts_with(b".so")
            || rest.starts_with(b"-") && rest.get(1).is_some_and(u8::is_ascii_digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_by_their_names() {
        for name in [
            "memcpy",
            "__memmove_avx_unaligned_erms",
            "__memcpy_chk",
            "runtime.memmove",
            "_ZN17compiler_builtins3mem6memcpy17h0123456789abcdefE",
            "_Copy_arrayof_conjoint_bytes",
            // Both a copy and a part of a library of ciphers.
            "_ZN4ring17compiler_builtins3mem6memcpy17h0123456789abcdefE",
        ] {
            assert_eq!(of_function(name.as_bytes()), Work::Copying, "{name}");
        }
        for name in ["aesni_gcm_encrypt", "crypto/aes.gcmAesEnc", "SSL_write"] {
            assert_eq!(of_function(name.as_bytes()), Work::Ciphers, "{name}");
        }
        for name in ["ZSTD_compressBlock_fast", "inflate_fast", "longest_match"] {
            assert_eq!(of_function(name.as_bytes()), Work::Compression, "{name}");
        }
        for name in [
            "memset",
            "memcmp",
            "strcpy",
            "main",
            "",
            "m",
            "_",
            "memcpy_test_main",
        ] {
            assert_eq!(of_function(name.as_bytes()), Work::Other, "{name}");
        }
    }

    #[test]
    fn libraries_by_their_files() {
        assert_eq!(of_library(b"libcrypto.so.3"), Some(Work::Ciphers));
        assert_eq!(of_library(b"libz.so.1.2.13"), Some(Work::Compression));
        assert_eq!(of_library(b"libzip.so.4"), None);
        assert_eq!(of_library(b"libc.so.6"), None);
        assert!(is_plain_library(b"libc.so.6") && is_plain_library(b"libc-2.31.so"));
        assert!(!is_plain_library(b"libcurl.so.4") && !is_plain_library(b"libc++.so.1"));
    }
}
