"""The refinement network in files of the public code."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.errors import LiftposeError
from liftpose.models import Refiner
from liftpose.weights import (
    as_checkpoint,
    load_refiner,
    published_lifter,
    published_network,
    read_checkpoint,
    read_refiner_statistics,
)

Write = Callable[..., Path]


class Hostile:
    """Runs a shell command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch was_run",)


@pytest.mark.parametrize("bare", [True, False])
@torch.no_grad()
def test_it_corrects_millimetres_as_it_was_trained_to(
    bare: bool, write_public: Write, write_norm: Write, tmp_path: Path
) -> None:
    made = Refiner(channels=16).eval()
    path = write_public(tmp_path / "refiner.pth.tar", made, bare=bare, prefix="")
    write_norm(tmp_path / "norm.pkl")
    network = load_refiner(path)
    poses = torch.randn(5, 16, 3)
    poses[:, 6] = 0
    input_mean, input_std, target_mean, target_std = pickle.loads((tmp_path / "norm.pkl").read_bytes())  # noqa: S301 - ours
    joints = [joint for joint in range(16) if joint != 6]
    rows = (1000 * poses[:, joints].flatten(1).numpy() - input_mean) / input_std
    given = torch.zeros(5, 16, 3)
    given[:, joints] = torch.from_numpy(rows).view(5, 15, 3)
    wanted = (made.estimates(given)[1].numpy() * target_std + target_mean) / 1000
    np.testing.assert_allclose(network(poses)[:, joints].flatten(1), wanted, rtol=1e-4, atol=1e-5)
    assert not network(poses)[:, 6].any()


def test_it_is_not_taken_for_simple_baseline(write_public: Write, write_norm: Write, tmp_path: Path) -> None:
    path = write_public(tmp_path / "refiner.pth.tar", Refiner(channels=16), bare=False, prefix="")
    content = read_checkpoint(path)
    assert published_lifter(content, "x") is None
    with pytest.raises(LiftposeError, match=r"norm\.pkl: expected the statistics .* found no such file"):
        published_network(content, "x", path)
    write_norm(tmp_path / "norm.pkl")
    found = published_network(content, "x", path)
    assert found is not None and found.system == "Refiner"
    assert [misfit.option for misfit in found.misfits({"skeleton": "h36m_17"})] == ["skeleton", "channels"]
    assert list(found.misfits({"skeleton": "mpii_16", "channels": 16})) == []
    checkpoint = as_checkpoint(content, "x", path)
    assert checkpoint["state_dict"].keys() == {f"network.{name}" for name in Refiner(channels=16).state_dict()}


def test_statistics_of_another_size_are_refused(write_public: Write, write_norm: Write, tmp_path: Path) -> None:
    path = write_public(tmp_path / "refiner.pth.tar", Refiner(channels=16), prefix="")
    write_norm(tmp_path / "norm.pkl", 48)
    with pytest.raises(LiftposeError, match=r"expected norm.pkl with 45 numbers each, found 48 in input_mean"):
        load_refiner(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((np.ones(45), np.ones(45), np.ones(45)), "expected four pickled arrays, found a tuple"),
        ((np.ones(45), np.zeros(45), np.ones(45), np.ones(45)), "expected deviations above 0 for input_std, found 0"),
        ((np.ones(45), np.ones(45), np.full(45, np.nan), np.ones(45)), "finite numbers for target_mean"),
        ((np.ones(45), np.ones(45), "x", np.ones(45)), "finite numbers for target_mean"),
        (Hostile(), "expected four pickled arrays, found the name"),
    ],
)
def test_other_statistics_are_refused(
    content: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "norm.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(LiftposeError, match=message):
        read_refiner_statistics(tmp_path / "norm.pkl")
    assert not (tmp_path / "was_run").exists()


def test_other_weights_are_refused(write_norm: Write, tmp_path: Path) -> None:
    write_norm(tmp_path / "norm.pkl")
    torch.save({"state_dict": {"w1.weight": torch.zeros(4, 45)}}, tmp_path / "x.pth.tar")
    with pytest.raises(LiftposeError, match=r"x\.pth\.tar: expected weights of a refinement network, found others"):
        load_refiner(tmp_path / "x.pth.tar")
