"""The manifests below `deploy/kubernetes` agree with the server and the commands that they run."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

from binsight.batch.engines.part import Part, find_part
from binsight.cli.batch_run import run
from binsight.serving.app import create_app
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
pytestmark = pytest.mark.skipif(not DEPLOY.is_dir(), reason="not in the source tree")


def manifest(name: str) -> Any:
    """Return a Kubernetes manifest."""
    return yaml.safe_load((DEPLOY / "kubernetes" / f"{name}.yaml").read_text(encoding="utf-8"))


def container() -> Any:
    """Return the deployment's only container."""
    (only,) = manifest("base/deployment")["spec"]["template"]["spec"]["containers"]
    return only


@pytest.fixture
def exit_code(tmp_path: Path) -> Callable[[str, int], int]:
    """Return what a shell makes of a command where `binsight` ends with a code."""

    def run_it(command: str, code: int) -> int:
        program = tmp_path / "binsight"
        program.write_text(f"#!/bin/sh\nexit {code}\n")
        program.chmod(0o755)
        place = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "JOB": "s3://out/job1"}
        return subprocess.run(["sh", "-c", command], env=place, check=False).returncode

    return run_it


def test_batch_jobs(exit_code: Callable[[str, int], int]) -> None:
    """Their commands exist with these options, error rows are no failure, and a part is told how many there are."""
    spec = manifest("batch/job")["spec"]
    (only,) = spec["template"]["spec"]["containers"]
    variables = {entry["name"]: entry.get("value") for entry in only["env"]}
    assert variables["JOB_COMPLETIONS"] == str(spec["completions"])
    assert find_part(None, {"JOB_COMPLETION_INDEX": "3", **variables}) == Part(3, spec["completions"])
    for command in (only["command"][-1], manifest("batch/rayjob")["spec"]["entrypoint"]):
        words = shlex.split(command.partition(" || ")[0])
        assert words[:3] == ["binsight", "batch", "run"]
        run.make_parser(click.Context(run)).parse_args(args=words[3:])
        if sys.platform != "win32":
            assert [exit_code(command, code) for code in (0, 2, 1)] == [0, 0, 1]


def test_ray_image_has_the_version_that_is_said() -> None:
    """KubeRay asks for it before it gives the cluster a token."""
    cluster = manifest("batch/rayjob")["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52)


def overlay(name: str) -> Any:
    """Return the pod template of an overlay's patch."""
    return manifest(f"overlays/{name}/deployment")["spec"]["template"]


@pytest.mark.parametrize("name", ["model-by-digest", "model-on-volume", "model-as-image"])
def test_model_is_where_the_server_looks(name: str) -> None:
    """The container is the deployment's; the volume holds the model, and cannot be written."""
    pod = overlay(name)["spec"]
    (served,) = pod["containers"]
    assert served["name"] == container()["name"]
    (mount,) = served["volumeMounts"]
    assert mount["readOnly"] is True
    assert mount["name"] == pod["volumes"][0]["name"]
    (model,) = (entry["value"] for entry in served["env"] if entry["name"] == "BINSIGHT_MODEL")
    assert model.startswith(f"{mount['mountPath']}/")


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("sha256sum"), reason="needs sh and sha256sum")
@pytest.mark.parametrize("name", ["model-by-digest", "model-on-volume"])
def test_model_of_another_digest_never_serves(name: str, tmp_path: Path) -> None:
    """The digest of the pod template, and of nothing else, decides; the first container ends with an error."""
    template = overlay(name)
    (digest,) = template["metadata"]["annotations"]
    (first,), (served,) = template["spec"]["initContainers"], template["spec"]["containers"]
    for one in (first, served):
        told = {entry["name"]: entry for entry in one["env"]}
        field = told["SHA256"]["valueFrom"]["fieldRef"]["fieldPath"]
        assert field == f"metadata.annotations['{digest}']"
        assert told["BINSIGHT_MODEL"]["value"].endswith("/$(SHA256).zip")
        assert [entry["name"] for entry in one["env"]].index("SHA256") == 0  # or $(SHA256) stays as it is
    (tmp_path / "curl").write_text('#!/bin/sh\nfor last; do :; done\ncp "$last" "$BINSIGHT_MODEL"\n')
    (tmp_path / "curl").chmod(0o755)
    (tmp_path / "there.zip").write_bytes(b"a model")
    for content, code in ((b"a model", 0), (b"another", 1)):
        place = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "BINSIGHT_MODEL": str(tmp_path / "fetched.zip" if "curl" in first["image"] else tmp_path / "there.zip"),
            "URL": str(tmp_path / "there.zip"),
            "SHA256": hashlib.sha256(content).hexdigest(),
        }
        assert subprocess.run(first["command"], env=place, check=False, capture_output=True).returncode == code


