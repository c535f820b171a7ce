import math

import pytest

from refusal_steering.judging import confidence


def test_formula_by_hand() -> None:
    z, s = [1.0, -0.5, 0.2], [-0.1, -0.4, -1.0]
    weights = [math.exp(x) for x in s]
    total = sum(weights)
    expected = sum(w / total * max(v, 0) for w, v in zip(weights, z, strict=True)) - sum(
        w / total * max(-v, 0) for w, v in zip(weights, z, strict=True)
    )
    assert confidence(z, s) == pytest.approx(expected, rel=1e-12)


def test_answers_without_a_score_are_left_out_and_none_gives_none() -> None:
    assert confidence([1.0, None, -1.0], [-0.5, 3.0, -0.5]) == pytest.approx(0.0)
    assert confidence([None, None], [0.0, 0.0]) is None
    assert confidence([], []) is None


def test_extremes_and_a_sharp_temperature() -> None:
    assert confidence([1.0] * 5, [-100.0, 0.0, -3.0, -2.0, -1.0]) == pytest.approx(1.0)
    assert confidence([1.0, -1.0], [-1.0, -2.0], tau=1e-3) == pytest.approx(1.0)
