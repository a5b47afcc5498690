"""A server with a registry: it serves the champion, and what is rolled back stays so."""

from __future__ import annotations

import signal
import subprocess
import sys
from urllib.request import Request, urlopen

import pytest
from tests.serving.conftest import photo, service_of, upload
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.errors import BundleError, InputError
from binsight.loop.registry import Registry, RegistryError
from binsight.serving.app import create_app
from binsight.serving.security import new_key
from binsight.serving.settings import Settings

ADMIN, STORED = new_key("boss")
HEADERS = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def registry(tmp_path):
    """Return a registry with a champion, version 1, and a challenger, version 2, of another name."""
    registry = Registry(tmp_path / "registry", create=True)
    for version, name in (("1.0.0", "tiny"), ("2.0.0", "tiny-lab")):
        registry.add(tiny_bundle(tmp_path / version, manifest=tiny_manifest(version=version, name=name)), by="ada")
    return registry


@pytest.fixture
def start(make_app, registry):
    """Return a function that starts a server on the registry, and gives the application."""
    return lambda **values: make_app(
        **{"registry_dir": registry.directory, "admin_keys": (STORED,), "models": ("waste8",)} | values
    )


def act(app, what):
    """Return status and JSON of an admin call."""
    answer = app.test_client().post(f"/admin/models/tiny/{what}", headers=HEADERS)
    return answer.status_code, answer.json


def served(app):
    """Return the version that answers."""
    return app.test_client().post("/predict", **upload(photo())).json["model"]["version"]


def test_the_champion_is_served_under_one_name(start, registry, shared_bundle):
    """Whatever the bundle that becomes champion is called; other models may be served beside it."""
    app = start(models=(f"other={shared_bundle}",))
    names = [m["name"] for m in app.test_client().get("/models").json["models"]]
    assert (names, served(app)) == (["tiny", "other"], "1.0.0")
    assert act(app, "promote?override=trust")[1] == {
        "name": "tiny", "result": "promoted", "version": "2.0.0", "previous_version": "1.0.0"
    }  # fmt: skip
    assert (served(app), registry.find("champion").version) == ("2.0.0", "2.0.0")
    assert registry.ledger.read()[-1].details["by"] == "key:boss"
    assert app.test_client().post("/admin/models/other/promote", headers=HEADERS).json["code"] == "conflict"


def test_a_promotion_needs_proof(start, registry):
    """Or a reason; and a model that is there."""
    app = start()
    assert (act(app, "promote")[0], act(app, "promote")[1]["code"]) == (409, "not_proven")
    assert act(app, "promote?model=9.9.9")[1]["code"] == "conflict"
    assert act(app, "promote?modle=1")[1]["code"] == "bad_parameter"
    assert served(app) == "1.0.0"
    pair = {"challenger": registry.find("challenger").sha256, "champion": registry.find("champion").sha256}
    with registry.ledger.writing():
        registry.ledger.append("gate", **pair, verdict="promote")
    assert (act(app, "promote")[0], served(app)) == (200, "2.0.0")


def test_a_rollback_stays_over_reload_and_restart(start, registry):
    """The rolled-back model comes back by a promotion only."""
    app = start()
    assert act(app, "rollback")[1]["code"] == "conflict"
    act(app, "promote?override=trust")
    assert act(app, "rollback")[1]["version"] == "1.0.0"
    assert act(app, "reload")[1]["result"] == "unchanged"
    service_of(app).reload_all()  # as SIGHUP does
    again = start()
    assert (served(app), served(again), registry.find("previous").version) == ("1.0.0", "1.0.0", "2.0.0")
    assert act(again, "rollback")[1] == {
        "name": "tiny", "result": "rolled_back", "version": "2.0.0", "previous_version": "1.0.0"
    }  # fmt: skip


def test_a_reload_takes_what_the_command_line_promoted(start, registry):
    """Also where a server was killed between the ledger and the aliases."""
    app = start()
    registry.promote(by="ada", override="trust")
    assert served(app) == "1.0.0"
    service_of(app).reload_all()
    assert served(app) == "2.0.0"
    (registry.directory / "aliases.json").write_text("{}")
    assert served(start()) == "2.0.0"


def test_a_model_that_was_altered_is_not_put_in_place(start, registry):
    """The old one stays, in the server and in the registry; the client is told no path."""
    app = start()
    path = registry.path(registry.find("challenger").sha256)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    status, problem = act(app, "promote?override=trust")
    assert (status, problem["code"], str(registry.directory) in str(problem)) == (422, "bundle", False)
    assert (served(app), registry.find("champion").version) == ("1.0.0", "1.0.0")


def test_what_is_no_registry_is_refused_at_the_start(tmp_path, start, registry):
    """And an empty one, and one whose champion is damaged."""
    with pytest.raises(InputError, match="no registry"):
        start(registry_dir=tmp_path / "none")
    registry.path(registry.find("champion").sha256).write_bytes(b"")
    with pytest.raises(BundleError):
        start()
    (registry.directory / "ledger.jsonl").write_text("")
    with pytest.raises(RegistryError, match="no model"):
        create_app(Settings(registry_dir=registry.directory))


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_the_real_server_keeps_a_rollback_over_kill_9(registry, tmp_path):
    """`binsight serve --registry`: promote, roll back, SIGHUP, kill, start again."""
    (tmp_path / "keys").write_text(f"{STORED.name}:{STORED.sha256}\n")
    command = [sys.executable, "-m", "binsight", "serve", "--registry", str(registry.directory), "--port", "0",
               "--no-access-log", "--admin-keys", str(tmp_path / "keys")]  # fmt: skip

    def version(url):
        with urlopen(f"{url}/models") as answer:  # noqa: S310 - a server of this test
            return answer.read().decode().split('"version":"')[1][:5]

    def run(*actions):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            url = server.stderr.readline().split()[-1]
            for action in actions:
                request = Request(f"{url}/admin/models/tiny/{action}", headers=HEADERS, method="POST")  # noqa: S310
                urlopen(request).close()  # noqa: S310
            server.send_signal(signal.SIGHUP)
            found = version(url)
            server.kill()
        return found

    assert run("promote?override=x") == "2.0.0"
    assert run("rollback", "reload") == "1.0.0"
    assert run() == "1.0.0"
