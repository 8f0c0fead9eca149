"""Marks regions of a test for `zctrace test`, which reports how the kernel moved bytes in each of them.

    import zctrace_region

    with zctrace_region.region("send a file"):
        ...

    @zctrace_region.region("send a file")
    def test_send(): ...

Without `zctrace test` it does nothing. A region includes the calling thread, and the threads and processes that this
thread starts in the region; `region(name, process=True)` includes the whole process. The name has at most 188 bytes and
no newline. `subprocess` closes descriptors: pass `pass_fds=zctrace_region.pass_fds()` to a program that marks regions
itself.
"""

import contextlib
import os
import stat

_fd = int(os.environ.get("ZCTRACE_REGION_FD") or -1)


def _mark(word, name, process):
    if _fd < 0:
        return
    line = f"{'process ' if process else ''}{word} {name}\n"
    # If the program was started with its descriptors closed, nothing is there, or something else.
    with contextlib.suppress(OSError):
        if stat.S_ISFIFO(os.fstat(_fd).st_mode):
            # One write is one marker.
            os.write(_fd, line.encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def region(name, process=False):
    """A region from here to the end of the block."""
    _mark("begin", name, process)
    try:
        yield
    finally:
        _mark("end", name, process)


def pass_fds():
    """What `subprocess` must leave open for a program that marks regions itself."""
    return (_fd,) if _fd >= 0 else ()
