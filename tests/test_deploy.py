"""The files under `deploy/` and the Dockerfile agree with the server that they run."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.line.services import mosquitto
from tests.line.watched import WatchedLine

from binsight import __version__
from binsight.cli.serve import serve
from binsight.edge.settings import read_settings
from binsight.line.config import load_line_config
from binsight.line.packml import State
from binsight.line.sorters.register_map import FAULT_BITS
from binsight.predictor import Predictor
from binsight.serving.app import create_app
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
pytestmark = pytest.mark.skipif(not DEPLOY.is_dir(), reason="not in the source tree")


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
    (own,) = yaml.safe_load((DEPLOY / "kubernetes/base/kustomization.yaml").read_text(encoding="utf-8"))["images"]
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


def test_replicas_that_differ_are_noticed(metrics: str) -> None:
    """The alert counts digests, which the server shows."""
    text = (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8")
    assert "count by (job, model, digest) (binsight_model_info)" in text
    assert re.search(r'binsight_model_info\{digest="[0-9a-f]{12}",model="tiny",version="1\.0\.0"\} 1\.0', metrics)


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
