"""Models pushed to MLflow: the real client against a store in a file, where it is installed."""

from __future__ import annotations

import sys

import pytest
from tests.tiny_bundle import tiny_bundle

from binsight.errors import MissingExtraError
from binsight.loop.mlflow_push import PushError, push_to_mlflow
from binsight.loop.registry import Registry


@pytest.fixture
def registry(tmp_path):
    """Return a registry with a champion."""
    registry = Registry(tmp_path / "registry", create=True)
    registry.add(tiny_bundle(tmp_path / "tiny"), by="ada")
    return registry


def test_without_mlflow_the_error_says_how_to_get_it(registry, monkeypatch):
    """And nothing is recorded."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match="registry push --to mlflow needs"):
        push_to_mlflow(registry, registry.find("champion"))
    assert registry.ledger.read()[-1].event == "add"


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_a_model_is_pushed_once_with_its_aliases(registry, tmp_path, monkeypatch):
    """The bundle can be had there; a second push moves the aliases only."""
    pytest.importorskip("mlflow", reason='MLflow is not installed: pip install "binsight[mlflow]"')
    from mlflow import MlflowClient  # noqa: PLC0415 - it may be missing

    monkeypatch.chdir(tmp_path)
    address, champion = f"sqlite:///{tmp_path}/mlflow.db", registry.find("champion")
    assert [push_to_mlflow(registry, champion, address=address) for _ in range(2)] == ["1", "1"]
    version = MlflowClient(address).get_model_version_by_alias("tiny", "champion")
    assert (version.version, version.tags["binsight.sha256"]) in {("1", champion.sha256), (1, champion.sha256)}
    files = [f.path for f in MlflowClient(address).list_artifacts(version.run_id, "bundle")]
    assert files == [f"bundle/{champion.sha256}.zip"]
    assert [e.event for e in registry.ledger.read()] == ["add", "push", "push"]


@pytest.mark.filterwarnings("ignore")
def test_what_mlflow_refuses_is_one_line(registry, tmp_path):
    """Whatever it says."""
    pytest.importorskip("mlflow", reason='MLflow is not installed: pip install "binsight[mlflow]"')
    with pytest.raises(PushError, match=r"MLflow did not take tiny 1\.0\.0 .*$"):
        push_to_mlflow(registry, registry.find("champion"), address=f"nothing://{tmp_path}")
