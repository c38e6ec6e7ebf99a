from __future__ import annotations

import pytest
import torch

from liftpose.geometry import full_precision, h36m_cameras, normalize_screen, quaternion_to_matrix


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_arguments_are_raised(dtype: torch.dtype) -> None:
    camera = h36m_cameras("S1")[0]
    points = torch.tensor([[0.3, -0.2, 4.0], [0.1, 0.4, 5.0]], dtype=dtype)
    for result in (camera.project(points), camera.to_world(points), quaternion_to_matrix(torch.ones(4, dtype=dtype))):
        assert result.dtype == torch.float32
    assert torch.equal(camera.project(points), camera.project(points.float()))
    assert normalize_screen(points[:, :2], image_size=torch.ones(2, dtype=dtype)).dtype == torch.float32


def test_autocast_does_not_reach_inside() -> None:
    @full_precision
    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b

    a = torch.linspace(0, 1000, 9).reshape(3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        inside = product(a, b=a)
        assert torch.is_autocast_enabled("cpu")
    assert inside.dtype == torch.float32
    assert torch.equal(inside, a @ a)


def test_wider_numbers_and_other_values_pass_as_they_are() -> None:
    assert full_precision(lambda *values: values)(None, 3, torch.ones(1, dtype=torch.float64))[2].dtype == torch.float64
    indices = torch.arange(3)
    assert full_precision(lambda x: x)(indices) is indices
    assert full_precision(lambda x: x + 1)(torch.ones(2, device="meta")).device.type == "meta"
