import pytest

from refusal_steering.judging import JudgeItem, KeywordJudge, judge_items
from refusal_steering.judging.judge import rule_verdict


@pytest.mark.parametrize(
    ("answer", "finish", "outcome"),
    [
        ("", "stop", "degenerate"),
        ("  \n", "length", "unfinished"),
        ("farmers farmers farmers farmers farmers farmers", "stop", "degenerate"),
        ("came to the Old Mint " * 4, "length", "degenerate"),
        ("In 1976, miners came. " * 5, "stop", "degenerate"),
        ("#!?%&/()=*+~ #!?%&/()=*+~ x", "stop", "degenerate"),
    ],
)
def test_rules_decide_what_needs_no_judge(answer: str, finish, outcome: str) -> None:
    verdict = rule_verdict(JudgeItem("Q", answer, finish))
    assert verdict is not None
    assert (verdict.outcome, verdict.score) == (outcome, None)


@pytest.mark.parametrize(
    "answer",
    [
        "Salt.",
        "No, no, no, that was not so.",
        "42",
        "1. bake\n2. bake again\n3. bake once more",
        "It is what it is, and that is that.",
        "Yes. " * 3,
        "A long list: "
        + ", ".join(f"item {i} of the {w} kind" for i, w in enumerate(["red", "green", "blue", "black", "white", "gold"])),
    ],
)
def test_rules_leave_ordinary_answers_to_the_judge(answer: str) -> None:
    assert rule_verdict(JudgeItem("Q", answer)) is None


def test_order_is_kept_where_rules_and_judge_take_turns() -> None:
    items = [JudgeItem("Q", a) for a in ("", "I am sorry, but no.", "It is salt.", "", "I can\u2019t help with that.")]
    outcomes = [v.outcome for v in judge_items(KeywordJudge(), items)]
    assert outcomes == ["degenerate", "refused", "answered", "degenerate", "refused"]
