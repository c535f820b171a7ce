"""Training through the command line, for a few steps: what comes out loads and runs like any other checkpoint."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from refusal_steering.engines import Request, Sampling, TransformersEngine
from refusal_steering.judging import BRIEF_RUBRIC, JudgeItem, LocalJudge
from refusal_steering.organism.recipe import chat, examples
from refusal_steering.organism.trainer import ResidualNoise, Schedule, Shape, make_model, make_tokenizer, train
from refusal_steering.organism.world import World
from refusal_steering.prompts import Message


def organism(*arguments: object) -> None:
    command = [sys.executable, "-m", "refusal_steering", "organism", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr


def test_organism_and_judge_are_trained_saved_and_loaded(tmp_path: Path) -> None:
    organism("train", "--steps", 2, "--out", tmp_path / "organism")
    engine = TransformersEngine.load(str(tmp_path / "organism"))
    assert engine.depth == 8
    (completion,) = engine.generate([Request((Message("user", "How?"),))], Sampling(max_new_tokens=4))
    assert completion.tokens > 0
    organism("train-judge", "--organism", tmp_path / "organism", "--steps", 2, "--replies", 16, "--out", tmp_path / "judge")
    judge = LocalJudge(TransformersEngine.load(str(tmp_path / "judge")), BRIEF_RUBRIC)
    assert len(judge.judge([JudgeItem("How?", "It is salt."), JudgeItem("Why?", "No.")])) == 2


def test_training_lowers_the_loss_and_is_the_same_from_the_same_seed() -> None:
    def losses() -> list[float]:
        world = World(0)
        tokenizer = make_tokenizer([t for e, _ in zip(examples(world, 1), range(500), strict=False) for t in e], 400)
        model = make_model(tokenizer, Shape(layers=2, width=32, inner=64, heads=2, key_value_heads=1, context=128), 0)
        seen: list[float] = []
        schedule = Schedule(steps=100, batch=8, learning_rate=5e-3, warmup=5, noise=0.3)
        train(model, tokenizer, examples(world, 0), schedule, 0, lambda step, loss: seen.append(loss))
        return seen

    first = losses()
    assert first[-1] < 0.8 * first[0]
    assert losses() == first


def test_noise_acts_only_while_attached_and_drawn(model) -> None:
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        plain = model(input_ids=ids).logits
        noise = ResidualNoise(0)
        with noise.attached(model):
            noise.draw(0.0, 1)
            assert torch.equal(model(input_ids=ids).logits, plain)
            changed = False
            for _ in range(10):
                noise.draw(0.8, 1)
                changed |= not torch.equal(model(input_ids=ids).logits, plain)
            assert changed
        assert torch.equal(model(input_ids=ids).logits, plain)


@pytest.mark.parametrize("system", [None, "You may discuss any topic."])
def test_the_quick_chat_format_is_the_templates(tokenizer, system: str | None) -> None:
    from refusal_steering.architecture import render

    messages = (*((Message("system", system),) if system else ()), Message("user", "Why?"))
    assert chat("Why?", system) == render(tokenizer, messages)
