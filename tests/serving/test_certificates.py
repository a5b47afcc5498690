"""Mistakes with the files of TLS, each told by the file that is at fault."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from binsight.errors import InputError
from binsight.serving.certificates import load_certificate


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return a certificate and its key."""
    return _issue(tmp_path, "one")


def _issue(folder: Path, name: str) -> tuple[Path, Path]:
    issued = trustme.CA().issue_cert("localhost")
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    return certificate, key


def test_sound_pair_is_loaded(pair: tuple[Path, Path]) -> None:
    """A certificate with its key gives a context for a server."""
    assert isinstance(load_certificate(*pair), ssl.SSLContext)


def test_key_of_another_certificate(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Both files are named."""
    certificate, key = pair[0], _issue(tmp_path, "two")[1]
    with pytest.raises(InputError, match=rf"the key {key} does not belong to the certificate {certificate}$"):
        load_certificate(certificate, key)


def test_files_changed_about(pair: tuple[Path, Path]) -> None:
    """A key where the certificate is wanted is said to be none."""
    with pytest.raises(InputError, match=rf"expected a PEM file with a certificate, .*; {pair[1]} has none$"):
        load_certificate(pair[1], pair[0])


@pytest.mark.parametrize("at_fault", [0, 1])
@pytest.mark.parametrize(
    ("content", "words"), [(None, "no such file"), (b"\x30\x82\xff", "expected a PEM file"), (b"", "expected a PEM")]
)
def test_file_that_cannot_be_read(pair: tuple[Path, Path], at_fault: int, content: bytes | None, words: str) -> None:
    """What is missing or is no PEM file is named."""
    path = pair[at_fault]
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=words) as raised:
        load_certificate(*pair)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("at_fault", [0, 1])
def test_damaged_file(pair: tuple[Path, Path], at_fault: int) -> None:
    """A PEM file whose middle is missing is named."""
    lines = pair[at_fault].read_text().splitlines(keepends=True)
    pair[at_fault].write_text("".join(lines[:2] + lines[-1:]))
    with pytest.raises(InputError, match=rf"cannot use {pair[at_fault]}: "):
        load_certificate(*pair)


def test_key_with_a_passphrase(pair: tuple[Path, Path]) -> None:
    """It is refused, not asked for on the terminal."""
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", pair[1], "-out", f"{pair[1]}.locked", "-passout", "pass:x"], check=True
    )
    with pytest.raises(InputError, match="it has a passphrase, which must be taken off"):
        load_certificate(pair[0], Path(f"{pair[1]}.locked"))
