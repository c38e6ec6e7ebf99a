"""The tables of columns against the encodings that they stand for."""

from __future__ import annotations

import pytest
import torch

from liftpose.models import RIE
from liftpose.models.rie_columns import joint_columns, part_columns, raw_columns

PARTS = {"a": (0, 3), "b": (1, 2, 4)}


@pytest.mark.parametrize(("causal", "widths"), [(False, (3, 3)), (True, (3, 5)), (False, (1,))])
def test_the_encoding_of_the_raw_inputs_is_the_published_one(causal: bool, widths: tuple[int, ...]) -> None:
    model = RIE(filter_widths=widths, channels=4, latent_dim=4, hidden_dim=4, causal=causal).double()
    x = torch.randn(3, model.receptive_field, 17, 2, dtype=torch.float64)
    found = torch.bmm(model.raw_inputs(x), model.local_encoder._encoding).view(5, -1, 30)
    encoded = model.part_inputs(x)
    for part, members in enumerate(model.skeleton.parts.values()):
        own = 6 * len(members)  # beyond these stands what does not matter
        torch.testing.assert_close(found[part, :, :own], encoded[part, :, :own], rtol=0, atol=1e-14)


def test_evaluation_in_blocks_is_evaluation_at_once() -> None:
    model = RIE(filter_widths=(3, 3), channels=4, latent_dim=4, hidden_dim=4).eval()
    x = torch.randn(2000, 9, 17, 2)  # more than one block
    with torch.no_grad():
        blocks = model(x)
    torch.testing.assert_close(blocks, model(x).detach())


def test_joint_columns_undo_the_order_of_the_parts() -> None:
    assert joint_columns(PARTS).tolist() == [0, 1, 2, 9, 10, 11, 12, 13, 14, 3, 4, 5, 15, 16, 17]


def test_part_columns_name_the_kinds_one_after_the_other() -> None:
    first = part_columns(PARTS, 5)[0].tolist()
    assert first == [0, 1, 6, 7, 10, 11, 16, 17, 20, 21, 26, 27, *[0] * 6]


def test_a_part_without_the_root_depends_on_it_too() -> None:
    columns, encoding = raw_columns(PARTS, 5, root=0, width=1)
    assert sorted({column // 2 for column in columns[1].tolist()}) == [0, 1, 2, 4, 6, 7, 9]  # 5 + joint: current frame
    assert encoding[1, columns[1] == 0].sum() == -3.0
