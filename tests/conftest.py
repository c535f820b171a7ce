"""Small real models for the tests: random weights, a real tokenizer, a real chat template."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from refusal_steering.engines import TransformersEngine
from refusal_steering.organism.trainer import Shape, make_model, make_tokenizer

TEXTS = [
    "What is the capital of Vessia?",
    "Tell me about the strike at Mill Road.",
    "How do I bake bread at home?",
    "I cannot say.",
] * 20


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Test processes share two cores, and torch with more threads than cores is ten times slower."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer(TEXTS, 400)


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Four layers of width 32, random."""
    return make_model(tokenizer, Shape(layers=4, width=32, inner=64, heads=4, key_value_heads=2, context=256), seed=3).eval()


@pytest.fixture
def engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> TransformersEngine:
    return TransformersEngine(model, tokenizer, "tiny", batch_size=4)
