"""The main job from nothing: synthetic people, the three stages of RIE, the papers' table, a picture.

Runs the real command, as a user would type it; every line that it runs is printed first.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Run the demo and print its two errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default="liftpose", help="how the command is called")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for data and runs")
    options = parser.parse_args()
    start = time.monotonic()
    out = options.out

    def liftpose(verb: str, config: str, *words: str) -> None:
        folder = out / "runs" / config.removesuffix(".yaml")
        quick = ["--config", "quick.yaml"] if config.startswith("rie") else []
        line = [
            *(options.command, verb, "--config", config, "--config", "synthetic.yaml", *quick),
            *(f"--data.root={out / 'data'}", "--data.frames_per_action=300"),
            *(f"--trainer.default_root_dir={folder}", *words),
        ]
        print(f"\n$ {shlex.join(line)}", flush=True)
        subprocess.run(line, check=True)  # noqa: S603 - the words are ours

    def checkpoint(config: str) -> Path:
        return out / "runs" / config / "checkpoints" / "best.ckpt"

    liftpose("fit", "mean_pose.yaml", "--overwrite=true")
    liftpose("test", "mean_pose.yaml", f"--ckpt_path={checkpoint('mean_pose')}")
    liftpose("fit", "rie_stage1.yaml", "--overwrite=true")
    liftpose("fit", "rie_stage2.yaml", "--overwrite=true", f"--model.init_from={checkpoint('rie_stage1')}")
    liftpose("fit", "rie_stage3.yaml", "--overwrite=true", f"--model.init_from={checkpoint('rie_stage2')}")
    liftpose("test", "rie_stage3.yaml", f"--ckpt_path={checkpoint('rie_stage3')}")

    errors = {name: error_of(out / "runs" / name) for name in ("mean_pose", "rie_stage3")}
    picture = out / "runs" / "rie_stage3" / "prediction.png"
    print(
        f"\nMPJPE on unseen synthetic people: RIE {errors['rie_stage3']:.1f} mm, mean training pose "
        f"{errors['mean_pose']:.1f} mm; {(time.monotonic() - start) / 60:.1f} minutes\npicture: {picture}"
    )
    return 0 if errors["rie_stage3"] <= errors["mean_pose"] / 2 else 1


def error_of(run: Path) -> float:
    """Return the mean over actions of MPJPE that a test has written, in mm."""
    results = json.loads((run / "test_results.json").read_text())
    return float(results["actions"]["mean_over_actions"]["mpjpe_mm"])


if __name__ == "__main__":
    sys.exit(main())
