from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from pytorch_lightning.loggers import CSVLogger

from liftpose.errors import LiftposeError
from liftpose.viewer import curves_from_csv, draw_curves, figure_to_array


def test_reads_what_lightning_writes(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="")
    for epoch in range(3):
        logger.log_metrics({"lr-AdamW": 0.1**epoch}, step=10 * epoch)  # as the learning-rate monitor does: no epoch
        for step in (4, 9):
            logger.log_metrics({"epoch": epoch, "train_loss": 1 / (step + 1 + 10 * epoch)}, step=step + 10 * epoch)
        logger.log_metrics({"epoch": epoch, "val_mpjpe_mm": 60.5 - epoch}, step=9 + 10 * epoch)
        logger.log_metrics({"epoch": epoch, "train_mpjpe_mm": math.nan if epoch == 1 else 50}, step=9 + 10 * epoch)
    logger.log_metrics({"lr-AdamW": 5.0}, step=30)  # stopped here: nothing says which epoch this was to be
    logger.save()
    curves = curves_from_csv(tmp_path / "metrics.csv")
    assert set(curves) == {"lr-AdamW", "train_loss", "train_mpjpe_mm", "val_mpjpe_mm"}
    assert curves["val_mpjpe_mm"] == [(0, 60.5), (1, 59.5), (2, 58.5)]
    assert curves["train_loss"] == [(0, 1 / 10), (1, 1 / 20), (2, 1 / 30)], "the last one of each epoch"
    assert [epoch for epoch, _ in curves["lr-AdamW"]] == [0, 1, 2]
    np.testing.assert_allclose([rate for _, rate in curves["lr-AdamW"]], [1, 0.1, 0.01])
    assert [epoch for epoch, _ in curves["train_mpjpe_mm"]] == [0, 1, 2]
    assert math.isnan(curves["train_mpjpe_mm"][1][1])


def test_a_run_that_went_back_to_an_epoch_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,val,empty\n0,9,70,\n1,19,65,\n\n1,19,64,\n2,29,60,\n")
    assert curves_from_csv(path) == {"val": [(0, 70), (1, 64), (2, 60)]}


def test_a_header_alone_has_no_curves(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,val\n")
    assert curves_from_csv(path) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a header of different names with 'epoch', found ''"),
        (b"step,val\n1,2\n", "with 'epoch', found 'step,val'"),
        (b"epoch,val,val\n1,2,3\n", "different names with 'epoch', found 'epoch,val,val'"),
        (b"epoch,step,val\n0,9,70\n1,1", "row 3: expected 3 cells, found 2"),
        (b"epoch,step,val\n0,9,70,8\n", "row 2: expected 3 cells, found 4"),
        (b"epoch,step,val\n0,9,seventy\n", "row 2, column val: expected a number, found 'seventy'"),
        (b"epoch,step,val\n0,9,7\x000\n", "row 2, column val: expected a number"),
        (b"epoch,step,val\nnan,9,70\n", "row 2, column epoch: expected a finite number, found 'nan'"),
        (b'epoch,step,val\n0,9,"70\n', "expected a CSV file, found: unexpected end of data"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "expected a CSV file, found: 'utf-8' codec"),
    ],
)
def test_a_broken_file_is_told_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    with pytest.raises(LiftposeError) as caught:
        curves_from_csv(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"none\.csv: expected the metrics of a run, found: no such file"):
        curves_from_csv(tmp_path / "none.csv")
    with pytest.raises(LiftposeError, match=r"expected the metrics of a run, found: is a directory"):
        curves_from_csv(tmp_path)


def test_each_series_is_one_line_of_its_own_colour() -> None:
    series = {"train": [(0, 80.0), (1, 60.0), (2, 55.25)], "val": [(0, 90.0), (2, 70.5), (4, 72.0)], "none": []}
    figure = draw_curves(series, x_label="epoch", y_label="error in mm", title=r"no $\formula{$")
    figure_to_array(figure)
    axes = figure.axes[0]
    assert [line.get_xydata().tolist() for line in axes.lines] == [
        np.array(series[n]).tolist() for n in ("train", "val")
    ]
    assert axes.lines[0].get_color() != axes.lines[1].get_color()
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["train, lowest 55.25 at epoch 2", "val, lowest 70.5 at epoch 2"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title("left")) == ("epoch", "error in mm", r"no $\formula{$")
    assert axes.get_yscale() == "linear"


def test_many_series_stay_distinct() -> None:
    axes = draw_curves({str(number): [(0, 1.0), (1, 2.0)] for number in range(20)}).axes[0]
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 20


def test_values_that_are_not_finite_leave_a_gap() -> None:
    figure = draw_curves({"val": [(0, 90.0), (1, math.nan), (2, math.inf), (3, 70.0)], "lost": [(0, math.nan)]})
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert words == ["val, lowest 70 at epoch 3", "lost"]
    low, high = figure.axes[0].get_ylim()
    assert 60 < low < 70
    assert 90 < high < 100
    figure_to_array(figure)


@pytest.mark.parametrize(("first", "scale"), [(900.0, "log"), (300.0, "linear")])
def test_the_axis_is_logarithmic_when_the_first_epochs_dwarf_the_others(first: float, scale: str) -> None:
    figure = draw_curves({"val": [(0, first), (1, 80.0), (2, 42.0)]})
    axes = figure.axes[0]
    figure_to_array(figure)
    assert axes.get_yscale() == scale
    labels = [label.get_text() for label in [*axes.get_yticklabels(), *axes.get_yticklabels(minor=True)]]
    assert "200" in labels, "plain numbers"


@pytest.mark.parametrize("series", [{}, {"val": []}, {"val": [(0.0, math.nan)]}])
def test_a_run_without_values_gives_a_picture_that_says_so(series: dict[str, list[tuple[float, float]]]) -> None:
    figure = draw_curves(series)
    assert "no values yet" in [text.get_text() for text in figure.axes[0].texts]
    figure_to_array(figure)
