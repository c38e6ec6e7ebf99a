"""The documents: links lead somewhere, commands parse, configurations, options, flags and names exist."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
import yaml

from liftpose.cli.configs import installed_configs
from liftpose.cli.data.epipolar_labels import LabelParser
from liftpose.cli.main import VERBS, main
from liftpose.cli.parsing import OneLineParser
from liftpose.formats.mocap_clip import CLIP_KEYS
from liftpose.formats.mocap_description import DESCRIPTION_NAMES

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "data/README.md", "notebooks/*.ipynb")
    for path in ROOT.glob(pattern)
)
RIE = Path("docs/rie.md")
MOCAP = Path("docs/mocap.md")
RENDER = Path("docs/render.md")
DATA = Path("docs/data.md")
IMAGES = Path("docs/images.md")
VIEWS = Path("notebooks/self_supervision.ipynb")
# What the kinds of `liftpose data` need, and how the options in the prose about them are completed.
DATA_COMMANDS = (
    ("data", "h36m", "--from", "cdf", "DIR", "--out", "OUT"),
    ("data", "humaneva", "DIR", "--out", "OUT"),
    ("data", "3dhp", "--from", "test", "DIR", "--out", "OUT"),
    ("data", "detections", "DIR", "--detector", "cpn", "--name", "NAME", "--out", "OUT"),
)
# The same for pictures; the first one in which an option is known says that it exists.
PICTURE_COMMANDS = (
    ("data", "epipolar-labels", "--config", "h36m_selfsup.yaml", "--ckpt_path", "FILE"),
    ("data", "h36m-images", "--from", "PATH", "--out", "OUT"),
    ("data", "mpii", "--from", "DIR", "--out", "OUT"),
    ("lift", "picture.jpg", "--box", "all", "--ckpt_path", "FILE"),
)
LIGHTNING = {"fit", "validate", "test", "predict"}
WRITTEN_BY_RUNS = {"config.yaml"}
SOME_CONFIG = "rie_stage1.yaml"  # where a document does not say which one
# Lifters and tasks with options of their own.
TRIED_CONFIGS = (
    SOME_CONFIG,
    "dhaug_videopose_video.yaml",
    "dhaug_simple_baseline.yaml",
    "dhaug_poseformer.yaml",
    "h36m_selfsup.yaml",
)
PICTURE_CONFIGS = ("h36m_selfsup.yaml", "h36m_integral.yaml", "mpii_integral.yaml", "refiner.yaml")
PAINTED = ("--config", "h36m_selfsup.yaml", "--config", "synthetic_images.yaml")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


# ----------------------------------------------------------------------------------------------- what a document holds
@functools.cache
def text_of(document: Path) -> str:
    """Return the text of a document; of a notebook its markdown."""
    if document.suffix == ".ipynb":
        cells = nbformat.read(ROOT / document, as_version=4).cells
        return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return (ROOT / document).read_text(encoding="utf-8")


def prose_of(document: Path) -> str:
    """Return the text without its code blocks."""
    return re.sub(r"^ {4}\S.*$", "", FENCE.sub("", text_of(document)), flags=re.MULTILINE)


def code_blocks(document: Path, language: str) -> list[str]:
    """Return the code blocks in a language."""
    return [code for found, code in FENCE.findall(text_of(document)) if found == language]


def lines_to_type(document: Path) -> list[str]:
    """Return the lines of blocks that show what is typed into a shell."""
    blocks = [code.replace("\\\n", " ") for language in ("", "sh", "bash") for code in code_blocks(document, language)]
    fenced = [line for code in blocks for line in code.splitlines()]
    indented = re.findall(r"^ {4}(\S.*)$", FENCE.sub("", text_of(document)), re.MULTILINE)
    return [line.strip().removeprefix("$ ") for line in (*fenced, *indented)]


def spans(document: Path) -> list[str]:
    """Return the pieces of code inside the prose, without the flags of the public code."""
    if document == IMAGES:  # its tables are of our own options
        return re.findall(r"`([^`\n]+)`", prose_of(document))
    lines = [line for line in prose_of(document).splitlines() if not re.match(r"\| `-", line)]
    old = [line.split("|", 2)[2] for line in prose_of(document).splitlines() if re.match(r"\| `-", line)]
    return re.findall(r"`([^`\n]+)`", "\n".join((*lines, *old)))


class Command(NamedTuple):
    """A command in a document."""

    document: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: {shlex.join(self.words)}"


def whole_commands() -> Iterator[Command]:
    """Yield the commands in code blocks: a reader copies them as they are."""
    for document in DOCUMENTS:
        for line in lines_to_type(document):
            if re.match(r"(\S*/)?liftpose( |$)", line):
                yield Command(document, tuple(shlex.split(line, comments=True)[1:]))


def partial_commands() -> Iterator[Command]:
    """Yield the commands and options inside the prose: what is missing there is understood."""
    for document in DOCUMENTS:
        for span in spans(document):
            if re.match(r"liftpose [a-z-]", span) and "…" not in span:
                yield Command(document, tuple(shlex.split(span)[1:]))
            elif re.match(r"--[a-z]", span) and span not in {"--help", "--version"}:
                own = {MOCAP: ("data", "mocap"), RENDER: ("render",)}
                verb = own.get(document) or (("test",) if "by_subject" in span else ("fit",))
                yield Command(document, (*verb, *shlex.split(span)))


WHOLE = list(dict.fromkeys(whole_commands()))
PARTIAL = list(dict.fromkeys(partial_commands()))


# ------------------------------------------------------------------------------------------------------------ commands
class Parsed(Exception):
    """Raised in place of running a command that has been parsed."""


@pytest.fixture
def parse(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Parse a command in an empty folder and return its configuration, without running it."""

    def stop(self: OneLineParser, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        raise Parsed

    original = OneLineParser.parse_args
    for parser in (OneLineParser, LabelParser):
        monkeypatch.setattr(parser, "parse_args", stop)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> dict[str, Any]:
        lightning = words[0] in LIGHTNING and not {"-h", "--help"} & set(words)
        capsys.readouterr()
        try:
            code = main([*words, *(["--print_config"] if lightning else [])])
        except Parsed:
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        out, err = capsys.readouterr()
        assert code == 0, err
        return yaml.safe_load(out) if lightning else {}

    return run


def completed(words: tuple[str, ...], config: str) -> list[str]:
    """Return a command of the prose with what is understood there."""
    if words[0] in LIGHTNING and "--config" not in words:
        return [words[0], "--config", config, *words[1:]]
    if words[:2] == ("data", "mocap"):
        missing = [] if len(words) > 2 and not words[2].startswith("-") else ["DIR", "--out=OUT"]
        return [*words[:2], *missing, *words[2:]]
    return list(words)


def with_real_configs(words: list[str]) -> list[str]:
    """Replace NAME.yaml, which stands for any, and files of runs by a configuration that exists."""
    for place, word in enumerate(words[:-1]):
        name = words[place + 1]
        if word == "--config" and (re.match(r"[A-Z]+[./]", name) or Path(name).name in WRITTEN_BY_RUNS):
            words[place + 1] = SOME_CONFIG
    return words


@pytest.mark.parametrize("command", WHOLE, ids=str)
def test_commands_can_be_typed(command: Command, parse: Callable[..., dict[str, Any]]) -> None:
    parse(*with_real_configs(list(command.words)))


@pytest.mark.parametrize("command", PARTIAL, ids=str)
def test_options_in_the_prose_exist(command: Command, parse: Callable[..., dict[str, Any]]) -> None:
    if command.document == DATA and command.words[0] == "fit" and not re.match(r"--(config$|\w+\.)", command.words[1]):
        tried = [(*words, *command.words[1:], *value) for words in DATA_COMMANDS for value in ((), ("1",))]
        assert any(parses(parse, *words) for words in tried)
        return
    if command.document in {IMAGES, VIEWS} and command.words[0] == "fit":
        shown = command.words[1:]
        whole = [*PICTURE_COMMANDS, *(("fit", "--config", name) for name in PICTURE_CONFIGS), ("fit", *PAINTED)]
        values = ((), ("1",), ("calibrated",), ("robust",))
        assert any(parses(parse, *words, *shown, *value) for words in whole for value in values)
        return
    options = [word for word in command.words[1:] if word.startswith("-")]
    if not options and not command.words[0].startswith("-"):  # only the name of a verb
        assert command.words[0] in VERBS
        return
    tries = [completed(command.words, config) for config in TRIED_CONFIGS]
    if options and tries[0][-1] == options[-1] and options[-1] != "--help":  # only the name of an option
        tries = [[*words, SOME_CONFIG if options[-1] == "--config" else "VALUE"] for words in tries]
    assert any(parses(parse, *with_real_configs(words)) for words in tries)


def parses(parse: Callable[..., dict[str, Any]], *words: str) -> bool:
    """Return whether a command is one that could be run."""
    try:
        parse(*words)
    except AssertionError:
        return False
    return True


def test_commands_are_found() -> None:
    """An empty list would pass every test."""
    assert len({command.words for command in WHOLE if command.document == RIE}) >= 4
    assert Command(MOCAP, tuple("data mocap cmu --out data/cmu --name cmu".split())) in WHOLE
    assert any("--heading_step" in command.words for command in PARTIAL)


@pytest.mark.parametrize("wrong", ["fit --config rie_stage9.yaml", "fit --config ridge.yaml --data.rot x", "data mocp"])
def test_a_wrong_command_would_be_found(wrong: str, parse: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(AssertionError, match="expected"):
        parse(*wrong.split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = {line.split()[1] for line in (*lines_to_type(document), *spans(document)) if re.match(r"make [a-z]", line)}
    assert shown <= targets


# ----------------------------------------------------------------------------------------------------- links and names
def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings of a document."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", text_of(document)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_resolve(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(document)):
        if re.match(r"(https?|mailto):", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / document.parent / name).resolve() if name else ROOT / document
        assert path.exists(), f"{document} links to {target}"
        if anchor:
            assert anchor in anchors(path.relative_to(ROOT)), f"{document} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_configs_exist(document: Path) -> None:
    named = set(re.findall(r"(?<![\w/.])[a-z]\w*\.yaml\b", text_of(document)))
    assert named <= {*installed_configs(), *DESCRIPTION_NAMES, *WRITTEN_BY_RUNS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_python_examples_use_what_exists(document: Path) -> None:
    for code in code_blocks(document, "python"):
        tree = ast.parse(code)
        known: dict[str, Any] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("liftpose"):
                module = import_module(str(node.module))
                names = [alias.name for alias in node.names]
                assert set(names) <= set(module.__all__), f"{document}: {ast.unparse(node)}"
                known |= {name: getattr(module, name) for name in names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
                keywords = {str(keyword.arg): None for keyword in node.keywords}
                inspect.signature(known[node.func.id]).bind(*node.args, **keywords)


# --------------------------------------------------------------------------------------------------------- docs/rie.md
def find(config: Any, path: list[str]) -> list[str]:
    """Return the full names of an option, of which a document may leave out the ``init_args``."""
    if not path:
        return [""]
    if not isinstance(config, dict):
        return []
    if path[0] in config:
        return [f".{path[0]}{rest}" for rest in find(config[path[0]], path[1:])]
    return [f".init_args{rest}" for rest in find(config.get("init_args"), path)]


def named_keys(document: Path) -> list[tuple[str, str]]:
    """Return the configuration keys in a document, in full, each with the value that is given or nothing."""
    pattern = re.compile(r"((?:model|data|trainer|logging)\.[\w.]+)(?:: (.+))?")
    matches = [pattern.fullmatch(span) for span in spans(document)]
    return list(dict.fromkeys((match[1], match[2] or "") for match in matches if match))


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if named_keys(document)], ids=str)
def test_keys_exist(document: Path, parse: Callable[..., dict[str, Any]]) -> None:
    configs = {name: parse("fit", "--config", name) for name in TRIED_CONFIGS}
    for key, value in named_keys(document):
        holding = [name for name, config in configs.items() if find(config, key.split("."))]
        assert holding, key
        if value:
            parse("fit", "--config", holding[0], f"--{key}={value}")


def test_short_keys_exist(parse: Callable[..., dict[str, Any]]) -> None:
    """``freeze: [encoders]`` and the like."""
    config = parse("fit", "--config", SOME_CONFIG)
    places = ("model", "model.lifter", "data", "trainer")
    shown = [match for span in spans(RIE) if (match := re.fullmatch(r"([a-z]\w+): (\S+)", span))]
    assert shown
    for match in shown:
        full = [place for place in places if find(config, [*place.split("."), match[1]])]
        assert full, match[0]
        parse("fit", "--config", SOME_CONFIG, f"--{full[0]}.{match[1]}={match[2]}")


def table_of_flags() -> dict[str, str]:
    """Return flag of the public code -> what the table says about it."""
    section = text_of(RIE).split("## Old flags, new keys")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `-")]
    return {flag: row[1] for row in rows for flag in re.findall(r"`([^`]+)`", row[0])}


def test_every_flag_has_a_key_or_a_reason() -> None:
    rows = table_of_flags()
    assert len(rows) >= 30
    for flag, says in rows.items():
        assert says.startswith("dead: ") or "`" in says, flag


def test_every_flag_of_the_public_code_is_in_the_table(reference: Path) -> None:
    spec = (reference / "spec" / "rie.md").read_text(encoding="utf-8")
    section = spec.split("### 4.3 Options and defaults")[1].split("\n## ")[0].split("\n### ")[0]
    public = set(re.findall(r"`(-[\w-]+)", section.replace("\n", " ")))
    assert {"-d", "--stage", "--no-proj"} <= public
    assert public <= set(table_of_flags())


# ------------------------------------------------------------------------------------------------------- docs/mocap.md
def test_every_key_of_a_rule_is_explained() -> None:
    section = text_of(MOCAP).split("The keys of a rule:")[1].split("\n\nA node")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} == set(CLIP_KEYS)


# ------------------------------------------------------------------------------------------------------ docs/render.md
def test_every_flag_of_the_public_rendering_has_an_option(reference: Path) -> None:
    spec = (reference / "spec" / "rie.md").read_text(encoding="utf-8")
    public = set(re.findall(r"`(--viz-[\w-]+)`", spec.split("## 7. Visualisation")[1].split("\n## ")[0]))
    section = text_of(RENDER).split("## Old flags, new options")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `-")]
    explained = {flag for row in rows for flag in re.findall(r"`([^`]+)`", row[0])}
    assert "--viz-skip" in public
    assert public <= explained
    assert all(re.search(r"`--\w", row[1]) or "liftpose" in row[1] for row in rows)
