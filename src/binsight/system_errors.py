"""What the system refuses, in words: files, disks, addresses, connections."""

from __future__ import annotations

import errno
import socket
import ssl

__all__ = ["describe_os_error"]

_ADVICE: dict[int, str] = {
    errno.ENOENT: "no such file or folder",
    errno.EACCES: "no permission",
    errno.EPERM: "not permitted",
    errno.EEXIST: "exists already",
    errno.EISDIR: "is a folder; expected a file",
    errno.ENOTDIR: "is below a file, or is one; expected a folder",
    errno.ENOTEMPTY: "is a folder that is not empty",
    errno.ENOSPC: "no space left on its disk; make room, or choose another place",
    errno.EDQUOT: "the quota of its disk is used up; make room, or choose another place",
    errno.EFBIG: "would be larger than its disk allows",
    errno.EROFS: "lies on a disk that can only be read; choose another place",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "links to itself",
    errno.EIO: "its disk cannot be read or written; it may be damaged",
    errno.EMFILE: "too many open files; use fewer --workers, or raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files on this machine",
    errno.EADDRINUSE: "the address is in use; choose another port, or stop what listens there",
    errno.EADDRNOTAVAIL: "the address is not one of this machine",
    errno.ENETUNREACH: "no network leads there",
    errno.EHOSTUNREACH: "no network leads there",
    errno.EAGAIN: "not available now; try again",
}


def describe_os_error(error: OSError, *, named: bool = True) -> str:
    """What went wrong with which file, address or connection, and what to do, on one line.

    Args:
        error: of the system.
        named: begin with the file; false where that is an intermediate one, of which the user knows nothing.
    """
    about = f"{error.filename}: " if named and error.filename is not None else ""
    if named and error.filename2 is not None:
        about = f"{error.filename} to {error.filename2}: "
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{about}TLS: the certificate of the other side cannot be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"{about}TLS: {getattr(error, 'reason', None) or error}"
    if isinstance(error, socket.gaierror):
        return f"{about}no such host, or no network: {error.strerror or error}"
    if isinstance(error, BrokenPipeError | ConnectionError):
        return f"{about}the connection was refused or cut off: {error.strerror or error}"
    if isinstance(error, TimeoutError):
        return f"{about}no answer in time"
    return about + _ADVICE.get(error.errno or 0, error.strerror or str(error) or type(error).__name__)
