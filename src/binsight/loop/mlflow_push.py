"""A model of the registry in MLflow's: the bundle as an artifact, a version of a registered model, the aliases."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from binsight.errors import BinsightError
from binsight.extras import needs_extra
from binsight.loop.registry import RegisteredModel, Registry

__all__ = ["PushError", "push_to_mlflow"]

_FOLDER = "bundle"


class PushError(BinsightError, OSError):
    """MLflow did not take a model."""

    code: ClassVar[str] = "push"


def push_to_mlflow(
    registry: Registry, model: RegisteredModel, *, address: str | None = None, name: str | None = None
) -> str:
    """Bring one model to MLflow; the version that it has there.

    Args:
        registry: where it is.
        model: which.
        address: of the tracking server; None: as MLFLOW_TRACKING_URI says.
        name: of the registered model; None: the registry's.

    Raises:
        MissingExtraError: MLflow is not installed.
        BundleError: the model's file is not what it was.
        PushError: MLflow refused, or cannot be reached.
    """
    with needs_extra("registry push --to mlflow", "mlflow"):
        from mlflow import MlflowClient  # noqa: PLC0415 - optional
        from mlflow.exceptions import MlflowException  # noqa: PLC0415
    registry.check(model.sha256)
    name = name or registry.name
    try:
        client = MlflowClient(tracking_uri=address)
        version = _push(client, MlflowException, registry.path(model.sha256), model, name)
    except (MlflowException, OSError) as error:
        raise PushError(f"MLflow did not take {model.label}: {' '.join(str(error).split())[:300]}") from error
    with registry.ledger.writing():
        registry.ledger.append("push", model=model.sha256, to="mlflow", name=name, version=version)
    return version


def _push(client: Any, refused: type[Exception], path: Path, model: RegisteredModel, name: str) -> str:
    for known in client.search_model_versions(f"name='{name}'"):
        if known.tags.get("binsight.sha256") == model.sha256:
            version = str(known.version)  # pushed before: only the aliases may have changed
            break
    else:
        found = client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else client.create_experiment(name)
        run = client.create_run(experiment, run_name=model.version, tags={"binsight.sha256": model.sha256})
        client.log_artifact(run.info.run_id, str(path), _FOLDER)
        client.set_terminated(run.info.run_id)
        with suppress(refused):  # it is there already
            client.create_registered_model(name)
        tags = {"binsight.sha256": model.sha256, "binsight.version": model.version}
        source = f"{run.info.artifact_uri}/{_FOLDER}"
        version = str(client.create_model_version(name, source, run.info.run_id, tags=tags).version)
    for alias in model.aliases:
        client.set_registered_model_alias(name, alias, version)
    return version
