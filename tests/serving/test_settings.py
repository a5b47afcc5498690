"""Settings are checked once, all faults together."""

from __future__ import annotations

from pathlib import Path

import pytest

from binsight.serving.settings import Settings, SettingsError


def test_defaults_listen_on_this_machine_only_with_nothing_optional_turned_on():
    """Safe defaults: loopback, no admin calls, no foreign origins, no stored photos."""
    settings = Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 9696)
    assert (settings.admin_keys, settings.cors_origins, settings.feedback_dir, settings.trusted_proxies) == (
        (),
        (),
        None,
        0,
    )


def test_all_faults_are_reported_together():
    """One message names every fault."""
    with pytest.raises(SettingsError) as caught:
        Settings(port=70000, deadline_s=0, models=(), tls_key=Path("key.pem"))
    assert [word in str(caught.value) for word in ("port", "deadline_s", "models", "tls_certificate")] == [True] * 4


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"max_body_bytes": 1}, "max_body_bytes"),
        ({"max_pending_bytes": 30_000_000}, "max_pending_bytes"),
        ({"queue_size": 8, "max_files": 9}, "queue_size"),
        ({"models": ("a=x", "a=y")}, "twice"),
        ({"models": ("../a=x",)}, "plain name"),
        ({"cors_origins": ("example.org",)}, "cors_origins"),
        ({"cors_origins": ("https://example.org/",)}, "cors_origins"),
        ({"workers": -1}, "workers"),
    ],
)
def test_contradictions_are_refused(values, word):
    """Values that cannot be together, or are no values at all, are named."""
    with pytest.raises(SettingsError, match=word):
        Settings(**values)
