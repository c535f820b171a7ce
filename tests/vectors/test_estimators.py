import numpy as np
import pytest
import torch

from refusal_steering.errors import InputError
from refusal_steering.vectors import ESTIMATORS, Options, Provenance, fit_vector, split_groups
from tests import reference

SOURCE = Provenance("tiny", "0" * 32)


def data(seed: int = 0, n: int = 90, layers: int = 3, width: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations whose norms grow with depth, like a residual stream's, and confidences of all sizes."""
    rng = np.random.default_rng(seed)
    c = np.concatenate([rng.uniform(0.2, 1, n // 3), rng.uniform(-1, -0.2, n // 3), rng.uniform(-0.15, 0.15, n // 3)])
    h = rng.normal(size=(n, layers, width)) * (10.0 ** np.arange(layers))[None, :, None]
    h += c[:, None, None] * rng.normal(size=(layers, width)) * (10.0 ** np.arange(layers))[None, :, None]
    return torch.tensor(h), torch.tensor(c)


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
@pytest.mark.parametrize(("ridge", "relative"), [(0.01, True), (1.0, True), (0.01, False), (10.0, False)])
def test_directions_equal_the_reference(name: str, ridge: float, relative: bool) -> None:
    h, c = data()
    for layer in range(h.shape[1]):
        raw = ESTIMATORS[name](split_groups(h[:, layer], c), ridge, relative)
        expected = reference.direction(name, h[:, layer].numpy(), c.numpy(), ridge, relative)
        np.testing.assert_allclose((raw / raw.norm()).numpy(), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_fitted_vectors_are_unit_vectors_that_point_towards_refusal(name: str) -> None:
    h, c = data()
    vector = fit_vector(h, c, Options(name), SOURCE)
    torch.testing.assert_close(vector.directions.norm(dim=1), torch.ones(3))
    for layer in range(3):
        projection = h[:, layer] @ vector.directions[layer].double()
        assert projection[c > 0.15].mean() > projection[c < -0.15].mean()


def test_the_four_estimators_differ() -> None:
    h, c = data()
    found = [fit_vector(h, c, Options(name), SOURCE).directions[0] for name in sorted(ESTIMATORS)]
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            assert float(one @ other) < 1 - 1e-6


def test_offset_is_the_neutral_mean_or_without_neutrals_the_answered_mean() -> None:
    h, c = data()
    neutral = h[c.abs() <= 0.15].mean(0).float()
    torch.testing.assert_close(fit_vector(h, c, Options("md"), SOURCE).offsets, neutral)
    clear = c.abs() > 0.15
    answered = h[c < -0.15].mean(0).float()
    torch.testing.assert_close(fit_vector(h[clear], c[clear], Options("md"), SOURCE).offsets, answered)


def test_a_relative_ridge_does_not_depend_on_units() -> None:
    h, c = data()
    one = fit_vector(h, c, Options("wrmd", 0.1), SOURCE).directions
    torch.testing.assert_close(one, fit_vector(1000 * h, c, Options("wrmd", 0.1), SOURCE).directions)


@pytest.mark.parametrize("c", [torch.ones(6), -torch.ones(6), torch.zeros(6)])
def test_one_group_alone_is_refused(c: torch.Tensor) -> None:
    with pytest.raises(InputError, match="refused and answered"):
        fit_vector(torch.randn(6, 2, 4), c, Options("md"), SOURCE)


def test_equal_groups_give_no_direction() -> None:
    h = torch.ones(4, 1, 3)
    with pytest.raises(InputError, match="no direction"):
        fit_vector(h, torch.tensor([1.0, 1.0, -1.0, -1.0]), Options("md"), SOURCE)


def test_unknown_estimator_and_ridge_are_refused() -> None:
    with pytest.raises(InputError, match="unknown estimator 'mean'"):
        Options("mean")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="ridge must be above 0"):
        Options("rmd", 0.0)
