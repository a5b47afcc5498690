"""The certificate of a server, and its key: loaded, or refused by the name of the file that is at fault."""

from __future__ import annotations

import ssl
from pathlib import Path

from binsight.errors import InputError
from binsight.system_errors import describe_os_error

__all__ = ["load_certificate"]


def load_certificate(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context for a server that shows the certificate.

    Args:
        certificate: PEM file with the certificate chain, the server's own first.
        key: PEM file with its private key, without a passphrase.

    Raises:
        InputError: a file cannot be read, is no PEM file of its kind, or the key is of another certificate.
    """
    _expect(certificate, "CERTIFICATE-----", "a certificate")
    _expect(key, "PRIVATE KEY-----", "a private key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InputError(f"TLS: the key {key} does not belong to the certificate {certificate}") from error
        # What is wrong with the certificate shows without the key, too.
        at_fault = key if _is_certificate(certificate) else certificate
        detail = (
            "it has a passphrase, which must be taken off"
            if b"ENCRYPTED" in at_fault.read_bytes()
            else error.reason or error
        )
        raise InputError(f"TLS: cannot use {at_fault}: {detail}") from error
    return context


def _expect(path: Path, mark: str, what: str) -> None:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"TLS: cannot read {describe_os_error(error)}") from error
    if mark.encode() not in text:
        raise InputError(f"TLS: expected a PEM file with {what}, with a line -----BEGIN ... {mark}; {path} has none")


def _is_certificate(path: Path) -> bool:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        return False
    return True
