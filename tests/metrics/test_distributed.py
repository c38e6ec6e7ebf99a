import json
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest
import torch

WORKER = Path(__file__).with_name("ddp_worker.py")
FRAMES = 25
EVEN = [[0, 2, 4], list(range(6, FRAMES, 2))]
ODD = [list(range(1, FRAMES, 2))]
SCENARIOS = {
    "split": (EVEN, ODD),
    "one process has nothing": (EVEN + ODD, []),
    "some poses come twice": (EVEN + ODD, EVEN),
}


def test_two_processes_give_the_result_of_one(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(FRAMES, 17, 3, generator=generator)
    prediction = target + 0.1 * torch.randn(FRAMES, 17, 3, generator=generator)
    prediction[7] = 0
    sequence = (torch.arange(FRAMES) >= 13).long()
    torch.save([prediction, target, sequence, torch.arange(FRAMES)], tmp_path / "poses.pt")
    alone = run_path(str(WORKER))["evaluate"](tmp_path, [list(range(FRAMES))])
    assert alone["degenerate"] == 1

    processes = []
    for rank in (0, 1):
        batches = {name: ranks[rank] for name, ranks in SCENARIOS.items()}
        command = [sys.executable, str(WORKER), str(tmp_path), str(rank), json.dumps(batches)]
        processes.append(subprocess.Popen(command))
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()

    for rank in (0, 1):
        found = json.loads((tmp_path / f"rank{rank}.json").read_text())
        for name in SCENARIOS:
            assert found[name]["mpjve"] == alone["mpjve"], name
            assert found[name]["evaluation"] == alone["evaluation"], name
        for name in ("split", "one process has nothing"):
            for metric in ("mpjpe", "p_mpjpe", "per_joint", "degenerate"):
                assert found[name][metric] == pytest.approx(alone[metric], rel=1e-12), (name, metric)
