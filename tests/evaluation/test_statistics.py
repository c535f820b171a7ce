import pytest

from refusal_steering.evaluation import Rate, gain_bound


def test_wilson_interval() -> None:
    rate = Rate.of(10, 100)
    assert (rate.rate, rate.n) == (0.1, 100)
    # Wilson (1927) for 10 of 100 at 95 %.
    assert rate.low == pytest.approx(0.05523, abs=1e-4)
    assert rate.high == pytest.approx(0.17437, abs=1e-4)
    assert Rate.of(0, 0) == Rate(0.0, 0.0, 1.0, 0)


def test_gain_bound_is_clopper_pearson_on_the_prompts_that_turned() -> None:
    assert gain_bound([False] * 100, [False] * 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert gain_bound([True] * 50, [True] * 50) == pytest.approx(1 - 0.05 ** (1 / 50))
    # 3 of 100 turned: the bound solves P(X <= 3 | p) = 0.05.
    assert gain_bound([False] * 100, [True] * 3 + [False] * 97) == pytest.approx(0.0757, abs=2e-4)
    assert gain_bound([], []) == 1.0


def test_gains_are_not_made_up_for_by_losses() -> None:
    before = [True] * 10 + [False] * 90
    swapped = [False] * 10 + [True] * 10 + [False] * 80
    assert gain_bound(before, swapped) > 0.1


@pytest.mark.parametrize(("n", "enough"), [(58, False), (59, True)])
def test_fifty_nine_prompts_are_needed_for_a_margin_of_five_points(n: int, enough: bool) -> None:
    assert (gain_bound([False] * n, [False] * n) <= 0.05) == enough
