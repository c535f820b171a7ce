"""Engines: who generates, scores and captures."""

from refusal_steering.engines.base import Conversation, Engine, Request, Sampling, Scores, batched
from refusal_steering.engines.transformers_engine import TransformersEngine

__all__ = ["Conversation", "Engine", "Request", "Sampling", "Scores", "TransformersEngine", "batched"]
