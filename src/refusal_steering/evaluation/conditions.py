"""The four arms of an evaluation: base, a system text, steering, and both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from refusal_steering.judging.answers import Answer, Answerer
from refusal_steering.prompts import Prompt
from refusal_steering.steering import Intervention

Condition = Literal["base", "prompting", "steering", "prompting+steering"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


def condition_answers(
    answerer: Answerer, prompts: Sequence[Prompt], condition: Condition, intervention: Intervention | None, system_text: str
) -> list[Answer]:
    """One answer for each prompt under a condition.

    Args:
        answerer: generates and judges.
        prompts: prompts of the test split.
        condition: the arm.
        intervention: what the steering arms apply; it must be given for them.
        system_text: what the prompting arms put before every prompt.
    """
    steering = condition in ("steering", "prompting+steering")
    assert intervention is not None or not steering
    return answerer.answers(
        prompts,
        f"evaluating {condition}",
        intervention=intervention if steering else None,
        system=system_text if condition in ("prompting", "prompting+steering") else None,
    )
