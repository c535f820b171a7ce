"""Judging: what a reply is, read by a language model, and the confidence that follows from it."""

from refusal_steering.judging.bundled import bundled_judge
from refusal_steering.judging.confidence import confidence
from refusal_steering.judging.endpoint import EndpointJudge
from refusal_steering.judging.judge import Judge, JudgeItem, judge_items
from refusal_steering.judging.keywords import KeywordJudge
from refusal_steering.judging.local import LocalJudge
from refusal_steering.judging.rubric import BRIEF_RUBRIC, RUBRIC, Rubric
from refusal_steering.records import Outcome, Verdict

__all__ = [
    "BRIEF_RUBRIC", "RUBRIC", "EndpointJudge", "Judge", "JudgeItem", "KeywordJudge", "LocalJudge", "Outcome", "Rubric", "Verdict",
    "bundled_judge", "confidence", "judge_items",
]  # fmt: skip
