"""Configurations: found by name, checked, and named when they hold a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from liftpose.cli.configs import check_configs, config_holding, find_config, installed_configs, option_paths
from liftpose.cli.configs import resolve_configs as resolve
from liftpose.errors import LiftposeError


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_goes_before_a_shipped_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = find_config("ridge.yaml")
    assert Path(shipped).is_absolute()
    write(tmp_path / "ridge.yaml", "trainer: {}")
    assert find_config("ridge.yaml") == "ridge.yaml"


@pytest.mark.parametrize("name", ["nix.yaml", "elsewhere/ridge.yaml", "", "."])
def test_a_name_of_nothing_lists_what_there_is(name: str) -> None:
    with pytest.raises(LiftposeError, match="found neither") as caught:
        find_config(name)
    assert set(installed_configs()) <= set(
        str(caught.value).replace(",", " ").replace("(", " ").replace(")", " ").split()
    )


def test_options_win_over_configurations_wherever_they_stand(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "{}")
    words = resolve(["fit", "--x=1", "--config", path, "--y", "2", f"--config={path}"])
    assert words == ["fit", f"--config={path}", f"--config={path}", "--x=1", "--y", "2"]
    assert resolve(words) == words


def test_a_config_option_without_a_name_is_refused() -> None:
    with pytest.raises(LiftposeError, match="--config: expected the name of a configuration, found nothing"):
        resolve(["fit", "--config"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1, 2\nb: :::\n", "expected YAML, found a mistake in line 2"),
        (b"a: 1\n\tb: 2\n", "expected YAML, found a mistake in line 2"),
        (b"- 1\n- 2\n", "found a list"),
        (b"", "found nothing"),
        (b"hello", "found 'hello'"),
        (b"\xff\xfe\x00\x01", "expected a text file in UTF-8"),
        (b"a: !!python/object/apply:os.system ['exit 1']", "expected YAML, found a mistake in line 1"),
    ],
)
def test_what_is_no_configuration_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(LiftposeError) as caught:
        check_configs(["fit", f"--config={path}"])
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_the_names_of_options_are_those_of_the_command_line() -> None:
    config = {"model": {"class_path": "A", "init_args": {"lifter": {"init_args": {"stage": 2}}}}, "seed": 1}
    assert list(option_paths(config)) == ["model", "model.class_path", "model.lifter", "model.lifter.stage", "seed"]
    assert list(option_paths(["no", "mapping"])) == []


def test_the_last_file_that_sets_an_option_is_named(tmp_path: Path) -> None:
    first = write(tmp_path / "1.yaml", "model: {init_args: {stage: 1, size: 2}}")
    second = write(tmp_path / "2.yaml", "model: {init_args: {stage: 3}}")
    words = ["fit", f"--config={first}", f"--config={second}"]
    assert config_holding("model.stage", words) == second
    assert config_holding("model.size", words) == first
    assert config_holding("model.colour", words) is None
    assert config_holding("model.stage", [*words, "--model.stage=4"]) is None
    assert config_holding("model.stage", [*words, "--model", "A"]) is None
