"""Checkpoints: whole or not at all, verified, the newest sound one found."""

import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from binsight.errors import CheckpointError, OutputError
from binsight.training.fine_tune.checkpoint import Checkpoint, RunFolder, read_checkpoint, write_checkpoint


def checkpoint(value=1.0, **about):
    """A small one."""
    groups = {"network": [np.full((2, 3), value, np.float32), np.array(7, np.int64)], "none": []}
    return Checkpoint(about, groups)


def state(epoch, best):
    """The state after an epoch, and the best weights where they are this epoch's."""
    return checkpoint(epoch, best_epoch=best), checkpoint(epoch) if epoch == best else None


def test_what_is_written_is_read(tmp_path):
    """Arrays bit by bit, with their shapes and dtypes; empty groups; nested descriptions."""
    path = tmp_path / "new" / "folder" / "a.npz"
    write_checkpoint(path, checkpoint(0.1, history=[{"epoch": 1, "loss": None}]))
    found = read_checkpoint(path)
    assert found.about == {"history": [{"epoch": 1, "loss": None}]}
    assert found.groups["none"] == []
    for a, b in zip(found.groups["network"], checkpoint(0.1).groups["network"], strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


def test_no_pickle_is_read(tmp_path):
    """An array of objects is refused without being unpacked."""
    path = tmp_path / "a.npz"
    np.savez(path, **{"about.json": np.array([{}], object)}, allow_pickle=True)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(path)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "missing"])
def test_damage_is_noticed(tmp_path, damage):
    """Cut short, one bit of an array turned, nothing, something else, gone."""
    path = tmp_path / "a.npz"
    write_checkpoint(path, checkpoint(epoch=1))
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[data.index(np.float32(1).tobytes() * 6)] ^= 1
        path.write_bytes(data)
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else b"hello")
    with pytest.raises(CheckpointError, match=r"a\.npz"):
        read_checkpoint(path)


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    """The message says how much room is needed; no draft stays behind."""
    path = tmp_path / "a.npz"
    write_checkpoint(path, checkpoint(1.0))
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"a\.npz: no space left .*; it takes 0 MB; then resume"):
        write_checkpoint(path, checkpoint(2.0))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_folder_has_no_run(tmp_path):
    """Nor has one that does not exist."""
    for path in (tmp_path, tmp_path / "none"):
        assert RunFolder(path).read_start() is None
        assert RunFolder(path).read_newest() is None
        assert RunFolder(path).epochs() == []


def test_the_newest_two_epochs_and_the_best_they_name_are_kept(tmp_path):
    """Epoch 2 was the best until 4 was better."""
    folder = RunFolder(tmp_path)
    for epoch, best in [(1, 1), (2, 2), (3, 2)]:
        folder.write_epoch(epoch, *state(epoch, best))
    assert names(tmp_path) == ["best-0002.npz", "epoch-0002.npz", "epoch-0003.npz"]
    folder.write_epoch(4, *state(4, 4))
    assert names(tmp_path) == ["best-0002.npz", "best-0004.npz", "epoch-0003.npz", "epoch-0004.npz"]
    newest, best = folder.read_newest()
    assert newest.groups["network"][0][0, 0] == 4
    assert best.groups["network"][0][0, 0] == 4


@pytest.mark.parametrize("damaged", ["epoch-0004.npz", "best-0004.npz"])
def test_a_damaged_state_falls_back_to_the_one_before_and_says_so(tmp_path, damaged, caplog):
    """Also where only its best weights are damaged."""
    folder = RunFolder(tmp_path)
    for epoch, best in [(2, 2), (3, 2), (4, 4)]:
        folder.write_epoch(epoch, *state(epoch, best))
    Path(tmp_path, damaged).write_bytes(b"PK")
    with caplog.at_level(logging.WARNING):
        newest, best = folder.read_newest()
    assert newest.groups["network"][0][0, 0] == 3
    assert best.groups["network"][0][0, 0] == 2
    assert damaged in caplog.text


def test_when_all_are_damaged_the_error_says_what_to_do(tmp_path):
    """Nothing is deleted."""
    folder = RunFolder(tmp_path)
    folder.write_epoch(1, *state(1, 1))
    Path(tmp_path, "epoch-0001.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match="all 1 checkpoints are damaged; delete the folder"):
        folder.read_newest()


def names(folder):
    """What lies in it, sorted."""
    return sorted(path.name for path in folder.iterdir())
