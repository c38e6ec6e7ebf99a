"""Reports of jsonargparse and the one line that is made of each."""

from __future__ import annotations

from textwrap import dedent

import pytest
from jsonargparse import ArgumentParser, Namespace

from liftpose.cli.parsing import OneLineErrors, OptionError, explain
from liftpose.errors import LiftposeError


class Wheel:
    def __init__(self, spokes: int = 8) -> None:
        self.spokes = spokes


class Cart:
    def __init__(self, wheel: Wheel, load: float = 1.0, colour: str | None = None) -> None:
        self.wheel = wheel


class Parser(OneLineErrors, ArgumentParser):
    pass


def parse(*words: str) -> Namespace:
    """Parse with a real parser of nested classes, as the command does."""
    parser = Parser(allow_abbrev=False)
    parser.add_argument("--speed", type=int | None, default=None)
    parser.add_subclass_arguments(Cart, "cart", required=False)
    result: Namespace = parser.parse_args(["--cart=Cart", "--cart.wheel=Wheel", *words])
    return result


def test_right_words_are_taken() -> None:
    options = parse("--cart.wheel.spokes=12", "--speed", "3")
    assert options.speed == 3
    assert options.cart.init_args.wheel.init_args.spokes == 12


@pytest.mark.parametrize(
    ("word", "sentence", "option"),
    [
        ("--speed=fast", "speed: expected a whole number or null, found fast", "speed"),
        ("--cart.load=much", "cart.load: expected a number, found much", "cart.load"),
        ("--cart.wheel.spokes=few", "cart.wheel.spokes: expected a whole number, found few", "cart.wheel.spokes"),
        ("--cart.wheel=Rocket", "cart.wheel.class_path: expected the name of a class, found Rocket", None),
        ("--sped=3", "--sped: expected the name of an option, found no option of this name", "sped"),
    ],
)
def test_what_a_real_parser_says(word: str, sentence: str, option: str | None) -> None:
    with pytest.raises(OptionError) as caught:
        parse(word)
    assert str(caught.value).startswith(sentence)
    if option:
        assert caught.value.option == option


def test_an_unknown_option_of_a_nested_class_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(
        LiftposeError, match=r"^cart.wheel: expected an option of .*Wheel, found spoke \(did you mean sp"
    ):
        parse("--cart.wheel.spoke=3")
    with pytest.raises(LiftposeError, match=r"found --sped|--sped: .*did you mean --speed\?"):
        parse("--sped=3")


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (
            "Parser key \"data.flip\":\n  Expected a typing.Literal['copies', 'none']. Got value: both",
            "data.flip: expected one of copies, none, found both",
        ),
        (
            "Subcommand 'fit' does not accept option 'trainer.max_epoch'",
            "trainer.max_epoch: expected the name of an option, found no option of this name",
        ),
        ("the following arguments are required: fit.model", "model: expected a value in a configuration or on the "),
        ("argument -c/--config: expected one argument", "--config: expected one argument, found none"),
        ("something that nobody\n  has seen before", "something that nobody has seen before"),
        (
            'Parser key "model":\n  Errors:\n    - Import path a.B does not correspond to a subclass of Task',
            "model.class_path: expected a subclass of Task, found a.B",
        ),
        (
            'Parser key "model":\n  - Expected an instantiatable class, but a.B is abstract',
            "model.class_path: expected a class that can be built, found an abstract one",
        ),
    ],
)
def test_reports(report: str, sentence: str) -> None:
    assert explain(report)[0].startswith(sentence)


def test_the_first_branch_of_a_report_counts_and_not_its_scaffold() -> None:
    report = dedent(
        """\
        Parser key "model":
          Does not validate against any of the Union subtypes
          Subtypes: [<class 'liftpose.tasks.base.BaseTask'>, <class 'NoneType'>]
          Errors:
            - Problem with given class_path 'liftpose.tasks.LiftingTask':
                Parser key "lifter":
                  Problem with given class_path 'liftpose.models.RIE':
                    Parser key "stage":
                      Expected a <class 'int'>. Got value: last
            - Expected a <class 'NoneType'>
          Given value type: <class 'jsonargparse._util.NestedArg'>
          Given value: NestedArg(key='lifter.stage', val='last')
        """
    )
    assert explain(report) == ("model.lifter.stage: expected a whole number, found last", "model.lifter.stage")


def test_suggestions_come_from_the_options_that_there_are() -> None:
    report = "unrecognized arguments: --trainer.max_epoch=3"
    assert "did you mean --trainer.max_epochs?" in explain(report, ["trainer.max_epochs", "data"])[0]
    assert "did you mean" not in explain(report, ["data"])[0]
