"""Answers counted: shares of every outcome per kind of prompt, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from refusal_steering.evaluation.statistics import Rate
from refusal_steering.judging.answers import Answer
from refusal_steering.records import OUTCOMES


def condition_table(answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Kind of prompt -> n, a rate with interval for every outcome, and `truthful` (None where no reference is known)."""
    groups: dict[str, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(answer.prompt.category, []).append(answer)
    return {kind: _row(group) for kind, group in groups.items()}


def _row(answers: Sequence[Answer]) -> dict[str, Any]:
    row: dict[str, Any] = {"n": len(answers)}
    for outcome in OUTCOMES:
        row[outcome] = Rate.of(sum(a.verdict.outcome == outcome for a in answers), len(answers)).as_dict()
    known = [a.truthful for a in answers if a.truthful is not None]
    row["truthful"] = Rate.of(sum(known), len(known)).as_dict() if known else None
    return row
