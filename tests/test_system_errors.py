"""What the system refuses, in words."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest

from binsight.system_errors import describe_os_error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOENT, "x", "a.jpg"), "a.jpg: no such file or folder"),
        (OSError(errno.EACCES, "x", "a.jpg"), "a.jpg: no permission"),
        (OSError(errno.EISDIR, "x", "a"), "a: is a folder; expected a file"),
        (OSError(errno.ENOSPC, "x", "a"), "a: no space left on its disk"),
        (OSError(errno.EADDRINUSE, "x"), "the address is in use; choose another port"),
        (OSError(errno.ENOENT, "x", "a", None, "b"), "a to b: no such file"),
        (ssl.SSLError(1, "[SSL] PEM lib"), "TLS: "),
        (socket.gaierror(-2, "unknown"), "no such host, or no network: unknown"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "the connection was refused or cut off: refused"),
        (TimeoutError(), "no answer in time"),
        (OSError("in words"), "in words"),
        (OSError(99999, os.strerror(99999)), os.strerror(99999)),
        (OSError(), "OSError"),
    ],
)
def test_error_is_told_apart(error: OSError, words: str) -> None:
    """Each kind has words of its own, after the file where there is one."""
    assert describe_os_error(error).startswith(words)


def test_file_that_the_user_does_not_know() -> None:
    """A draft is not named."""
    assert describe_os_error(OSError(errno.ENOSPC, "x", ".draft"), named=False).startswith("no space left")
