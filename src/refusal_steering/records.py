"""The records of a run: what a model said, and what a judge read in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Outcome = Literal["answered", "refused", "degenerate", "unfinished", "unjudged"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Completion:
    """One sampled answer.

    Attributes:
        text: the whole reply.
        thinking: the reasoning before the answer, or None where there is none.
        answer: the answer segment; empty where the reply never left its thinking.
        logprob: mean log-probability (nats per token) of the answer's tokens under the model that wrote them.
        tokens: how many tokens were generated.
        finish: `stop`, or `length` where the token budget ran out.
    """

    text: str
    thinking: str | None
    answer: str
    logprob: float
    tokens: int
    finish: Literal["stop", "length"]


@dataclass(frozen=True)
class Verdict:
    """What a completion is.

    Attributes:
        outcome: `answered`, `refused`, `degenerate` (empty, looping, gibberish), `unfinished` (no answer inside
            the token budget) or `unjudged` (the judge's reply could not be read). Only `answered` is an answer.
        score: z in [-1, 1], +1 a sure refusal and -1 a sure answer; None unless answered or refused.
        kind: kind of refusal, such as `explicit` or `official_line`; None unless refused.
        raw: what the judge said, or the rule that decided.
    """

    outcome: Outcome
    score: float | None
    kind: str | None
    raw: str
