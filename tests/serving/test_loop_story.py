"""The closed loop from end to end, small: noticed, labelled, retrained, proven, promoted, broken, rolled back."""

from __future__ import annotations

import hashlib
import io
import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from PIL import Image
from tests.adapt.world import COLOURS, PLANT_LIGHT, factory_bundle, shots
from tests.serving.conftest import service_of
from tests.serving.test_shadow import wait

from binsight.adapt.heads import read_heads, write_heads
from binsight.bundle import load_bundle, write_bundle
from binsight.cli.gate import gate
from binsight.imaging import stored_jpeg
from binsight.loop.counts import Counts, Seen
from binsight.loop.ledger import utc_now
from binsight.loop.registry import Registry
from binsight.loop.sampling import Stratum
from binsight.pipeline.retrain import retrain
from binsight.probability.scores import LinearHead
from binsight.serving.security import new_key

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

LABELLERS, BOSS = {who: new_key(who) for who in ("ada", "bob", "eve")}, new_key("boss")
MISTAKES = 0.02


class Story:
    """A server with registry and loop, photos of the plant, and what each of them shows."""

    def __init__(self, app: Flask, folder: Path) -> None:
        self.app, self.folder, self.statuses = app, folder, set()
        self.truths: dict[str, str] = {}
        self._seed = 0

    def photos(self, count: int) -> list[bytes]:
        """Return so many new photos of each colour, in turn."""
        self._seed += 1
        files = []
        for name in COLOURS:
            for shot in shots(name, count, light=PLANT_LIGHT, seed=self._seed):
                file = io.BytesIO()
                Image.fromarray(shot).save(file, "PNG")
                self.truths[hashlib.sha256(stored_jpeg(file.getvalue())).hexdigest()] = name
                files.append(file.getvalue())
        return files

    def send(self, photos: list[bytes]) -> None:
        """Have photos classified; then wait until all that is to be kept or compared is."""
        client = self.app.test_client()
        for photo in photos:
            answer = client.post("/predict", data=photo, content_type="image/png")
            self.statuses.add(answer.status_code)
        service = service_of(self.app)
        wait(lambda: service.keeper.waiting == 0 and service.shadow.waiting == 0)

    def label(self) -> int:
        """Let three people answer what the server asks for, until nothing is open; return how often."""
        chance, labels, idle = random.Random(0), 0, 0  # noqa: S311 - no secret
        while idle < len(LABELLERS):
            idle = 0
            for who, (key, _) in LABELLERS.items():
                items = self._post("/label/next", key, count=20)["items"]
                idle += not items
                for item in items:
                    truth = self.truths[item["id"]]
                    wrong = chance.random() < MISTAKES
                    answer = next(name for name in COLOURS if (name != truth) is wrong)
                    self._post(f"/label/items/{item['id']}", key, answer=answer, event=f"{who}-{item['id']}"[:64])
                    labels += 1
        return labels

    def admin(self, what: str, method: str = "post") -> dict:
        """Return the JSON of an admin call."""
        headers = {"Authorization": f"Bearer {BOSS[0]}"}
        return getattr(self.app.test_client(), method)(f"/admin/models/tiny/{what}", headers=headers).json

    def served(self) -> str:
        """Return the version that answers."""
        answer = self.app.test_client().post("/predict", data=self.photos(1)[0], content_type="image/png")
        return answer.json["model"]["version"]

    def _post(self, path: str, key: str, **body: object) -> dict:
        answer = self.app.test_client().post(path, headers={"Authorization": f"Bearer {key}"}, json=body)
        assert answer.status_code == 200, answer.json
        return answer.json


@pytest.fixture
def story(make_app, tmp_path):
    """Return the story's beginning: the factory's model has seen 1,000 usual photos, and is served at the plant."""
    registry = Registry(tmp_path / "models", create=True)
    registry.add(_careful(tmp_path / "factory"), by="ada")
    usual = [Seen("tiny 1.0.0", Stratum("review" if n % 50 == 0 else "accept", "red"), utc_now()) for n in range(1000)]
    Counts(tmp_path / "loop").add(usual)
    app = make_app(
        models=("waste8",),
        registry_dir=registry.directory,
        loop_dir=tmp_path / "loop",
        keep_random="1000000/week",
        admin_keys=(BOSS[1],),
        label_keys=tuple(stored for _, stored in LABELLERS.values()),
    )
    return Story(app, tmp_path)


def test_from_a_strange_place_to_a_better_model_and_back_from_a_broken_one(story):
    """No answer fails on the way, and both ledgers tell the same."""
    service, models, loop = service_of(story.app), Registry(story.folder / "models"), story.folder / "loop"
    story.send(story.photos(40))
    wait(lambda: Counts(loop).drift()[0].drifted)
    assert story.label() > 120
    first = retrain(service.keeper.queue, models, by="ada", workers=1).model
    service.shadow.look()
    story.send(story.photos(15))
    story.label()
    (evidence,) = story.admin("evidence", "get")["comparisons"]
    assert evidence["only_new_right"] > 10 * evidence["only_old_right"]
    assert evidence["evidence"] > 20
    assert story.admin("promote")["code"] == "not_proven"
    run = CliRunner().invoke(gate, ["challenger", "--against", "champion", "--data", str(loop), "--registry",
                                    str(models.directory), "-q"])  # fmt: skip
    assert (run.exit_code, run.output.splitlines()[-1]) == (0, "promote"), run.output
    _while_sending(story, lambda: story.admin("promote"))
    assert story.served() == first.version
    broken = models.add(_break(models, story.folder), by="mallory")
    models.promote("challenger", by="mallory", override="what can go wrong")
    _while_sending(story, service.shadow.look)
    assert story.served() == broken.version
    story.send(story.photos(15))
    story.label()
    service.shadow.look()
    assert story.served() == first.version
    assert models.aliases.champion == first.sha256
    assert story.statuses == {200}
    events = [entry.event for entry in models.ledger.read() if entry.event != "shadow"]
    assert events == ["add", "add", "gate", "promote", "add", "promote", "rollback"]
    assert {"freeze", "train", "look"} <= {entry.event for entry in service.keeper.queue.ledger.read()}


def _while_sending(story, change) -> None:
    """Change something while photos are sent."""
    worker = threading.Thread(target=story.send, args=(story.photos(10),))
    worker.start()
    change()
    worker.join()


def _careful(path: Path) -> Path:
    """Return the factory's model, asking from 90 % on; as large as a real one is beside what it learns of a plant."""
    made = load_bundle(factory_bundle(path, card__md=b"# tiny" + 200_000 * b" "))
    manifest = replace(made.manifest, review=replace(made.manifest.review, confidence=(0.9,) * 3))
    return write_bundle(path, manifest, {name: made.read(name) for name in made.manifest.files}, overwrite=True)


def _break(models: Registry, folder: Path) -> Path:
    """Return the champion with its classes exchanged."""
    source = load_bundle(models.path(models.find("champion").sha256))
    heads = read_heads(source.read_model())
    order = [1, 2, 0]
    head = LinearHead(heads.categories.weight[:, order], heads.categories.bias[order])
    files = {name: source.read(name) for name in source.manifest.files}
    files["model.onnx"] = write_heads(source.read_model(), replace(heads, categories=head), None)
    return write_bundle(folder / "broken.zip", replace(source.manifest, version="9.0.0"), files)