def test_fetching_may_go_out() -> None:
    """To names, and to HTTPS; the deployment itself may not."""
    rules = manifest("overlays/model-by-digest/networkpolicy")["spec"]["egress"]
    assert [port["port"] for rule in rules for port in rule["ports"]] == [53, 53, 443]
    assert manifest("base/networkpolicy")["spec"]["egress"] == []


def test_canary_and_mirror(shared_bundle: Path) -> None:
    """Both models' services are asked; what is mirrored is what classifies."""
    suffix = manifest("overlays/canary/candidate/kustomization")["nameSuffix"]
    route = list(yaml.safe_load_all((DEPLOY / "kubernetes/overlays/canary/route.yaml").read_text(encoding="utf-8")))[1]
    service = manifest("base/service")
    (rule,) = route["spec"]["rules"]
    weights = {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}
    assert list(weights) == [name := service["metadata"]["name"], name + suffix]
    assert sum(weights.values()) == 100
    (patch,) = manifest("overlays/mirror/kustomization")["patches"]
    (change,) = yaml.safe_load(patch["patch"])
    mirrored, rest = change["value"]
    (filtered,) = mirrored["filters"]
    assert filtered["requestMirror"]["backendRef"]["name"] == name + suffix
    assert (
        mirrored["backendRefs"] == rest["backendRefs"] == [{"name": name, "port": service["spec"]["ports"][0]["port"]}]
    )
    app = create_app(Settings(models=(str(shared_bundle),), access_log=False), load=False)
    routes = [str(rule) for rule in app.url_map.iter_rules()]
    for match in mirrored["matches"]:
        assert any(path.startswith(match["path"]["value"]) for path in routes)


def test_probes(shared_bundle: Path) -> None:
    """The probes ask addresses that the server has."""
    client = create_app(Settings(models=(str(shared_bundle),), access_log=False), load=False).test_client()
    paths = {container()[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert {path: client.get(path).status_code for path in paths} == {"/health/ready": 503, "/health/live": 200}


def test_grace() -> None:
    """A pod is given the time to leave the service and then to finish what it has."""
    pod = manifest("base/deployment")["spec"]["template"]["spec"]
    leaving = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > leaving + Settings().drain_timeout_s


def test_scaling() -> None:
    """New replicas come long before the queue of one is full."""
    (metric,) = [m["pods"] for m in manifest("base/hpa")["spec"]["metrics"] if m["type"] == "Pods"]
    assert metric["metric"]["name"] == "binsight_queue_depth"
    assert int(metric["target"]["averageValue"]) <= Settings().queue_size / 4


def test_confined() -> None:
    """The container runs as nobody in particular, on a root that it cannot write, without any capability."""
    pod = manifest("base/deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}\n" in dockerfile


def test_selectors() -> None:
    """Service, budget, policy and scaling mean the pods of the deployment."""
    labels = manifest("base/deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("base/service")["spec"]["selector"] == labels
    assert manifest("base/pdb")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("base/networkpolicy")["spec"]["podSelector"]["matchLabels"] == labels
    assert manifest("base/hpa")["spec"]["scaleTargetRef"]["name"] == manifest("base/deployment")["metadata"]["name"]


def test_kustomization_is_complete() -> None:
    """Every manifest is applied."""
    files = {path.name for path in (DEPLOY / "kubernetes" / "base").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(manifest("base/kustomization")["resources"]) == files
