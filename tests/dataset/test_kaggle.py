"""What Kaggle's library says, in words that help."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from binsight.dataset.kaggle import download_with_kagglehub, explain_failure
from binsight.errors import InputError, MissingExtraError

HANDLE = "somebody/waste"


class HTTPError(Exception):
    """As kagglehub raises it."""

    def __init__(self, status):
        super().__init__(f"{status} Client Error.")
        self.response = SimpleNamespace(status_code=status)


class UnauthenticatedError(Exception):
    """As kagglehub raises it."""


@pytest.fixture
def library(monkeypatch):
    """Put a module in place of kagglehub."""
    fake = ModuleType("kagglehub")
    monkeypatch.setitem(sys.modules, "kagglehub", fake)
    return fake


def test_download(tmp_path, library):
    """The library is asked for the set by its handle, into the folder that was named."""
    calls = []
    library.dataset_download = lambda handle, **options: calls.append((handle, options)) or str(tmp_path / "there")
    assert download_with_kagglehub(HANDLE, tmp_path) == tmp_path / "there"
    assert calls == [(HANDLE, {"output_dir": str(tmp_path)})]


def test_failure(tmp_path, library):
    """An error of the library becomes an input error."""

    def fail(*_args, **_options):
        raise HTTPError(403)

    library.dataset_download = fail
    with pytest.raises(InputError, match="KAGGLE_API_TOKEN"):
        download_with_kagglehub(HANDLE, tmp_path)


def test_not_installed(tmp_path, monkeypatch):
    """Without the library the message says which extra brings it."""
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(MissingExtraError, match=r'pip install "binsight\[data\]"'):
        download_with_kagglehub(HANDLE, tmp_path)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (HTTPError(401), "settings and put it into ~/.kaggle/access_token"),
        (HTTPError(403), f"if the set asks for consent, give it at https://www.kaggle.com/datasets/{HANDLE}"),
        (UnauthenticatedError("no"), "without an account"),
        (HTTPError(404), f"Kaggle has no set {HANDLE}"),
        (ConnectionError("refused"), "cannot reach Kaggle"),
        (TimeoutError(), "cannot reach Kaggle"),
        (ValueError("Invalid\n credentials  file"), "did not give somebody/waste: Invalid credentials file"),
    ],
)
def test_explanations(error, message):
    """Every failure says in one line what is missing."""
    explained = explain_failure(HANDLE, error)
    assert message in str(explained)
    assert "\n" not in str(explained)
