"""The choice under the safety constraint."""

import pytest

from refusal_steering.config import Settings
from refusal_steering.evaluation import Rate
from refusal_steering.selection import Candidate, Measured, choose

SETTINGS = Settings.read()
BASE = Rate.of(1, 100)


def measured(answered: int, shift: float, safe: bool = True, benign_fall: float = 0.0, strength: float = -1.0) -> Measured:
    return Measured(
        candidate=Candidate("rmd(1)", (3,), strength, "add"),
        success=Rate.of(answered, 100),
        degenerate=0.0,
        benign_fall=benign_fall,
        answered_bound=0.03 if safe else 0.06,
        refused_bound=0.03,
        shift=shift,
        safe=safe,
    )


def test_the_smallest_shift_among_those_that_reach_the_wanted_removal() -> None:
    weak, chosen, strong = measured(60, 0.01), measured(88, 0.03), measured(90, 0.05)
    best, wanted = choose([strong, weak, chosen], BASE, SETTINGS)
    assert best is chosen
    assert wanted == pytest.approx(0.95 * 0.9)


def test_what_is_unsafe_is_never_chosen_however_well_it_does() -> None:
    unsafe = measured(100, 0.001, safe=False)
    best, wanted = choose([unsafe, measured(50, 0.1)], BASE, SETTINGS)
    assert best is not None
    assert best.safe
    assert wanted == pytest.approx(0.95 * 0.5)
    assert choose([unsafe], BASE, SETTINGS)[0] is None


def test_lost_benign_answers_and_no_gain_beyond_the_intervals_rule_out() -> None:
    assert choose([measured(90, 0.1, benign_fall=0.04)], BASE, SETTINGS)[0] is None
    assert choose([measured(5, 0.1)], BASE, SETTINGS)[0] is None
    assert choose([], BASE, SETTINGS)[0] is None


def test_a_wanted_removal_that_nothing_reaches_selects_nothing() -> None:
    settings = Settings.read(removal=0.95)
    assert choose([measured(90, 0.1)], BASE, settings) == (None, 0.95)
    found, _ = choose([measured(90, 0.1), measured(96, 0.2)], BASE, settings)
    assert found is not None
    assert found.success.rate == 0.96
