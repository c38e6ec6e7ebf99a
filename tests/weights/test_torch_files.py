"""Checkpoints are read, and never run."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.errors import LiftposeError
from liftpose.weights.torch_files import Inert, read_checkpoint

GOLDEN = Path(__file__).parents[1] / "golden" / "rie"


class Hostile:
    """Runs a shell command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


def test_tensors_and_plain_values_come_back(tmp_path: Path) -> None:
    content = {"epoch": 3, "lr": 0.5, "names": ["a", (1, None)], "weights": OrderedDict(w=torch.arange(6.0).view(2, 3))}
    torch.save(content, tmp_path / "own.pt")
    read = read_checkpoint(tmp_path / "own.pt")
    assert torch.equal(read["weights"]["w"], content["weights"]["w"])
    assert {k: v for k, v in read.items() if k != "weights"} == {k: v for k, v in content.items() if k != "weights"}


def test_a_numpy_1_random_state_is_forgotten() -> None:
    read = read_checkpoint(GOLDEN / "checkpoint_old_pickle_s1_a33.bin")
    assert list(read) == ["epoch", "lr", "random_state", "optimizer", "model_pos"]
    assert read["epoch"] == 80
    assert isinstance(read["random_state"], Inert)
    assert read["model_pos"]["LocalLayer_Torso.expand_conv.weight"].shape == (8, 30, 3)


def test_a_random_state_of_this_numpy_is_forgotten(tmp_path: Path) -> None:
    torch.save({"random_state": np.random.RandomState(1234), "epoch": 1}, tmp_path / "new.bin")
    read = read_checkpoint(tmp_path / "new.bin")
    assert isinstance(read["random_state"], Inert)
    assert read["epoch"] == 1


def test_the_names_are_allowed_while_reading_only(tmp_path: Path) -> None:
    before = list(torch.serialization.get_safe_globals())
    torch.save({"random_state": np.random.RandomState(1)}, tmp_path / "ok.pt")
    torch.save(Hostile(tmp_path / "no"), tmp_path / "bad.pt")
    read_checkpoint(tmp_path / "ok.pt")
    with pytest.raises(LiftposeError):
        read_checkpoint(tmp_path / "bad.pt")
    assert torch.serialization.get_safe_globals() == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "ok.pt", weights_only=True)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_file_is_refused_and_does_not_run(tmp_path: Path, zipped: bool) -> None:
    path, target = tmp_path / "hostile.bin", tmp_path / "was_run"
    torch.save({"model_pos": Hostile(target)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(LiftposeError, match=r"hostile.bin: expected a checkpoint, found .*system") as caught:
        read_checkpoint(path)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    with path.open("wb") as file:
        pickle.dump({"model_pos": Hostile(target)}, file)
    with pytest.raises(LiftposeError, match=r"hostile.bin: expected a checkpoint"):
        read_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    whole = (GOLDEN / "checkpoint_old_pickle_s1_a33.bin").read_bytes()
    (tmp_path / "cut.bin").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(LiftposeError, match=r"cut.bin: expected a checkpoint, found a damaged file"):
        read_checkpoint(tmp_path / "cut.bin")


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    np.savez(tmp_path / "array.npz", a=np.zeros(3))
    with pytest.raises(LiftposeError, match=r"note.txt: expected a checkpoint"):
        read_checkpoint(tmp_path / "note.txt")
    with pytest.raises(LiftposeError, match=r"tensor.pt: expected a checkpoint .*, found a Tensor"):
        read_checkpoint(tmp_path / "tensor.pt")
    with pytest.raises(LiftposeError, match=r"array.npz: expected a checkpoint"):
        read_checkpoint(tmp_path / "array.npz")
    with pytest.raises(LiftposeError, match=r"absent.pt: expected a checkpoint, found no such file"):
        read_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(LiftposeError, match=r"expected a checkpoint, found is a directory"):
        read_checkpoint(tmp_path)


def test_a_tensor_that_is_larger_than_its_data_is_refused(tmp_path: Path) -> None:
    endless = torch.zeros(1).expand(10**6, 10**6)
    torch.save({"epoch": 1, "model_pos": {"layers": [("a", endless)]}}, tmp_path / "endless.bin")
    with pytest.raises(LiftposeError, match=r"found a tensor \(1000000, 1000000\) with 4 bytes of data"):
        read_checkpoint(tmp_path / "endless.bin")
    torch.save({"model_pos": {"a": torch.zeros(3, device="meta")}}, tmp_path / "nothing.bin")
    with pytest.raises(LiftposeError, match=r"nothing.bin: expected a checkpoint, found "):
        read_checkpoint(tmp_path / "nothing.bin")
    circle: dict[str, Any] = {"part": torch.arange(6.0).view(2, 3).t()[1:]}
    circle["again"] = circle
    torch.save(circle, tmp_path / "circle.bin")
    assert read_checkpoint(tmp_path / "circle.bin")["again"]["part"].tolist() == [[1.0, 4.0], [2.0, 5.0]]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """torch stores what it writes, and unpacks what is deflated all the same."""
    torch.save({"model_pos": torch.zeros(10_000_000)}, tmp_path / "stored.pt")
    with (
        zipfile.ZipFile(tmp_path / "stored.pt") as stored,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    assert read_checkpoint(tmp_path / "stored.pt")["model_pos"].shape == (10_000_000,)
    with pytest.raises(LiftposeError, match=r"bomb.pt: expected a checkpoint, found \d+ bytes that unpack to 4000\d+"):
        read_checkpoint(tmp_path / "bomb.pt")
