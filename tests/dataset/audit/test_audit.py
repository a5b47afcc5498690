"""The whole audit on a small data set of made-up pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.dataset.duplicates.pictures import picture

from binsight.dataset import reading, scan
from binsight.dataset.audit import AuditSettings, audit
from binsight.dataset.audit.report import render_report
from binsight.errors import OutputError
from binsight.files import write_whole
from binsight.imaging import PreprocessSpec
from binsight.predictor import Outputs, Predictor

HOSTILE = "<img src=x onerror=alert(1)>'\".jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of twelve pictures in two splits, and one photo for each kind of fault."""
    root = tmp_path_factory.mktemp("audit") / "d"
    for split in ("train", "test"):
        for c, name in enumerate(("a", "b")):
            (root / split / name).mkdir(parents=True)
            for i in range(6):
                seed = 100 * c + 10 * (split == "test") + i
                Image.fromarray(picture(seed)).save(root / split / name / f"{i}.jpg")
    train = root / "train" / "a"
    (train / "copy.jpg").write_bytes((root / "test" / "b" / "0.jpg").read_bytes())
    (train / HOSTILE).write_bytes((root / "test" / "a" / "1.jpg").read_bytes())
    (train / "cut.jpg").write_bytes((train / "0.jpg").read_bytes()[:1500])
    (train / "text.jpg").write_bytes(b"no photo at all, only text")
    Image.fromarray(picture(1000)).save(train / "wrong.gif", "PNG")
    Image.fromarray(picture(1001, (40, 50))).save(train / "tiny.png")
    Image.fromarray(picture(1002, (80, 400))).save(train / "long.png")
    Image.fromarray(np.full((100, 100, 3), 128, np.uint8)).save(train / "blank.png")
    Image.fromarray(picture(1003) // 8).save(train / "dark.png")
    Image.fromarray((picture(1004).astype(int) // 5 + 230).clip(0, 255).astype(np.uint8)).save(train / "light.png")
    Image.fromarray(picture(1005, (20, 26))).resize((520, 400), Image.Resampling.BICUBIC).save(train / "soft.png")
    frames = [Image.fromarray(picture(1006 + i)) for i in range(2)]
    frames[0].save(train / "moving.webp", save_all=True, append_images=frames[1:])
    return root


@pytest.fixture(scope="module")
def found(folder):
    """What the audit finds without a model."""
    return audit(scan(folder), settings=AuditSettings(min_class_photos=5))


def _names(found, kind):
    return sorted({found.dataset.samples[i].path.split("/")[-1] for f in found.of_kind(kind) for i in f.files})


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("leakage", ["0.jpg", "1.jpg", HOSTILE, "copy.jpg"]),
        ("label_conflict", ["0.jpg", "copy.jpg"]),
        ("truncated", ["cut.jpg"]),
        ("unreadable", ["text.jpg"]),
        ("wrong_extension", ["wrong.gif"]),
        ("tiny", ["tiny.png"]),
        ("extreme_aspect", ["long.png"]),
        ("blank", ["blank.png"]),
        ("dark", ["dark.png"]),
        ("animated", ["moving.webp"]),
    ],
)
def test_each_fault_is_found_and_nothing_else(found, kind, expected):
    """Each kind names exactly the photos that have it."""
    assert _names(found, kind) == sorted(expected)


def test_light_and_soft_photos_are_found(found):
    """The overexposed and the blurred photo are among those called so."""
    assert "light.png" in _names(found, "overexposed")
    assert "soft.png" in _names(found, "blurred")


def test_without_a_model_two_checks_are_skipped_and_said_so(found):
    """Labels and outliers need features; the audit says that they were not checked."""
    assert [check.check for check in found.skipped] == ["label_error", "outlier"]
    assert "size" in found.shortcuts["groups"]


def test_same_data_same_audit(folder, found):
    """A second run, with other threads, gives the same JSON."""
    assert audit(scan(folder), settings=AuditSettings(min_class_photos=5), workers=1).to_dict() == found.to_dict()


def test_cache_spares_decoding(folder, found, tmp_path, monkeypatch):
    """With a cache only faulty photos are decoded again, and the result is the same."""
    settings = AuditSettings(min_class_photos=5)
    audit(scan(folder), settings=settings, cache=tmp_path / "c.sqlite")
    decoded = []
    decode = reading.decode_for_checks
    monkeypatch.setattr(reading, "decode_for_checks", lambda data, limits=None: decoded.append(1) or decode(data))
    again = audit(scan(folder), settings=settings, cache=tmp_path / "c.sqlite")
    assert again.to_dict() == found.to_dict()
    assert len(decoded) == 2


class LogitsOnly:
    """A predictor whose network has no other output than the logits."""

    spec = PreprocessSpec(size=(8, 8))

    def run(self, inputs, names):
        return Outputs(np.zeros((len(inputs), 2), np.float32))


def test_network_without_features_is_said_so(folder):
    """A model that gives no features leaves both checks out, with the reason."""
    skipped = audit(scan(folder), predictor=LogitsOnly()).skipped
    assert [(check.check, check.reason) for check in skipped] == [
        ("label_error", "the model's network gives no features"),
        ("outlier", "the model's network gives no features"),
    ]


def test_model_with_features_is_used(folder, shared_bundle):
    """With features no check is skipped."""
    assert audit(scan(folder), predictor=Predictor.load(shared_bundle, threads=1)).skipped == ()


def test_too_few_photos_to_study_classes(tmp_path):
    """With one photo a class the checks that compare classes are skipped, and nothing fails."""
    for i, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        Image.fromarray(picture(i)).save(tmp_path / name / "0.png")
    result = audit(scan(tmp_path))
    assert {check.check for check in result.skipped} == {"label_error", "outlier", "shortcut"}
    assert result.shortcuts == {}
    assert "Not checked" in render_report(result)


def test_stages_are_reported(folder):
    """Progress names both long stages and ends each at its total."""
    ends = {}

    def stage(name):
        return lambda done, total: ends.update({name: (done, total)})

    audit(scan(folder), stage=stage)
    assert set(ends) == {"Reading photos", "Comparing photos"}
    assert all(done == total for done, total in ends.values())


def test_report_is_one_file_that_loads_nothing(found):
    """There is no script and no address in the page; pictures are inside it."""
    page = render_report(found)
    assert "<script" not in page
    assert 'src="data:image/jpeg;base64,' in page
    assert page.count("http") - page.count("http-equiv") == page.count('xmlns="http://www.w3.org/2000/svg"')


def test_report_escapes_file_names(found):
    """A file name that is HTML is shown, not obeyed."""
    page = render_report(found)
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_report_shows_every_kind_and_its_filter(found):
    """Each kind found has a section and a check box."""
    page = render_report(found)
    for kind in found.counts():
        assert f'<section id="{kind}">' in page
        assert f'id="k-{kind}" checked' in page


def test_report_is_written_whole_or_not_at_all(found, tmp_path):
    """A folder that cannot be made is an error, and nothing is left behind."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"report\.html"):
        write_whole(tmp_path / "file" / "report.html", render_report(found))
    write_whole(tmp_path / "new" / "report.html", render_report(found))
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["report.html"]
