"""The bundled judge against the known truth, with the keyword baseline on the same answers.

    python benchmarks/judge_accuracy.py

Answers to test prompts, which neither the judge nor any vector was trained on: unsteered, steered at six strengths
(each with vectors of two estimators at two places), and broken on purpose. The truth is the world's own grammar.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from dataclasses import replace

import torch

from refusal_steering.engines import Request, Sampling, TransformersEngine
from refusal_steering.evaluation import Rate
from refusal_steering.judging import JudgeItem, KeywordJudge, bundled_judge, judge_items
from refusal_steering.organism import bundled_organism
from refusal_steering.organism.judge_recipe import broken
from refusal_steering.organism.truth import ORGANISM_GRAMMAR
from refusal_steering.organism.world import Kind, World
from refusal_steering.selection import gaps, projections
from refusal_steering.steering import Intervention
from refusal_steering.vectors import Options, Provenance, SteeringVector, fit_vector

STRENGTHS = (-0.1, -0.3, -0.6, -1.0, -2.0, -4.0)
PER_STRENGTH = 300


def vectors(engine: TransformersEngine, world: World) -> list[SteeringVector]:
    """Vectors of the sensitive refusal from prompts of the fit split, scaled so that strength 1 is the gap between the groups."""
    prompts = [p for p in world.prompts({"fit": 80, "validation": 1, "test": 1}) if p.split == "fit" and p.category != "harmful"]
    activations = engine.capture([p.messages for p in prompts])
    c = torch.tensor([1.0 if p.category == "sensitive" else -1.0 for p in prompts], dtype=torch.float64)
    made = []
    for options in (Options("md"), Options("wrmd", 1.0)):
        vector = fit_vector(activations, c, options, Provenance(engine.name, engine.fingerprint))
        gap = gaps(projections(activations, vector.directions), c).float()
        made.append(replace(vector, scales_plus=gap, scales_minus=gap))
    return made


def answers(engine: TransformersEngine, world: World) -> dict[str, list[tuple[Kind, str, str]]]:
    """(kind, question, answer) of every group."""
    rng = random.Random(7)
    prompts = [p for p in world.prompts() if p.split == "test"]
    found = vectors(engine, world)
    groups: dict[str, list[tuple[Kind, str, str]]] = {}
    sampling = Sampling(max_new_tokens=48, seed=7)

    def ask(label: str, interventions: list[Intervention | None]) -> None:
        asked = rng.sample(prompts, len(interventions))
        requests = [Request(p.messages, 0, i) for p, i in zip(asked, interventions, strict=True)]
        done = engine.generate(requests, sampling)
        groups[label] = [(p.category, p.question, c.answer) for p, c in zip(asked, done, strict=True)]  # type: ignore[misc]

    ask("base", [None] * (2 * PER_STRENGTH))
    for strength in STRENGTHS:
        ways: list[Intervention | None] = [
            vector.intervention(layers, strength, mode)
            for vector in found
            for layers in ((2, 3), (4, 5, 6))
            for mode in ("add", "reposition")  # type: ignore[arg-type]
        ]
        ask(f"steered {strength:+g}", [rng.choice(ways) for _ in range(PER_STRENGTH)])
    whole = [row for rows in groups.values() for row in rows]
    groups["broken"] = [
        (kind, question, broken(rng, text, rng.choice(whole)[2] or "It"))
        for kind, question, text in rng.choices([row for row in groups["base"] if row[2]], k=PER_STRENGTH)
    ]
    return groups


def main() -> None:
    torch.set_num_threads(2)
    world = World(0)
    engine = TransformersEngine.load(bundled_organism(), batch_size=128)
    judge, keywords = bundled_judge(), KeywordJudge()
    groups = answers(engine, world)
    total = {"judge": [0, 0], "keywords": [0, 0]}
    confusion: Counter[tuple[str, str]] = Counter()
    print(f"{'answers':<14}{'n':>6}{'judge right':>26}{'keywords right':>26}   truth")
    for label, rows in groups.items():
        truth = [ORGANISM_GRAMMAR.read(kind, text).outcome for kind, _, text in rows]
        items = [JudgeItem(question, text) for _, question, text in rows]
        right = {}
        for name, one in (("judge", judge), ("keywords", keywords)):
            outcomes = [v.outcome for v in (judge_items(one, items) if name == "judge" else one.judge(items))]
            right[name] = sum(a == b for a, b in zip(outcomes, truth, strict=True))
            total[name][0] += right[name]
            total[name][1] += len(rows)
            if name == "judge":
                confusion.update(zip(truth, outcomes, strict=True))
                if "--wrong" in sys.argv:
                    for (kind, question, text), t, o in zip(rows, truth, outcomes, strict=True):
                        if t != o:
                            print(f"   {t} read as {o} [{kind}] {question} -> {text}")
        shares = " ".join(f"{name} {count}" for name, count in Counter(truth).most_common())
        by_judge, by_keywords = (str(Rate.of(right[name], len(rows))) for name in ("judge", "keywords"))
        print(f"{label:<14}{len(rows):>6}{by_judge:>26}{by_keywords:>26}   {shares}")
    for name, (k, n) in total.items():
        print(f"{name}: {Rate.of(k, n)} right, n = {n}")
    print("truth, judge:", json.dumps({f"{a}, {b}": n for (a, b), n in sorted(confusion.items())}))


if __name__ == "__main__":
    main()
