"""`binsight serve`: its flags, variables and file come from one table; what is wrong is said in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from binsight.cli.serve import serve
from binsight.errors import BinsightError, InputError, SettingsError
from binsight.serving import server
from binsight.serving.security import ApiKey, find_key
from binsight.serving.settings import Settings, server_options

DOCS = Path(__file__).parents[2] / "docs" / "http-api.md"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that runs the command in a folder of its own and gives the settings it would serve with."""
    monkeypatch.chdir(tmp_path)
    seen: list[Settings] = []

    def serve_(settings: Settings, **_: Any) -> bool:
        seen.append(settings)
        return True

    monkeypatch.setattr(server, "run_server", serve_)

    def run_(*args: str, env: dict[str, str] | None = None) -> Settings:
        result = invoke(*args, env=env)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return seen.pop()

    return run_


def invoke(*args: str, env: dict[str, str] | None = None) -> Result:
    """Run the command."""
    return CliRunner().invoke(serve, args, env=env)


def test_nothing_given_is_the_settings_as_they_are_by_default(run):
    """Defaults are written once."""
    assert run() == Settings()


@pytest.mark.parametrize(
    ("args", "values"),
    [
        (["--max-photo-mb", "0.5", "--max-megapixels", "12"], {"max_photo_bytes": 500_000, "max_pixels": 12_000_000}),
        (["--queue", "64", "--deadline", "2"], {"queue_size": 64, "deadline_s": 2.0}),
        (["--no-access-log", "--workers", "3"], {"access_log": False, "workers": 3}),
        (["--model", "a=x", "--model", "my model"], {"models": ("a=x", "my model")}),
        (["--feedback", "kept"], {"feedback_dir": Path("kept")}),
        (["--feedback-max-mb", "2"], {"feedback_max_bytes": 2_000_000}),
        (["--cors-origin", "https://a.example"], {"cors_origins": ("https://a.example",)}),
    ],
)  # fmt: skip
def test_flags_in_their_units(run, args, values):
    """Megabytes and megapixels become bytes and pixels; what may be repeated becomes a tuple."""
    assert run(*args) == Settings(**values)


def test_variables_stand_for_flags(run):
    """A path in `BINSIGHT_MODEL` is taken whole, with its spaces; flags go before."""
    env = {"BINSIGHT_MODEL": "my model", "BINSIGHT_MAX_PHOTO_MB": "3", "BINSIGHT_PORT": "1", "BINSIGHT_ACCESS_LOG": "0"}
    expected = Settings(models=("my model",), max_photo_bytes=3_000_000, port=2, access_log=False)
    assert run("--port", "2", env=env) == expected


def test_a_file_has_the_flags_names_and_stands_below_variables_and_flags(run):
    """Any order of `--config` among the flags will do; a list stands for a flag that is repeated."""
    key = ApiKey("phone", "0" * 64)
    Path("keys").write_text(f"# ours\n{key.name}:{key.sha256}\n")
    Path("server.toml").write_text(
        'port = 1\nworkers = 5\nqueue = 40\nmax_photo_mb = 1.5\naccess_log = false\napi_keys = "keys"\n'
        'model = ["a=x", "b=y"]\ncors_origin = "https://a.example"\nfeedback = "kept"\n'
    )
    settings = run("--port", "3", "--config", "server.toml", env={"BINSIGHT_WORKERS": "4"})
    assert settings == Settings(
        port=3, workers=4, queue_size=40, max_photo_bytes=1_500_000, access_log=False, api_keys=(key,),
        models=("a=x", "b=y"), cors_origins=("https://a.example",), feedback_dir=Path("kept"),
    )  # fmt: skip
    assert run(env={"BINSIGHT_CONFIG": "server.toml"}).port == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "no setting prot; did you mean port?"),
        ("max_photo_bytes = 1\nprot = 1", "no setting max_photo_bytes; did you mean max_photo_mb.; no setting prot"),
        ("port = [1, 2]", "port: expected one value"),
        ("[limits]\nmax_files = 3", "no setting limits; "),
        ("port = ", "server.toml: not valid TOML"),
        ("deadline = nan", "deadline_s .--deadline.: expected a number from 0.001 to 86400, got nan"),
        ("deadline = -inf\nworkers = -1", "workers: .*; deadline_s .*got -inf"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_all_its_faults(run, text, message):
    """Each is named, with the setting that was probably meant."""
    Path("server.toml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        run("--config", "server.toml")


@pytest.mark.parametrize("text", ["port = 9696.5", "port = true", 'port = "x"', 'access_log = "maybe"'])
def test_a_value_of_another_type_is_refused(run, text):
    """No number is cut short, and none is made of yes or no."""
    Path("server.toml").write_text(text)
    result = invoke("--config", "server.toml")
    assert result.exit_code == 2
    assert "is not a valid" in result.output


NUMBERS = [option for option in server_options() if option.kind in {int, float}]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "-1"])
@pytest.mark.parametrize("flag", [option.flag for option in NUMBERS])
def test_no_number_is_taken_that_is_none_or_out_of_range(run, flag, value):
    """Not as a flag; a wait without an end, say, would hang the server."""
    result = invoke(f"--{flag}", value)
    assert result.exit_code != 0
    error = result.exception
    assert isinstance(error, SystemExit | BinsightError), error
    assert len(str(error)) < 300


def test_help_lists_every_setting_in_groups():
    """With its variable."""
    text = invoke("--help").output
    titles = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert titles == ["Options", "Models", "Listening", "Work", "Limits", "Access", "Corrections", "Teaching"]
    flat = " ".join(text.split())
    for option in server_options():
        assert f"--{option.flag}" in flat
        assert "BINSIGHT_" + option.flag.upper().replace("-", "_") in flat


def test_a_new_key_is_printed_as_a_key_file_takes_it(run):
    """Standard output is a line of the file, so `>> keys` is all there is to do; the key is shown beside it."""
    result = invoke("--new-key", "phone-app")
    Path("keys").write_text(result.stdout)
    (stored,) = run("--api-keys", "keys").api_keys
    assert stored.name == "phone-app"
    key = result.stderr.split()[-1]
    assert find_key(key, [stored]) == "phone-app"
    assert key not in result.stdout


def test_a_name_for_a_key_is_a_plain_name():
    """It becomes part of a line."""
    result = invoke("--new-key", "a:b")
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("text", "message"), [("", "at least one key"), ("secret", "keys, line 1: expected name:sha256")]
)
def test_a_key_file_without_sound_keys_is_refused(run, text, message):
    """Or everyone would be let in."""
    Path("keys").write_text(text)
    with pytest.raises(InputError, match=message):
        run("--api-keys", "keys")


@pytest.mark.skipif(not DOCS.is_file(), reason="not in the source tree")
def test_the_table_in_the_docs_is_that_of_the_settings():
    """Flag, default and meaning of each."""
    rows = [f"| `--{o.flag}` | {_default(o)} | {o.text} |" for o in server_options()]
    expected = "\n".join(["| flag | default | |", "|---|---|---|", *rows])
    assert expected in DOCS.read_text(encoding="utf-8"), expected


def _default(option) -> str:
    if option.kind is bool:
        return "on" if option.default else "off"
    if option.default is None or option.default == ():
        return "-"
    first = option.default[0] if option.is_tuple else option.default
    return f"{first / option.unit:g}" if option.kind in {int, float} else f"`{first}`"
