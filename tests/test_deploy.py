"""The files under `deploy/` and the Dockerfile agree with the server that they run."""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
import pytest
import yaml
from tests.line.services import mosquitto
from tests.line.watched import WatchedLine

from binsight import __version__
from binsight.batch.engines.part import Part, find_part
from binsight.cli.batch_run import run
from binsight.cli.serve import serve
from binsight.edge.settings import read_settings
from binsight.line.config import load_line_config
from binsight.line.packml import State
from binsight.line.sorters.register_map import FAULT_BITS
from binsight.predictor import Predictor
from binsight.serving.app import create_app
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture(scope="module")
def metrics(shared_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the metrics of a server that has answered one request, and shows a line."""
    line = WatchedLine(tmp_path_factory.mktemp("line"))
    line.piece()
    line.review()
    line.engine.alarms.set("link", active=True)
    line.monitor.measure_purities()
    app = create_app(Settings(models=(str(shared_bundle),), workers=1, access_log=False), lines=[line.monitor])
    client = app.test_client()
    client.post("/predict", data=b"no photo", content_type="image/png")
    app.extensions["binsight"].drain(5)
    text = client.get("/metrics").text
    line.close()
    return text


def named_metrics() -> Iterator[tuple[str, str]]:
    """Give every metric that the dashboard, the alerts and the scaling ask for, with the file that does."""
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file():
            for name in re.findall(r"\b(?:binsight|process)_[a-z_]+\b", path.read_text(encoding="utf-8")):
                yield name, path.name


def test_metrics_exist(metrics: str) -> None:
    """Every metric that is asked for is one that the server has."""
    known = set(re.findall(r"^# TYPE (\w+)", metrics, re.MULTILINE))
    known |= {f"{name}{suffix}" for name in known for suffix in ("_bucket", "_sum", "_count", "_total")}
    asked = dict(named_metrics())
    assert len(asked) > 10
    assert {name: file for name, file in asked.items() if name not in known} == {}


def test_labels_exist(metrics: str) -> None:
    """The labels by which requests and pieces are told apart are those of the server."""
    for sample in (
        'binsight_requests_total{method="POST",route="/predict",status="415"} 1.0',
        'binsight_line_pieces_total{lane="1",line="line1",status="confirmed"} 1.0',
        'binsight_line_decisions_total{decision="review",line="line1",reason="low_confidence"} 1.0',
        'binsight_line_categories_total{category="red",line="line1"} 2.0',
        'binsight_line_alarm{code="link",line="line1"} 1.0',
        'binsight_line_purity_target{lane="1",line="line1"} 0.9',
        'binsight_line_audited{lane="1",line="line1"} 0.0',
        'binsight_line_up{line="line1"} 1.0',
        'binsight_line_state{line="line1"} 6.0',
        'binsight_line_ack_rtt_seconds{line="line1"} 0.0006',
        'binsight_line_frames_dropped_total{line="line1"} 0.0',
    ):
        assert f"\n{sample}\n" in metrics


def test_alarms_that_are_asked_for_exist() -> None:
    """Every code by which an alert chooses alarms of a line is one that a line raises."""
    text = (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8")
    known = {*FAULT_BITS, "purity_lane_3"}
    patterns = re.findall(r'line_alarm\{code=~?"([^"]+)"', text)
    assert len(patterns) > 5
    for pattern in patterns:
        group = re.fullmatch(r"(\w*)\(([\w|]+)\)", pattern)
        words = [group[1] + word for word in group[2].split("|")] if group else pattern.split("|")
        assert [word for word in words if not any(re.fullmatch(word, code) for code in known)] == []


def test_states_that_are_asked_for_exist() -> None:
    """An ill line is one that PackML calls held or aborted."""
    text = (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8")
    assert {State(int(number)) for number in re.findall(r"line_state == (\d+)", text)} == {State.HELD, State.ABORTED}


@pytest.mark.parametrize("name", ["binsight", "binsight-lines"])
def test_dashboard(name: str) -> None:
    """The dashboard's panels have ids of their own, do not overlap, and use the provisioned data source."""
    dashboard = json.loads((DEPLOY / f"grafana/dashboards/{name}.json").read_text(encoding="utf-8"))
    assert dashboard["uid"] == name
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"]}
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_variables_exist() -> None:
    """Every BINSIGHT_… variable that is set is one that `binsight serve` reads."""
    known = {option.envvar for option in serve.params}
    files = [ROOT / "Dockerfile", DEPLOY / "compose.yaml", *(DEPLOY / "kubernetes").rglob("*.yaml")]
    asked = {name for path in files for name in re.findall(r"BINSIGHT_[A-Z_]+", path.read_text(encoding="utf-8"))}
    assert asked - known == set()
    assert "BINSIGHT_HOST" in asked


def test_everything_runs_a_version() -> None:
    """Not `latest`, which may be another for each replica; of ours, the version that this is."""
    (own,) = manifest("base/kustomization")["images"]
    assert own["newTag"] == __version__
    images = {}
    for path in DEPLOY.rglob("*.yaml"):
        for image in re.findall(
            r"^\s*(?:- )?(?:image|reference): (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            images[image] = path.relative_to(DEPLOY).as_posix()
    assert images.pop("binsight") == "kubernetes/base/deployment.yaml"  # has it from the kustomization
    assert len(images) > 8
    assert {i: f for i, f in images.items() if not re.search(r":(?!latest$)[\w.-]+$", i)} == {}
    ours = [image for image in images if image.startswith("binsight")]
    assert {image.rpartition(":")[2] for image in ours} == {__version__}


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


def test_replicas_that_differ_are_noticed(metrics: str) -> None:
    """The alert counts digests, which the server shows."""
    text = (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8")
    assert "count by (job, model, digest) (binsight_model_info)" in text
    assert re.search(r'binsight_model_info\{digest="[0-9a-f]{12}",model="tiny",version="1\.0\.0"\} 1\.0', metrics)


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


def test_no_telemetry() -> None:
    """The image tells ONNX Runtime not to report its use."""
    assert "ORT_DISABLE_TELEMETRY=1" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def line_file(name: str) -> Any:
    """Return the compose file of a line, or its settings."""
    text = (DEPLOY / "line" / name).read_text(encoding="utf-8")
    return yaml.safe_load(text) if name.endswith(".yaml") else tomllib.loads(text)


def test_line_settings_fit_the_services() -> None:
    """The line's file is valid, its lanes are the model's, and broker and ledger are services of the compose file."""
    config = load_line_config(DEPLOY / "line" / "line.toml")
    services = line_file("compose.yaml")["services"]
    assert config.check_taxonomy(Predictor.load(config.line.model).taxonomy) == []
    assert urlsplit(config.sorter.url).hostname in services
    ledger = urlsplit(config.ledger.url or "")
    settings = services[ledger.hostname or ""]["environment"]
    assert (ledger.username, ledger.path) == (settings["POSTGRES_USER"], f"/{settings['POSTGRES_DB']}")
    assert ledger.password is None
    assert settings["POSTGRES_HOST_AUTH_METHOD"] == "trust"
    assert "ports" not in services["ledger"]


def test_line_mounts_exist() -> None:
    """What is mounted from beside the compose file is there, and volumes are declared."""
    compose = line_file("compose.yaml")
    mounts = [mount.split(":") for service in compose["services"].values() for mount in service.get("volumes", [])]
    for source, *_ in mounts:
        assert (DEPLOY / "line" / source).is_file() if source.startswith("./") else source in compose["volumes"]
    named = {source for source, *_ in mounts if not source.startswith("./")}
    assert named == set(compose["volumes"])


def test_line_extras_exist() -> None:
    """The image is built with extras that the package has, all that the line's file needs among them."""
    extras = set(line_file("compose.yaml")["services"]["line"]["build"]["args"]["EXTRAS"].split(","))
    known = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    )
    assert extras <= known
    assert {"line", "line-video", "line-postgres", "serve"} <= extras


def test_line_is_confined() -> None:
    """Line and dashboard run on a root that they cannot write, without any capability."""
    for name in ("line", "dashboard", "broker"):
        service = line_file("compose.yaml")["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_broker_answers_at_once(tmp_path: Path) -> None:
    """A real mosquitto takes the file as it is; small packets wait for nothing."""
    text = (DEPLOY / "line" / "mosquitto.conf").read_text(encoding="utf-8")
    assert "\nset_tcp_nodelay true\n" in text
    with mosquitto(tmp_path, settings=text):
        pass


def test_edge_settings_fit_the_unit() -> None:
    """The example can be read; the unit runs it, where the store may be written, with the memory that is measured."""
    settings = read_settings(DEPLOY / "edge" / "edge.toml", {})
    unit = configparser.ConfigParser(strict=False, comment_prefixes="#", interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "edge" / "binsight-edge.service", encoding="utf-8")
    service = unit["Service"]
    assert service["ExecStart"].endswith("binsight edge run /etc/binsight/edge.toml")
    assert settings.store.parent == Path("/var/lib", service["StateDirectory"])
    assert service["ProtectSystem"] == "strict"
    assert service["Restart"] == "always"
