"""What wrong streams cost."""

import numpy as np
import pytest

from binsight.errors import DatasetError, InputError
from binsight.evaluation.costs import default_costs, read_costs

STREAMS = ("recycling", "compost", "e-waste")


def test_the_right_stream_costs_nothing():
    """The diagonal is 0, batteries in the wrong bin cost most, and an unknown pair costs 1."""
    matrix = default_costs().matrix((*STREAMS, "my own"))
    assert np.diag(matrix).tolist() == [0, 0, 0, 0]
    assert matrix[2].tolist() == [10, 10, 0, 1]
    assert matrix[0].tolist() == [0, 5, 1, 1]


def test_file(tmp_path):
    """What a file leaves out costs `other`."""
    path = tmp_path / "costs.toml"
    path.write_text("other = 3\nreview = 0.5\n[costs.recycling]\ncompost = 7\n")
    costs = read_costs(path, streams=STREAMS)
    assert costs.matrix(STREAMS).tolist() == [[0, 7, 3], [3, 0, 3], [3, 3, 0]]
    assert (costs.review, costs.name) == (0.5, "costs.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("costs = 3", "expected a table for each true stream"),
        ("other = -1", "other: expected a number from 0 on, got -1"),
        ("other = true", "got True"),
        ("review = nan", "got nan"),
        ("[costs.paper]\ncompost = 1", "no stream 'paper'; there are recycling, compost, e-waste"),
        ("[costs.compost]\nrecycling = 'a'", "costs.compost.recycling: expected a number"),
        ("[costs.compost]\ncompost = 1", "the right stream costs 0"),
        ("price = 1", "unknown key price"),
        ("[", "not valid TOML"),
    ],
)
def test_faults_are_named(tmp_path, text, expected):
    """Whatever is wrong with a file is said in one line with its path."""
    path = tmp_path / "costs.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DatasetError) as raised:
        read_costs(path, streams=STREAMS)
    assert expected in str(raised.value)
    assert str(path) in str(raised.value)


def test_another_encoding(tmp_path):
    """A file that is not UTF-8 is refused as every text is."""
    path = tmp_path / "costs.toml"
    path.write_bytes("# Kosten für Müll".encode("cp1252"))
    with pytest.raises(InputError, match=r"expected UTF-8 text, got other bytes on line 1 \(Windows-1252"):
        read_costs(path, streams=STREAMS)


def test_missing_file(tmp_path):
    """A file that is not there is an input error."""
    with pytest.raises(InputError, match="cannot read"):
        read_costs(tmp_path / "none.toml", streams=STREAMS)
