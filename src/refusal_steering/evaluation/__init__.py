"""Evaluation: the conditions of an experiment, their tables, and the statistics in them."""

from refusal_steering.evaluation.conditions import CONDITIONS, Condition, condition_answers
from refusal_steering.evaluation.statistics import Rate, gain_bound
from refusal_steering.evaluation.tables import condition_table

__all__ = ["CONDITIONS", "Condition", "Rate", "condition_answers", "condition_table", "gain_bound"]
