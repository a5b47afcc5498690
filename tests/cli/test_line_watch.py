"""Lines that are shown from their ledgers, and who hears of alarms while a line runs."""

from __future__ import annotations

import json
import logging
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from click.testing import CliRunner
from tests.line.watched import WatchedLine, watched_config
from tests.patience import PATIENCE_S

from binsight.cli.line_run import run
from binsight.cli.line_watch import LineWatch, followed_lines
from binsight.errors import InputError, SettingsError
from binsight.line.clock import SystemClock
from binsight.line.run import LineRunner
from binsight.serving.security import new_key
from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable


def write_line(folder: Path, model: Path, **tables: str) -> Path:
    """Return a `line.toml` for a line that sorts red."""
    name = tables.pop("name", "line1")
    path = folder / f"{name}.toml"
    category = tables.pop("category", "red")
    path.write_text(
        f'[line]\nname = "{name}"\nmodel = "{model}"\n'
        f'[[lanes]]\nnumber = 1\ncategories = ["{category}"]\ndistance_mm = 1200\n'
        '[sorter]\nkind = "mqtt"\nurl = "mqtt://127.0.0.1"\n'
    )
    return path


def test_a_ledger_is_shown(tmp_path: Path, shared_bundle: Path) -> None:
    """A line that runs elsewhere is found by its file: its ledger lies beside it."""
    line = WatchedLine(tmp_path)
    line.piece()
    (monitor,) = followed_lines([write_line(tmp_path, shared_bundle)])
    assert (monitor.overview()["pieces"], monitor.is_here) == (1, False)
    monitor.close()
    line.close()


def test_a_ledger_that_is_not_there(tmp_path: Path, shared_bundle: Path) -> None:
    """It is not made by looking at it; the message says what to do first."""
    file = write_line(tmp_path, shared_bundle)
    with pytest.raises(InputError, match="start the line first"):
        followed_lines([file])
    assert not (tmp_path / "line1.sqlite").exists()


def test_what_cannot_be_shown(tmp_path: Path, shared_bundle: Path) -> None:
    """Two lines of one name, and a category that the model does not know, are refused."""
    line = WatchedLine(tmp_path)
    file = write_line(tmp_path, shared_bundle)
    with pytest.raises(SettingsError, match="line1 twice"):
        followed_lines([file, file])
    with pytest.raises(SettingsError, match="purple"):
        followed_lines([write_line(tmp_path, shared_bundle, category="purple")])
    line.close()


def test_looking_on(tmp_path: Path, shared_bundle: Path) -> None:
    """While a line runs its dashboard is served, where wanted; afterwards nothing is left running."""
    line = WatchedLine(tmp_path)
    watch = LineWatch(watched_config(), line.url, line.monitor.account.taxonomy, SystemClock())
    published: list[Any] = []
    running: Any = line
    settings = Settings(models=(str(shared_bundle),), port=0, access_log=False)
    with watch.serving(settings) as server, watch.looking(running, source=line.source, publish=published.append):
        assert server is not None
        url = server.url
        with urllib.request.urlopen(f"{url}/lines.json", timeout=PATIENCE_S) as answer:  # noqa: S310
            assert b'"here":true' in answer.read()
    with pytest.raises(OSError, match=r"refused|Errno"):
        urllib.request.urlopen(url, timeout=PATIENCE_S)  # noqa: S310
    with watch.serving(None) as server, watch.looking(running, source=None, publish=published.append):
        assert server is None
    line.close()


