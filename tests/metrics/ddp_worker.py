"""One of two processes that evaluate a part of the poses each: run by test_distributed.py.

Arguments: folder, rank, and as JSON {scenario: batches of this rank, each a list of rows}.
"""

import json
import sys
from pathlib import Path

import torch
from torch import distributed

from liftpose.metrics import MPJPE, MPJVE, PMPJPE, PerJointMPJPE, PoseEvaluation


def evaluate(folder: Path, batches: list[list[int]]) -> dict[str, object]:
    """Feed the batches to the metrics and return what they compute."""
    data = torch.load(folder / "poses.pt", weights_only=True)
    simple = {"mpjpe": MPJPE(), "p_mpjpe": PMPJPE(), "per_joint": PerJointMPJPE(17)}
    mpjve, evaluation = MPJVE(), PoseEvaluation([("S1", "A", 0), ("S2", "B 1", 1)])
    for rows in batches:
        prediction, target, sequence, frame = (column[rows] for column in data)
        for metric in simple.values():
            metric.update(prediction, target)
        mpjve.update(prediction, target, sequence, frame)
        evaluation.update(prediction, target, sequence, frame)
    return {
        **{name: metric.compute().tolist() for name, metric in simple.items()},
        "degenerate": simple["p_mpjpe"].degenerate_poses,
        "mpjve": mpjve.compute().item(),
        "evaluation": repr(evaluation.compute()),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, rank, scenarios = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    found = {name: evaluate(folder, batches) for name, batches in scenarios.items()}
    (folder / f"rank{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()
