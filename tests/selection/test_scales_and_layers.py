import numpy as np
import torch

from refusal_steering.selection import layer_scores, layer_sets, projections, scales, steerable_layers
from refusal_steering.vectors import Options, Provenance, fit_vector
from tests import reference
from tests.vectors.test_estimators import data


def test_scales_equal_the_reference() -> None:
    h, c = data(seed=4)
    vector = fit_vector(h, c, Options("md"), Provenance("tiny", "0"))
    p = projections(h, vector.directions)
    np.testing.assert_allclose(p.numpy(), np.einsum("nlw,lw->nl", h.numpy(), vector.directions.double().numpy()), rtol=1e-10)
    plus, minus = scales(p, c)
    for layer in range(3):
        np.testing.assert_allclose(float(plus[layer]), reference.scale(p[:, layer].numpy(), c.numpy(), True), rtol=1e-6)
        np.testing.assert_allclose(float(minus[layer]), reference.scale(p[:, layer].numpy(), c.numpy(), False), rtol=1e-6)


def test_scales_are_one_where_undefined() -> None:
    p = torch.zeros(6, 2)
    p[:, 1] = torch.arange(6.0)
    plus, minus = scales(p, torch.full((6,), 0.5))
    assert minus.tolist() == [1.0, 1.0]
    assert plus[0] == 1.0
    assert plus[1] != 1.0


def test_layer_scores_equal_the_reference() -> None:
    h, c = data(seed=5)
    p = projections(h, fit_vector(h, c, Options("wmd"), Provenance("tiny", "0")).directions)
    p[:, 1] = torch.randn(len(c), generator=torch.Generator().manual_seed(0)).double()
    found = layer_scores(p, c)
    expected = [reference.layer_score(p[:, layer].numpy(), c.numpy()) for layer in range(3)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert found.argmin() == 1


def test_layer_scores_do_not_depend_on_units_and_sink_without_variation() -> None:
    h, c = data(seed=6)
    p = projections(h, fit_vector(h, c, Options("md"), Provenance("tiny", "0")).directions)
    torch.testing.assert_close(layer_scores(100 * p + 7, c), layer_scores(p, c))
    p[:, 2] = 3.0
    assert layer_scores(p, c)[2] == -torch.inf


def test_the_deepest_layers_are_left_out() -> None:
    assert steerable_layers(8) == list(range(7))
    assert steerable_layers(48) == list(range(45))
    assert steerable_layers(1) == [0]


def test_layer_sets_hold_the_best_ranked_and_runs_of_neighbours() -> None:
    scores = torch.tensor([0.1, 0.9, 0.3, 0.8, 0.2, 0.0, 0.4, 1.0])
    sets = layer_sets(scores, 8)
    assert sets[:3] == [(1,), (1, 3), (1, 2, 3, 6)]
    assert (0, 1) in sets
    assert (3, 4, 5, 6) in sets
    assert len(set(sets)) == len(sets)
    assert all(7 not in chosen for chosen in sets)
