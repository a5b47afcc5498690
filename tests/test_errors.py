"""Every error can be caught as what it is, and read."""

from __future__ import annotations

import pickle
import re

import pytest

from binsight import errors
from binsight.errors import BinsightError, BundleError, ImageError, InputError, MissingExtraError, OutputError

CLASSES = [getattr(errors, name) for name in errors.__all__]
SUBCLASSES = [c for c in CLASSES if c is not BinsightError]


def test_all_is_complete():
    """`__all__` names every error of the module, in alphabetical order."""
    defined = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, BinsightError)}
    assert errors.__all__ == sorted(defined)


@pytest.mark.parametrize("error", CLASSES)
def test_base(error):
    """One `except BinsightError` catches every error."""
    assert issubclass(error, BinsightError)


@pytest.mark.parametrize("error", SUBCLASSES)
def test_builtin(error):
    """Every error is also the builtin that fits, for code that knows nothing of binsight."""
    builtins = [c for c in error.__mro__ if c.__module__ == "builtins" and c not in {Exception, BaseException, object}]
    assert builtins[0] in {ValueError, OSError, ImportError}


@pytest.mark.parametrize("error", [InputError, OutputError])
def test_files_are_os_errors(error):
    """What cannot be read or written is an `OSError`."""
    assert issubclass(error, OSError)


def test_codes_are_unique():
    """No two errors share their machine-readable code."""
    codes = [error.code for error in CLASSES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", CLASSES)
def test_codes_are_words(error):
    """A code is one lower-case word, fit for JSON and metrics."""
    assert re.fullmatch("[a-z]+(_[a-z]+)*", error.code)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("EmptyImageError", "empty"),
        ("ImageTooLargeError", "too_large"),
        ("UnsupportedImageError", "not_an_image"),
        ("BrokenImageError", "broken"),
        ("TruncatedImageError", "truncated"),
    ],
)
def test_codes_of_pictures(name, code):
    """The codes of refused pictures are those that clients rely on."""
    error = getattr(errors, name)
    assert error.code == code
    assert issubclass(error, ImageError)


@pytest.mark.parametrize("error", CLASSES)
def test_docstring(error):
    """Every error says in one line what it means."""
    assert error.__doc__.splitlines()[0].endswith(".")


@pytest.mark.parametrize("error", [c for c in CLASSES if c not in {BundleError, MissingExtraError}])
def test_message(error):
    """The message comes out as it went in, also after a trip to another process."""
    caught = error("expected this, got that")
    assert str(caught) == "expected this, got that"
    assert str(pickle.loads(pickle.dumps(caught))) == "expected this, got that"  # noqa: S301


def test_bundle_error_with_file():
    """A fault of one file in a bundle begins with its name and keeps it, also after a trip to another process."""
    error = BundleError("is missing", file="model.onnx")
    for same in (error, pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert str(same) == "model.onnx: is missing"
        assert same.file == "model.onnx"


def test_bundle_error_without_file():
    """A fault of the bundle as a whole names no file."""
    error = BundleError("is empty")
    assert str(error) == "is empty"
    assert error.file is None


def test_missing_extra():
    """A missing extra is named with the command that installs it, also after a trip to another process."""
    error = MissingExtraError("Training", "train")
    for same in (error, pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert str(same) == 'Training needs an extra that is not installed: pip install "binsight[train]"'
        assert same.extra == "train"
    assert isinstance(error, ImportError)
