"""The command before and around its verbs: quick, silent about what it has not been asked, honest about bugs."""

from __future__ import annotations

import errno
import inspect
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from liftpose import __version__
from liftpose.cli import main as command
from liftpose.cli.configs import installed_configs
from liftpose.cli.usage import VERB_USAGE, asks_for_usage
from liftpose.datamodules import H36MDataModule
from liftpose.errors import LiftposeError, RunStopped
from liftpose.models import RIE
from liftpose.tasks import LiftingTask

Run = Callable[..., tuple[int, str, str]]
WIDEST = 120
OPTIONS = {
    "model": [name for kind in (LiftingTask, RIE) for name in inspect.signature(kind).parameters],
    "data": [name for kind in H36MDataModule.__mro__[:2] for name in inspect.signature(kind).parameters],
}


@pytest.mark.parametrize("word", ["--help", "-h", "help", ""])
def test_help_lists_verbs_and_configurations(word: str, liftpose: Run) -> None:
    code, out, _ = liftpose(*([word] if word else []))
    assert code == 0
    assert all(verb in out for verb in ("fit", "validate", "test", "predict", "data mocap"))
    assert all(name in out for name in installed_configs())


def test_the_configuration_of_a_run_serves_every_verb(liftpose: Run, h36m_root: Path, tmp_path: Path) -> None:
    run, tiny = tmp_path / "run", Path(__file__).parents[1] / "tiny.yaml"
    options = [f"--data.root={h36m_root}", f"--trainer.default_root_dir={run}"]
    assert liftpose("fit", "--config", "ridge.yaml", "--config", tiny, *options)[0] == 0
    for verb in ("validate", "test", "predict"):
        code, _, err = liftpose(verb, "--config", run / "config.yaml", "--ckpt_path", "best")
        assert code == 0, err
    assert len(list((run / "predictions").iterdir())) == 32


def test_version(liftpose: Run) -> None:
    assert liftpose("--version") == (0, f"liftpose {__version__}\n", "")


@pytest.mark.parametrize("words", ["--help", "--version", "nonsense", "fit --help", "data --help", "weights --help"])
def test_nothing_heavy_is_imported_before_a_verb_is_known(words: str) -> None:
    program = (
        "import sys; from liftpose.cli.main import main; main(sys.argv[1:]);"
        "heavy = {'torch', 'numpy', 'pytorch_lightning', 'wandb', 'matplotlib'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    found = subprocess.run([sys.executable, "-c", program, *words.split()], capture_output=True, text=True, check=False)
    assert found.returncode == 0 or words.startswith("data"), found.stderr
    assert "torch" not in found.stderr


@pytest.mark.parametrize("verb", sorted(VERB_USAGE))
def test_the_help_of_a_verb_is_short_and_names_real_options(verb: str, liftpose: Run) -> None:
    code, out, err = liftpose(verb, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: liftpose {verb} ")
    assert max(map(len, out.splitlines())) <= WIDEST
    everything = liftpose(verb, "--help", "all")[1]
    for word in set(re.findall(r"--[\w.]+", out)) - {"--KEY", "--help", "--data.help", "--model.help"}:
        owner, *rest = word.removeprefix("--").split(".")
        if rest and owner in {"model", "data"}:
            assert rest[-1] in OPTIONS[owner], word
        else:
            assert f"{word} " in everything, word


def test_the_whole_help_names_the_verb(liftpose: Run) -> None:
    code, out, _ = liftpose("test", "--help", "all")
    assert code == 0
    assert out.startswith("usage: liftpose test --config NAME.yaml")
    assert all(option in out for option in ("--trainer.max_epochs", "--by_subject", "--data", "--logging.wandb"))
    assert "--weights_only" not in out


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("fit --help", True),
        ("fit --config a.yaml -h", True),
        ("fit --help all", False),
        ("fit --model.help RIE", False),
        ("data --help", False),
        ("", False),
    ],
)
def test_who_asks_for_the_short_help(words: str, asked: bool) -> None:
    assert asks_for_usage(words.split()) == asked


def test_the_printed_configuration_can_be_given_again(
    liftpose: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, first, err = liftpose("fit", "--config", "rie_stage3.yaml", "--data.batch_size", "77", "--print_config")
    assert (code, err) == (0, "")
    Path("again.yaml").write_text(first)
    code, second, _ = liftpose("fit", "--config", "again.yaml", "--print_config")
    assert code == 0
    assert yaml.safe_load(first) == yaml.safe_load(second)
    assert yaml.safe_load(first)["data"]["init_args"]["batch_size"] == 77


def test_an_option_wins_over_a_configuration_wherever_it_stands(liftpose: Run, tmp_path: Path) -> None:
    words = ("fit", "--trainer.max_epochs", "0", "--config", "ridge.yaml", f"--trainer.default_root_dir={tmp_path}")
    assert liftpose(*words)[::2] == (
        2,
        "liftpose: error: trainer.max_epochs: expected a number above 0 for fit, found 0\n",
    )


def stand_in(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let every verb fail."""

    def fail(words: object) -> int:
        raise error

    monkeypatch.setattr(command, "_verb", lambda word: fail)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (LiftposeError("a.npz:\nexpected b"), 2, "liftpose: error: a.npz: expected b\n"),
        (
            OSError(errno.ENOSPC, "No space", "a.txt"),
            2,
            "liftpose: error: a.txt: expected to write or read it, found: ",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), 2, "liftpose: error: the run folder: expected"),
        (FileExistsError(errno.EEXIST, "File exists", "run"), 2, "liftpose: error: run: expected"),
        (KeyboardInterrupt(), 130, "\nliftpose: interrupted\n"),
        (KeyboardInterrupt("what is left"), 130, "\nliftpose: interrupted; what is left\n"),
        (SystemExit(0), 0, ""),
        (SystemExit(), 0, ""),
        (SystemExit(3), 3, ""),
    ],
)
def test_ends(error: BaseException, code: int, line: str, liftpose: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, error)
    answer = liftpose("fit")
    assert answer[0] == code
    assert answer[2].startswith(line)
    assert answer[2].count("\n") <= 2


@pytest.mark.parametrize(
    "error", [ValueError("x"), FileNotFoundError(errno.ENOENT, "No such file", "x"), KeyError("x")]
)
def test_a_bug_keeps_its_traceback(error: Exception, liftpose: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, error)
    with pytest.raises(type(error)):
        liftpose("fit")


def test_terminated(liftpose: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("liftpose.cli.main._answer", lambda words: os.kill(os.getpid(), signal.SIGTERM))
    assert liftpose("fit")[::2] == (143, "\nliftpose: terminated\n")
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_that_was_stopped(liftpose: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, RunStopped("terminated; run/last.ckpt", 143))
    assert liftpose("fit")[::2] == (143, "\nliftpose: terminated; run/last.ckpt\n")
    stand_in(monkeypatch, RunStopped("", 0))  # another process says it
    assert liftpose("fit")[::2] == (0, "")


def test_nobody_reads_the_output() -> None:
    shell = (
        f"{sys.executable} -c 'import time; from liftpose.cli.main import main; time.sleep(0.3); exit(main([]))' | true"
    )
    ended = subprocess.run(
        ["/bin/bash", "-c", f"{shell}; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("141\n", "")
