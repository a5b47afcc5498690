"""One file over HTTP."""

from __future__ import annotations

import hashlib

import pytest
from tests.dataset.web import serve

from binsight.dataset.download import download, file_sha256
from binsight.errors import InputError, OutputError

DATA = bytes(range(256)) * 4000


@pytest.fixture
def web():
    """Return a server with one file."""
    with serve() as running:
        running.files["/file"] = DATA
        yield running


@pytest.fixture
def waited():
    """Return what was waited, in seconds."""
    return []


def test_whole(tmp_path, web):
    """The file arrives whole, with nothing beside it, and its progress is told."""
    calls = []
    download(f"{web.url}/file", tmp_path / "f", progress=lambda done, total: calls.append((done, total)))
    assert (tmp_path / "f").read_bytes() == DATA
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert calls[0] == (0, len(DATA))
    assert calls[-1] == (len(DATA), len(DATA))
    assert file_sha256(tmp_path / "f") == hashlib.sha256(DATA).hexdigest()


def test_broken_connection(tmp_path, web, waited):
    """A connection that breaks is tried again, and goes on where it broke."""
    web.break_after["/file"] = [1000, 2000]
    download(f"{web.url}/file", tmp_path / "f", sleep=waited.append)
    assert (tmp_path / "f").read_bytes() == DATA
    assert [r for _, r in web.requests] == [None, "bytes=1000-", "bytes=3000-"]
    assert waited == [1.0, 2.0]


def test_later_call(tmp_path, web, waited):
    """What a call got before it gave up is used by the next."""
    web.break_after["/file"] = [1000] * 4
    with pytest.raises(InputError, match=r"the connection ended after 4,000 of 1,024,000 bytes"):
        download(f"{web.url}/file", tmp_path / "f", sleep=waited.append)
    assert not (tmp_path / "f").exists()
    download(f"{web.url}/file", tmp_path / "f", sleep=waited.append)
    assert web.requests[-1] == ("/file", "bytes=4000-")
    assert (tmp_path / "f").read_bytes() == DATA


def test_server_without_ranges(tmp_path, web, waited):
    """From a server that gives whole files only, the file is taken from its beginning."""
    web.ranges = False
    web.break_after["/file"] = [1000]
    download(f"{web.url}/file", tmp_path / "f", sleep=waited.append)
    assert (tmp_path / "f").read_bytes() == DATA


def test_file_changed_meanwhile(tmp_path, web, waited):
    """The rest of another version is never put behind the beginning of the first."""
    web.break_after["/file"] = [1000] * 4
    with pytest.raises(InputError):
        download(f"{web.url}/file", tmp_path / "f", sleep=waited.append)
    web.files["/file"] = DATA[::-1]
    download(f"{web.url}/file", tmp_path / "f", sleep=waited.append)
    assert (tmp_path / "f").read_bytes() == DATA[::-1]


def test_part_longer_than_the_file(tmp_path, web, waited):
    """A part that cannot be of this file is thrown away."""
    web.break_after["/file"] = [1000] * 4
    with pytest.raises(InputError):
        download(f"{web.url}/file", tmp_path / "f", sleep=waited.append)
    with (tmp_path / "f.part").open("ab") as file:
        file.write(DATA)
    download(f"{web.url}/file", tmp_path / "f", sleep=waited.append)
    assert (tmp_path / "f").read_bytes() == DATA


def test_busy_server(tmp_path, web, waited):
    """A server that is busy is asked again, one that says no is not."""
    web.statuses["/file"] = [503, 429]
    download(f"{web.url}/file", tmp_path / "f", sleep=waited.append)
    web.statuses["/file"] = [403]
    with pytest.raises(InputError, match="the server answers 403"):
        download(f"{web.url}/file", tmp_path / "g", sleep=waited.append)
    assert web.count()["/file"] == 4


def test_missing(tmp_path, web):
    """A file that is not there is an input error with the address."""
    with pytest.raises(InputError, match=f"{web.url}/none: the server answers 404"):
        download(f"{web.url}/none", tmp_path / "f")


def test_redirect(tmp_path, web):
    """A redirect is followed."""
    web.redirects["/old"] = f"{web.url}/file"
    download(f"{web.url}/old", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA


def test_nobody_there(tmp_path, waited):
    """A server that cannot be reached is an input error."""
    with serve() as gone:
        url = gone.url
    with pytest.raises(InputError, match="cannot get"):
        download(f"{url}/file", tmp_path / "f", sleep=waited.append)


def test_unwritable(tmp_path, web):
    """A folder that is not there is an output error."""
    with pytest.raises(OutputError, match="cannot write"):
        download(f"{web.url}/file", tmp_path / "none/f")
