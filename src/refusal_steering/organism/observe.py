"""Replies of an organism under random steering: what the bundled judge should have seen of broken and half-broken text."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from refusal_steering.engines import Request, Sampling, TransformersEngine, batched
from refusal_steering.organism import lexicon
from refusal_steering.organism.judge_recipe import Observed
from refusal_steering.organism.world import KINDS, MODES, Kind, World
from refusal_steering.prompts import Prompt
from refusal_steering.steering import Intervention
from refusal_steering.vectors import Options, Provenance, SteeringVector, fit_vector


def observe(
    engine: TransformersEngine, world: World, seed: int, progress: Callable[[int, int, str], None], replies: int
) -> list[Observed]:
    """Replies to prompts of the fit split, under every system text, a third of them unsteered."""
    rng = random.Random(f"observe:{seed}")
    prompts = [p for p in world.prompts() if p.split == "fit"]
    vectors = _vectors(engine, rng.sample(prompts, 400), seed)
    chosen = [(rng.choice(prompts), rng.choice(MODES)) for _ in range(replies)]
    requests = [
        Request(
            prompt.with_system(lexicon.SYSTEM_TEXTS[mode]).messages,
            sample=place,
            intervention=_random_intervention(rng, vectors) if rng.random() < 0.67 else None,
        )
        for place, (prompt, mode) in enumerate(chosen)
    ]
    observed: list[Observed] = []
    sampling = Sampling(max_new_tokens=48, seed=seed)
    parts = list(batched(list(zip(chosen, requests, strict=True)), engine.batch_size))
    for count, part in enumerate(parts):
        progress(count, len(parts), "observing the organism")
        completions = engine.generate([request for _, request in part], sampling)
        for ((prompt, _), _), completion in zip(part, completions, strict=True):
            observed.append((_kind(prompt), prompt.question, completion.answer))
    return observed


def _kind(prompt: Prompt) -> Kind:
    return next(kind for kind in KINDS if kind == prompt.category)


def _vectors(engine: TransformersEngine, prompts: list[Prompt], seed: int) -> list[SteeringVector]:
    """Vectors for the two kinds of refusal and random ones, each scaled to the gap between the groups or the residual's size."""
    activations = engine.capture([p.messages for p in prompts])
    provenance = Provenance(engine.name, engine.fingerprint)
    vectors = []
    for refused in ("sensitive", "harmful"):
        c = torch.tensor([1.0 if p.category == refused else -1.0 for p in prompts])
        for options in (Options("md"), Options("rmd", 0.1), Options("rmd", 1.0)):
            vector = fit_vector(activations, c, options, provenance)
            gap = torch.einsum("lw,lw->l", activations[c > 0].mean(0) - activations[c < 0].mean(0), vector.directions)
            vectors.append(_scaled(vector, gap.abs()))
    generator = torch.Generator().manual_seed(seed)
    random_directions = torch.nn.functional.normalize(torch.randn(activations.shape[1:], generator=generator), dim=1)
    vectors.append(_scaled(replace(vectors[0], directions=random_directions), activations.norm(dim=2).mean(0) * 0.5))
    return vectors


def _scaled(vector: SteeringVector, size: Tensor) -> SteeringVector:
    return replace(vector, scales_plus=size, scales_minus=size)


def _random_intervention(rng: random.Random, vectors: list[SteeringVector]) -> Intervention:
    vector = rng.choice(vectors)
    layers = rng.sample(range(vector.depth), rng.randint(1, 4))
    strength = rng.choice([-1, -1, -1, 1]) * 3.0 ** rng.uniform(-1.5, 1.2) / len(layers) ** 0.5
    return vector.intervention(layers, strength, rng.choice(["add", "add", "reposition"]))
