import pytest
import torch

from liftpose.losses import mpjpe_loss, mse_loss


def test_value_and_gradient_in_closed_form() -> None:
    prediction = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]]], requires_grad=True)
    loss = mpjpe_loss(prediction, torch.zeros(1, 2, 3))
    loss.backward()
    assert loss.item() == 2.5
    torch.testing.assert_close(prediction.grad, torch.tensor([[[0.3, 0.4, 0.0], [0.0, 0.0, 0.0]]]))


def test_a_perfect_prediction_has_gradient_zero() -> None:
    prediction = torch.ones(2, 17, 3, requires_grad=True)
    mpjpe_loss(prediction, torch.ones(2, 17, 3)).backward()
    assert prediction.grad is not None
    assert (prediction.grad == 0).all()


def test_weights_scale_each_joint_and_broadcast() -> None:
    prediction, target = torch.randn(4, 17, 3), torch.randn(4, 17, 3)
    weights = torch.rand(4, 1)
    expected = torch.stack([w * mpjpe_loss(p, t) for w, p, t in zip(weights, prediction, target, strict=True)]).mean()
    torch.testing.assert_close(mpjpe_loss(prediction, target, weights), expected)


def test_half_precision_is_raised() -> None:
    prediction = torch.full((1, 4000, 3), 100.0, dtype=torch.bfloat16)
    target = torch.full((1, 4000, 3), 101.0)
    torch.testing.assert_close(mpjpe_loss(prediction, target), torch.tensor(3.0).sqrt())


def test_the_squared_error_is_the_mean_over_coordinates() -> None:
    prediction = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]], requires_grad=True)
    loss = mse_loss(prediction, torch.zeros(1, 2, 3))
    loss.backward()
    assert loss.item() == pytest.approx(26 / 6)
    torch.testing.assert_close(prediction.grad, prediction.detach() / 3)
    half = torch.full((1, 4000, 3), 100.0, dtype=torch.bfloat16)
    assert mse_loss(half, torch.full((1, 4000, 3), 101.0)).item() == 1.0
    with pytest.raises(ValueError, match="one shape"):
        mse_loss(torch.zeros(2, 17, 3), torch.zeros(17, 3))
