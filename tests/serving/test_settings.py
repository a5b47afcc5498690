"""Settings are checked once, all faults together."""

from __future__ import annotations

from pathlib import Path

import pytest

from binsight.errors import SettingsError
from binsight.serving.security import new_key
from binsight.serving.settings import Settings, split_model


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


def test_model_whose_path_has_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exists under the whole text is a path; otherwise what stands before the sign is a name."""
    (tmp_path / "lr=0.01").mkdir()
    monkeypatch.chdir(tmp_path)
    assert split_model("lr=0.01") == (None, "lr=0.01")
    assert split_model("lab=my.zip") == ("lab", "my.zip")
    assert split_model("my model.zip") == (None, "my model.zip")
    assert Settings(models=("lr=0.01", "a=b")).models == ("lr=0.01", "a=b")


def test_what_is_served_comes_from_one_place(tmp_path):
    """Lessons and a registry would both decide it."""
    _, stored = new_key("boss")
    with pytest.raises(SettingsError, match="one of the two"):
        Settings(teach_dir=tmp_path / "a", registry_dir=tmp_path / "b", admin_keys=(stored,))
