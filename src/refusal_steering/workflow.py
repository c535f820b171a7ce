"""The main job: measure, fit, select, evaluate, report. Each step takes up what the store already holds."""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from refusal_steering.config import BUNDLED, Settings
from refusal_steering.engines import Sampling, TransformersEngine
from refusal_steering.errors import InputError, JudgeError, NoConfigurationError
from refusal_steering.evaluation import CONDITIONS, Rate, condition_answers, condition_table
from refusal_steering.files import write_atomically
from refusal_steering.judging import EndpointJudge, Judge, KeywordJudge, LocalJudge, bundled_judge, confidence
from refusal_steering.judging.answers import Answer, Answerer, Progress
from refusal_steering.organism import bundled_organism
from refusal_steering.organism.world import World
from refusal_steering.prompts import ROLES, SPLITS, Prompt, PromptSet, Split, load_prompts
from refusal_steering.selection import Candidate, Finder, Space, choose, gaps, layer_scores, layer_sets, projections, with_scales
from refusal_steering.steering import Intervention
from refusal_steering.store import Store
from refusal_steering.vectors import ESTIMATORS, NEUTRAL, Options, Provenance, SteeringVector, fit_vector
from refusal_steering.vectors.estimators import RIDGE_ESTIMATORS

logger = logging.getLogger(__name__)

SELECTED = "selected"
LEAVE_ALONE = "leave_it_alone"
NONE_SAFE = "no_safe_configuration"

# Prompts of each kind that the bundled world gives to a split.
BUNDLED_PROMPTS: dict[Split, int] = {"fit": 100, "validation": 100, "test": 250}
# Below this many refused sensitive prompts in the fit split there is no direction worth the name.
FEWEST_REFUSED = 8


def load_judge(settings: Settings) -> Judge:
    """The judge that the settings name."""
    name = settings.judge
    if name == "bundled":
        return bundled_judge()
    if name == "keywords":
        return KeywordJudge()
    if name.startswith(("http://", "https://")):
        return EndpointJudge(name, settings.judge_model)
    if Path(name).is_dir():
        return LocalJudge(TransformersEngine.load(name, settings.dtype, settings.device, settings.batch_size))
    raise InputError(f"unknown judge {name!r}: it is 'bundled', 'keywords', a checkpoint directory or an endpoint's URL")


def load_run_prompts(settings: Settings) -> PromptSet:
    """The prompts that the settings name."""
    if settings.prompts is not None:
        return load_prompts(Path(settings.prompts))
    if settings.model == BUNDLED:
        return World(0).prompts(BUNDLED_PROMPTS, settings.seed)
    raise InputError("which prompts? pass --prompts FILE.jsonl with id, prompt and category on each line")


