# Marks regions of a test for `zctrace test`, which reports how the kernel moved bytes in each of them. Any POSIX shell:
#
#     . zctrace-region.sh
#     zctrace_begin "copy a file"
#     cp from to
#     zctrace_end "copy a file"
#
# Without `zctrace test` it does nothing. A region includes the programs that the shell starts in it. The name has at
# most 188 bytes and no newline.

zctrace_begin() {
    if [ -n "${ZCTRACE_REGION_FD:-}" ] && [ -p "/dev/fd/$ZCTRACE_REGION_FD" ]; then
        printf 'begin %s\n' "$1" >&"$ZCTRACE_REGION_FD"
    fi
}

zctrace_end() {
    if [ -n "${ZCTRACE_REGION_FD:-}" ] && [ -p "/dev/fd/$ZCTRACE_REGION_FD" ]; then
        printf 'end %s\n' "$1" >&"$ZCTRACE_REGION_FD"
    fi
}
