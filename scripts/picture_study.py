"""What labels made from several views are worth, on painted people: one table of five networks.

Trains a 2D network on painted people in the layout of MPII, makes labels for pictures of four cameras with it (with the
cameras' positions and without), and trains one network on each of these and one on the true 3D labels. Runs the real
command, as a user would type it; every line that it runs is printed first.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

COLUMNS = {"mpjpe_mm": "MPJPE", "n_mpjpe_mm": "N-MPJPE", "p_mpjpe_mm": "P-MPJPE"}
OVERLAY = ["--config", "synthetic_images.yaml"]


def main() -> int:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default="liftpose", help="how the command is called")
    parser.add_argument("--out", type=Path, default=Path("picture_study"), help="folder for data and runs")
    parser.add_argument("--precision", default="32-true", help="trainer.precision; bf16-mixed where the machine has it")
    parser.add_argument("--seed", default="4321", help="seed of all trainings")
    parser.add_argument("words", nargs="*", help="options of all trainings, after --")
    options = parser.parse_args()
    out, seconds = options.out, {}

    def liftpose(*words: str) -> float:
        line = [options.command, *words]
        print(f"\n$ {shlex.join(line)}", flush=True)
        start = time.monotonic()
        subprocess.run(line, check=True)  # noqa: S603 - the words are ours
        return time.monotonic() - start

    def train(name: str, *words: str) -> None:
        seconds[name] = liftpose(
            *("fit", *words, f"--seed_everything={options.seed}", f"--data.seed={options.seed}", "--overwrite=true"),
            *(f"--trainer.precision={options.precision}", f"--trainer.default_root_dir={out / name}", *options.words),
        )

    def test(name: str, *words: str) -> None:
        folder = out / name
        checkpoint = f"--ckpt_path={folder / 'checkpoints' / 'best.ckpt'}"
        liftpose("test", *words, checkpoint, f"--trainer.default_root_dir={folder}", "--logging.wandb=disabled")

    detector = out / "detector"
    train("detector", *("--config", "mpii_integral.yaml", "--config", "synthetic_mpii.yaml"))
    found = f"{detector / 'checkpoints' / 'best.ckpt'}"
    supervised = ["--config", "h36m_integral.yaml", *OVERLAY]
    train("untrained", *supervised, "--model.init_from=null", "--trainer.max_steps=1", "--model.learning_rate=1e-12")
    test("untrained", *supervised)
    train("supervised", *supervised, f"--model.init_from={found}")
    test("supervised", *supervised)
    for route in ("calibrated", "uncalibrated"):
        labels = f"--data.labels={out / 'labels' / route}.npz"
        config = ["--config", "h36m_selfsup.yaml", *OVERLAY, labels]
        seconds[f"labels, {route}"] = liftpose(
            "data", "epipolar-labels", *config, f"--ckpt_path={found}", f"--route={route}", "--overwrite"
        )
        best = ["--model.best_by=n_mpjpe"] if route == "uncalibrated" else []
        train(route, *config, *best, f"--model.init_from={found}")
        test(route, *config, *best)

    rows = {name: errors_of(out / name) for name in ("untrained", "supervised", "calibrated", "uncalibrated")}
    print("\n| network | " + " | ".join(f"{title} mm" for title in COLUMNS.values()) + " |")
    print("| --- " * (1 + len(COLUMNS)) + "|")
    for name, errors in {"mean training pose": mean_pose_errors(), **rows}.items():
        print(f"| {name} | " + " | ".join(f"{error:.1f}" for error in errors) + " |")
    print("\nminutes: " + ", ".join(f"{name} {spent / 60:.1f}" for name, spent in seconds.items()))
    return 0


def errors_of(run: Path) -> list[float]:
    """Return the means over actions that a test has written, in mm."""
    results = json.loads((run / "test_results.json").read_text())["actions"]["mean_over_actions"]
    return [float(results[name]) for name in COLUMNS]


def mean_pose_errors() -> list[float]:
    """Return the errors of the mean of all training poses, in mm: the mean over the actions of the test."""
    import torch

    from liftpose.formats.h36m_images import annotation_file, read_image_set
    from liftpose.metrics import ImagePoseEvaluation, action_table, takes_of_pictures
    from liftpose.tasks.integral import true_poses

    root = "data/synthetic_images/h36m"
    train, test = (read_image_set(annotation_file(root, split), root) for split in ("train", "test"))
    poses, truth = (true_poses(images) - true_poses(images)[:, :1] for images in (train, test))
    takes, sequence = takes_of_pictures(test.subjects, test.actions, test.views.tolist())
    evaluation = ImagePoseEvaluation(takes, test.skeleton)
    evaluation.update(poses.mean(0).expand_as(truth), truth, sequence, torch.arange(len(truth)))
    means = action_table(evaluation.compute()).to_dict()["mean_over_actions"]
    return [float(means[name]) for name in COLUMNS]


if __name__ == "__main__":
    sys.exit(main())
