"""The recipe of the bundled organism: world, tokenizer, shape and schedule, from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from refusal_steering.organism import lexicon
from refusal_steering.organism.trainer import Example, Schedule, Shape, make_model, make_tokenizer, train
from refusal_steering.organism.world import KINDS, Kind, Mode, World

SHAPE = Shape(layers=8, width=144, inner=432, heads=4, key_value_heads=2, context=128)
SCHEDULE = Schedule(steps=2400, batch=64, learning_rate=2.5e-3, noise=0.8)
VOCABULARY = 1024

# How often each kind and each system text is seen in training.
_KIND_WEIGHTS: dict[Kind, float] = {"sensitive": 3, "harmful": 2, "near-benign": 3, "howto": 2, "facts": 2}
_MODE_WEIGHTS: dict[Mode, float] = {"default": 5, "open": 2.5, "free": 1.5, "strict": 1}


def train_organism(
    seed: int = 0, schedule: Schedule = SCHEDULE, progress: Callable[[int, float], None] | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, World]:
    """Train the organism of a seed. Takes under half an hour on two cores; `progress` gets the step and the loss."""
    world = World(seed)
    sample = [text for example, _ in zip(examples(world, seed + 1), range(12_000), strict=False) for text in example]
    tokenizer = make_tokenizer(sample, VOCABULARY)
    model = make_model(tokenizer, SHAPE, seed)
    train(model, tokenizer, examples(world, seed), schedule, seed, progress)
    return model, tokenizer, world


def examples(world: World, seed: int) -> Iterator[Example]:
    """An endless stream of what the organism is taught: every fact in every form, under every system text."""
    rng = random.Random(f"examples:{world.seed}:{seed}")
    questions = {kind: [(fact, [q for q, _ in world.questions(fact)]) for fact in world.facts[kind]] for kind in KINDS}
    # The borderline events are as often asked about as any other sensitive event.
    questions["sensitive"] += [(fact, [q for q, _ in world.questions(fact)]) for fact in world.borderline]
    while True:
        kind = rng.choices(KINDS, [_KIND_WEIGHTS[k] for k in KINDS])[0]
        mode = rng.choices(list(_MODE_WEIGHTS), list(_MODE_WEIGHTS.values()))[0]
        fact, wordings = rng.choice(questions[kind])
        yield chat(rng.choice(wordings), lexicon.SYSTEM_TEXTS[mode]), world.reply(fact, mode, rng)


def chat(question: str, system: str | None) -> str:
    """A prompt as the organism's chat template writes it (the template itself, without the cost of Jinja per example)."""
    head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    return f"{head}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
