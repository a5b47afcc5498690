"""Silence, and its end."""

from __future__ import annotations

import logging
import os
import warnings

import pytest

from binsight.export.quiet import quiet


def _make_noise() -> None:
    os.write(2, b"compiled\n")
    logging.getLogger("some.library").warning("logged")
    warnings.warn("warned", stacklevel=1)


def test_inside_nothing_is_heard(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """What is written by compiled code, logged or warned of is dropped."""
    with quiet():
        _make_noise()
    assert (capfd.readouterr().err, caplog.records) == ("", [])


@pytest.mark.parametrize("error", [None, ValueError])
def test_afterwards_all_is_heard(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, error: type[Exception] | None
) -> None:
    """When it is over, by an exception too, everything is as before."""
    try:
        with quiet():
            if error:
                raise error
    except ValueError:
        pass
    with pytest.warns(UserWarning, match="warned"):
        _make_noise()
    assert "compiled" in capfd.readouterr().err
    assert [record.message for record in caplog.records] == ["logged"]