def test_a_dashboard_asks_for_a_key_and_runs_the_lines_own_network(
    tmp_path: Path, shared_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`line run --http PORT --api-keys FILE`: no news for strangers; one network in memory for both."""
    key, stored = new_key("desk")
    keys, files = tmp_path / "keys", write_line(tmp_path, shared_bundle)
    keys.write_text(f"{stored.name}:{stored.sha256}\n")
    codes: list[int] = []
    networks: list[int] = []

    def run_line(runner: LineRunner) -> None:
        """Look at the dashboard in the place of running the line."""
        url = asked[0].url
        for headers in ({}, {"Authorization": f"Bearer {key}"}):
            try:
                request = urllib.request.Request(f"{url}/lines.json", headers=headers)  # noqa: S310
                with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
                    codes.append(answer.status)
            except urllib.error.HTTPError as error:
                codes.append(error.code)
        store = asked[0].service.store
        networks.extend(map(id, (runner.predictor, store.get().narrow, store.get().wide)))

    asked: list[RunningServer] = []
    load = RunningServer.load
    monkeypatch.setattr(RunningServer, "load", lambda server: (asked.append(server), load(server))[1])
    monkeypatch.setattr(LineRunner, "run", run_line)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    result = CliRunner().invoke(run, [str(files), "--source", "push", "--http", "0", "--api-keys", str(keys)])
    assert result.exit_code == 0, result.output
    assert codes == [401, 200]
    assert len(set(networks)) == 1
    assert f"line1 at {asked[0].url}/lines" in result.stderr


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[list[str], ssl.SSLContext]:
    """Return options with a certificate for this machine and its key, and what trusts it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "line.crt")
    issued.private_key_pem.write_to_path(tmp_path / "line.key")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return ["--tls-certificate", str(tmp_path / "line.crt"), "--tls-key", str(tmp_path / "line.key")], context


def test_a_dashboard_over_tls(
    tmp_path: Path,
    shared_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    certificate: tuple[list[str], ssl.SSLContext],
) -> None:
    """`line run --http PORT --tls-certificate FILE --tls-key FILE`: who trusts the certificate sees the line."""
    options, trusting = certificate
    asked: list[RunningServer] = []
    answers: list[Any] = []

    def run_line(_runner: LineRunner) -> None:
        url = asked[0].url
        with urllib.request.urlopen(f"{url}/lines.json", timeout=PATIENCE_S, context=trusting) as answer:  # noqa: S310
            answers.append(json.load(answer))
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(url, timeout=PATIENCE_S, context=ssl.create_default_context())  # noqa: S310

    load = RunningServer.load
    monkeypatch.setattr(RunningServer, "load", lambda server: (asked.append(server), load(server))[1])
    monkeypatch.setattr(LineRunner, "run", run_line)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    file = write_line(tmp_path, shared_bundle)
    result = CliRunner().invoke(run, [str(file), "--source", "push", "--http", "0", *options])
    assert result.exit_code == 0, result.output
    assert f"line1 at https://{asked[0].url.removeprefix('https://')}/lines" in result.stderr
    assert [line["name"] for line in answers[0]["lines"]] == ["line1"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path, "does not belong to"),
        (lambda key: key.write_text("no key"), "expected a PEM file"),
        (Path.unlink, "no such file"),
    ],
)
def test_a_dashboard_with_a_wrong_key(
    tmp_path: Path,
    shared_bundle: Path,
    certificate: tuple[list[str], ssl.SSLContext],
    spoil: Callable[[Path], None],
    words: str,
    binsight: Any,
) -> None:
    """Of another certificate, no key at all, or not there: one line, exit code 2, and no line runs."""
    file = write_line(tmp_path, shared_bundle)
    spoil(tmp_path / "line.key")
    refused = binsight("line", "run", file, "--source", "push", "--http", "0", *certificate[0])
    assert (refused.code, len(refused.err.splitlines())) == (2, 1), refused.err
    assert words in refused.err
    assert str(tmp_path / "line.key") in refused.err


def test_keys_without_a_dashboard_are_refused(tmp_path: Path, shared_bundle: Path) -> None:
    """Nobody should think that something is locked which is not there."""
    file = write_line(tmp_path, shared_bundle)
    (tmp_path / "keys").write_text("")
    for arguments in (["--api-keys", str(tmp_path / "keys")], ["--tls-key", str(file)]):
        result = CliRunner().invoke(run, [str(file), *arguments])
        assert (result.exit_code, "--http PORT" in result.stderr) == (2, True)