class Run:
    """A run directory with its settings, model and judge."""

    def __init__(self, path: Path, settings: Settings, progress: Progress) -> None:
        """Check the settings, open the directory, load judge and model. Nothing is written before the input is read."""
        self.settings = settings
        self._check(settings)
        prompts = load_run_prompts(settings)
        self._require_kinds(prompts)
        judge = load_judge(settings)
        source = bundled_organism() if settings.model == BUNDLED else settings.model
        engine = TransformersEngine.load(source, settings.dtype, settings.device, settings.batch_size)
        unknown = [layer for layer in settings.layers or () if not 0 <= layer < engine.depth]
        if unknown:
            raise InputError(f"unknown layer(s) {unknown}; {engine.name} has layers 0 to {engine.depth - 1}")
        self.store = Store(path)
        if settings.judge == "bundled" and settings.model != BUNDLED:
            logger.warning(
                "the bundled judge reads only the fictional world of the bundled model; for other text pass --judge URL"
            )
        self.store.set_fact("settings", settings.model_dump())
        self.store.set_prompts(prompts)
        self.store.set_fact("model", {"name": engine.name, "fingerprint": engine.fingerprint, "judge": judge.name})
        self.prompts = prompts
        self.engine = engine
        self.progress = progress
        sampling = Sampling(settings.temperature, settings.top_p, settings.top_k, settings.max_new_tokens, settings.seed)
        self.answerer = Answerer(self.store, engine, judge, sampling, progress)

    @classmethod
    def reopen(cls, path: Path, progress: Progress, **changes: Any) -> Run:
        """Open a run directory with the settings it was made with, changed by the flags given."""
        with Store(path, must_exist=True) as store:
            stored = store.fact("settings")
        if stored is None:
            raise InputError(f"{path}: holds no settings; start it with `refusal-steering measure` or `run`")
        return cls(path, Settings.read(**{**stored, **{k: v for k, v in changes.items() if v is not None}}), progress)

    @staticmethod
    def _check(settings: Settings) -> None:
        for name, given, known in (
            ("estimator", settings.estimators, tuple(ESTIMATORS)),
            ("mode", settings.modes, ("add", "reposition", "ablate")),
            ("condition", settings.conditions, CONDITIONS),
        ):
            for value in given:
                if value not in known:
                    raise InputError(f"unknown {name} {value!r}; there are {', '.join(known)}")

    @staticmethod
    def _require_kinds(prompts: PromptSet) -> None:
        for role in ROLES:
            for split in SPLITS:
                if role == "harmful" and split == "fit":
                    continue
                if not len(prompts.where(role=role, split=split)):
                    what = "of another category than sensitive and harmful" if role == "benign" else f"of category {role!r}"
                    raise InputError(
                        f"no prompts {what} in the {split} split; a run needs some of each to choose and to report on"
                    )

    # measure

    def measure(self) -> dict[str, Any]:
        """Sample and judge K answers of every fit and validation prompt."""
        return {split: condition_table(self._first(self._measured(split))) for split in ("fit", "validation")}

    def _measured(self, split: Split) -> list[Answer]:
        prompts = list(self.prompts.where(split=split))
        return self.answerer.answers(prompts, f"measuring {split}", samples=self.settings.samples)

    def _first(self, answers: Sequence[Answer]) -> list[Answer]:
        return list(answers[:: self.settings.samples])

    def _confidence(self, split: Split) -> tuple[list[Prompt], Tensor]:
        """The sensitive and benign prompts of a split that have a confidence, and the confidences."""
        answers = self._measured(split)
        kept, values = [], []
        for start in range(0, len(answers), self.settings.samples):
            group = answers[start : start + self.settings.samples]
            value = confidence([a.verdict.score for a in group], [a.completion.logprob for a in group])
            # Harmful prompts fit no vector: the direction is that of the refusals which are to go.
            if value is not None and group[0].prompt.role != "harmful":
                kept.append(group[0].prompt)
                values.append(value)
        return kept, torch.tensor(values, dtype=torch.float64)

    # fit

    def fit(self) -> dict[str, SteeringVector]:
        """Fit every estimator and ridge, set scales on validation, and write the vectors' files."""
        prompts, c = self._confidence("fit")
        refused = sum(1 for p, value in zip(prompts, c.tolist(), strict=True) if p.role == "sensitive" and value > 0)
        if refused < FEWEST_REFUSED:
            return {}
        # An answered sensitive or a refused benign prompt is no example of what is to be told apart.
        neutral = c.abs() <= NEUTRAL
        wanted = [i for i, p in enumerate(prompts) if bool(neutral[i]) or (p.role == "sensitive") == (float(c[i]) > 0)]
        prompts, c = [prompts[i] for i in wanted], c[wanted]
        activations = self._activations(prompts)
        validation, c_validation = self._confidence("validation")
        validation_activations = self._activations(validation)
        data = hashlib.sha256("".join(f"{p.key}{v:.6f}" for p, v in zip(prompts, c.tolist(), strict=True)).encode()).hexdigest()[
            :32
        ]
        provenance = Provenance(self.engine.name, self.engine.fingerprint, data)
        vectors = {}
        for options in self._options():
            vector = fit_vector(activations, c, options, provenance)
            vectors[options.label] = with_scales(vector, validation_activations, c_validation)
            vectors[options.label].save(self.store.path / "vectors" / f"{_file_name(options.label)}.safetensors")
        return vectors

    def _options(self) -> list[Options]:
        options: list[Options] = []
        for name in self.settings.estimators:
            ridges = self.settings.ridges if name in RIDGE_ESTIMATORS else self.settings.ridges[:1]
            options.extend(Options(name, ridge, not self.settings.ridge_absolute) for ridge in ridges)  # type: ignore[arg-type]
        return options

    def _activations(self, prompts: Sequence[Prompt]) -> Tensor:
        key = hashlib.sha256("".join([self.engine.fingerprint, *(p.key for p in prompts)]).encode()).hexdigest()[:32]
        file = self.store.activations_file(key)
        if file is None:
            self.progress(0, 1, "capturing activations")
            captured = self.engine.capture([p.messages for p in prompts])
            file = self.store.path / "activations" / f"{key}.safetensors"
            write_atomically(file, save({"activations": captured}))
            self.store.add_activations(key, file)
        return load_file(file)["activations"]

    # select

    def select(self) -> dict[str, Any]:
        """Find the configuration, or say why there is none. What is returned is also kept in the store."""
        validation = self._first(self._measured("validation"))
        harmful = [a for a in self._first(self._measured("fit")) if a.prompt.role == "harmful"]
        sensitive = [a for a in validation if a.prompt.role == "sensitive"]
        base = Rate.of(sum(a.success for a in sensitive), len(sensitive))
        refused = Rate.of(sum(a.refused for a in sensitive), len(sensitive))
        vectors = self.fit()
        if not vectors or refused.low < 0.02:
            return self._decided(LEAVE_ALONE, base, None, [], 0.0, {})
        elicited = self.answerer.answers(
            [a.prompt for a in sensitive if a.refused], "eliciting answers", system=self.settings.system_text
        )
        finder = Finder(self.answerer, vectors, [*validation, *harmful], [a for a in elicited if a.success], self.settings)
        prompts, c = self._confidence("validation")
        activations = self._activations(prompts)
        spaces, shown = {}, {}
        for name, vector in vectors.items():
            projection = projections(activations, vector.directions)
            scores = layer_scores(projection, c)
            sets = [tuple(sorted(set(self.settings.layers)))] if self.settings.layers else layer_sets(scores, self.engine.depth)
            spaces[name] = Space(sets, gaps(projection, c), vector.scales_minus)
            shown[name] = [round(float(score), 4) for score in scores]
        short_list = finder.short_list(finder.search(spaces, self.progress))
        survivors = finder.try_out(spaces, short_list, self.progress)
        measured = finder.measure(survivors)
        best, wanted = choose(measured, base, self.settings)
        selected = best.candidate if best else None
        if selected is not None:
            vectors[selected.vector].save(self.store.path / "vectors" / "selected.safetensors")
        return self._decided(SELECTED if selected else NONE_SAFE, base, selected, [m.as_dict() for m in measured], wanted, shown)

    def _decided(
        self,
        verdict: str,
        base: Rate,
        selected: Candidate | None,
        frontier: list[dict[str, Any]],
        wanted: float,
        layers: dict[str, Any],
    ) -> dict[str, Any]:
        if selected is None:
            (self.store.path / "vectors" / "selected.safetensors").unlink(missing_ok=True)
        decision = {
            "verdict": verdict,
            "base": asdict(base),
            "selected": selected.as_dict() if selected else None,
            "wanted": wanted,
            "frontier": frontier,
            "layer_scores": layers,
        }
        self.store.set_fact("decision", decision)
        return decision

    # evaluate

    def evaluate(self) -> dict[str, Any]:
        """Answer the test prompts under every condition and write summary.json."""
        decision = self.store.fact("decision")
        if decision is None:
            decision = self.select()
        intervention = self._selected_intervention(decision)
        test = list(self.prompts.where(split="test"))
        tables: dict[str, Any] = {}
        examples: dict[str, list[Answer]] = {}
        for condition in CONDITIONS:
            if condition not in self.settings.conditions or (intervention is None and "steering" in condition):
                continue
            answers = condition_answers(self.answerer, test, condition, intervention, self.settings.system_text)
            tables[condition] = condition_table(answers)
            examples[condition] = answers
        self.store.set_fact("test", tables)
        self.store.set_fact("examples", _examples(examples, self.settings.seed))
        summary = self._summary(decision, tables)
        write_atomically(self.store.path / "summary.json", json.dumps(summary, indent=2) + "\n")
        write_atomically(self.store.path / "reproduce.toml", self.settings.as_toml())
        return summary

    def _selected_intervention(self, decision: dict[str, Any]) -> Intervention | None:
        if decision["selected"] is None:
            return None
        vector = SteeringVector.load(self.store.path / "vectors" / "selected.safetensors")
        vector.check_model(self.engine.model)
        candidate = Candidate.from_dict(decision["selected"])
        return vector.intervention(candidate.layers, candidate.strength, candidate.mode)

    def _summary(self, decision: dict[str, Any], tables: dict[str, Any]) -> dict[str, Any]:
        selected = decision["selected"]
        return {
            "model": self.engine.name,
            "fingerprint": self.engine.fingerprint,
            "judge": self.answerer.judge.name,
            "verdict": decision["verdict"],
            "selected": None
            if selected is None
            else {
                "estimator": selected["vector"],
                "layers": selected["layers"],
                "strength": selected["strength"],
                "mode": selected["mode"],
                "gate": None,
            },
            "test": tables,
        }

    def require_selected(self) -> None:
        """Raise NoConfigurationError where selection found nothing safe."""
        if self.store.fact("decision")["verdict"] == NONE_SAFE:
            raise NoConfigurationError(
                "no configuration removes refusals while safety and benign answers are kept; nothing was selected. "
                "The report shows what was tried"
            )


def _examples(answers: dict[str, list[Answer]], seed: int, per_kind: int = 3) -> list[dict[str, Any]]:
    """A few test prompts of every category, drawn at random, with the replies of every condition."""
    rng = random.Random(seed)
    first = next(iter(answers.values()))
    places: dict[str, list[int]] = {}
    for place, answer in enumerate(first):
        places.setdefault(answer.prompt.category, []).append(place)
    chosen = [place for group in places.values() for place in rng.sample(group, min(per_kind, len(group)))]
    return [
        {
            "category": first[place].prompt.category,
            "question": first[place].prompt.question,
            "replies": [
                {"condition": condition, "outcome": rows[place].verdict.outcome, "answer": rows[place].completion.answer}
                for condition, rows in answers.items()
            ],
        }
        for place in chosen
    ]


def _file_name(label: str) -> str:
    return label.replace("(", "-").replace(")", "").replace(" ", "-")


__all__ = ["LEAVE_ALONE", "NONE_SAFE", "SELECTED", "JudgeError", "Run", "load_judge", "load_run_prompts"]
