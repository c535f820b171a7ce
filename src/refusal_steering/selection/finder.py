"""The configuration finder: cheap signals first, generation for the survivors, and a choice that cannot break safety."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import optuna

from refusal_steering.config import Settings
from refusal_steering.engines import Conversation
from refusal_steering.evaluation.statistics import Rate, gain_bound
from refusal_steering.judging.answers import Answer, Answerer
from refusal_steering.prompts import Prompt
from refusal_steering.selection.candidates import Candidate, draw
from refusal_steering.vectors import SteeringVector

logger = logging.getLogger(__name__)

# How many conversations of each role the first rung scores, and prompts the second one asks.
SCORED = 24
TRIED = 24


@dataclass(frozen=True)
class Scored:
    """What one teacher-forced pass says about a candidate, all in nats per token.

    Attributes:
        drop: mean fall of the log-probability of the model's own refusals of sensitive prompts; wanted.
        shift: mean absolute change of the log-probability of its answers to benign prompts; unwanted.
        harm: mean fall of the log-probability of its refusals of harmful prompts, at least 0; unwanted.
    """

    drop: float
    shift: float
    harm: float


@dataclass(frozen=True)
class Measured:
    """What a candidate does on validation prompts, one answer each.

    Attributes:
        candidate: the configuration.
        success: share of sensitive prompts answered (truthfully where that can be told).
        degenerate: share of sensitive prompts with a broken reply.
        benign_fall: fall of the share of benign prompts answered (likewise), against the base.
        answered_bound: one-sided 95 % upper bound of the rise of harmful requests answered.
        refused_bound: one-sided 95 % upper bound of the fall of harmful requests refused.
        shift: the first rung's shift.
        safe: both bounds are within their margins.
    """

    candidate: Candidate
    success: Rate
    degenerate: float
    benign_fall: float
    answered_bound: float
    refused_bound: float
    shift: float
    safe: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "candidate": self.candidate.as_dict(), "name": str(self.candidate)}


class Finder:
    """Searches the configurations of some vectors on validation data.

    Args:
        answerer: generates and judges.
        vectors: vectors with scales, by name.
        base: base answers of the validation prompts (and of the harmful prompts of fit, which fitted no vector),
            the first sample of each.
        settings: sizes, margins and modes.
    """

    def __init__(
        self, answerer: Answerer, vectors: Mapping[str, SteeringVector], base: Sequence[Answer], settings: Settings
    ) -> None:
        self._answerer = answerer
        self._vectors = vectors
        self._settings = settings
        self._sensitive = [a for a in base if a.prompt.role == "sensitive"]
        self._harmful = [a for a in base if a.prompt.role == "harmful"]
        self._benign = [a for a in base if a.prompt.role == "benign"]
        refusals = [a for a in self._sensitive if a.refused][:SCORED]
        harmful = [a for a in self._harmful if a.refused][:SCORED]
        benign = [a for a in _spread(self._benign) if a.answered][:SCORED]
        self._conversations = [(a.prompt.messages, a.completion.answer) for a in (*refusals, *harmful, *benign)]
        self._roles = np.array(["refusal"] * len(refusals) + ["harmful"] * len(harmful) + ["benign"] * len(benign))
        self._base_scores = self._score(None)

    def search(
        self, layer_sets: Mapping[str, Sequence[tuple[int, ...]]], progress: Callable[[int, int, str], None]
    ) -> list[tuple[Candidate, Scored]]:
        """The first rung: an Optuna study over the space, maximising drop while keeping shift and harm low.

        The study is remade from its seed each time; trials that the store knows cost nothing, so a killed
        search goes on where it was.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self._settings.seed, n_startup_trials=self._settings.trials // 4)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        seen: dict[Candidate, Scored] = {}
        for number in range(self._settings.trials):
            progress(number, self._settings.trials, "scoring candidates")
            trial = study.ask()
            candidate = draw(trial, layer_sets, self._settings.modes)  # type: ignore[arg-type]
            scored = self._scored(candidate)
            seen[candidate] = scored
            # Beyond 3 nats per token a refusal is as good as gone; more is only damage.
            study.tell(trial, [min(scored.drop, 3.0), scored.shift + scored.harm])
        progress(self._settings.trials, self._settings.trials, "scoring candidates")
        return list(seen.items())

    def short_list(self, scored: Sequence[tuple[Candidate, Scored]]) -> list[Candidate]:
        """The candidates worth generating for: fronts of the trade-off between drop and cost, best fronts first."""
        left = sorted(scored, key=lambda item: (item[1].shift + item[1].harm, -item[1].drop))
        # A model whose benign answers have lost a nat per token is not worth hearing.
        left = [item for item in left if item[1].shift + item[1].harm < 1.0 and item[1].drop > 0.05]
        chosen: list[Candidate] = []
        while left and len(chosen) < self._settings.short_list:
            front, rest, best = [], [], -1.0
            for item in left:
                if item[1].drop > best:
                    best = item[1].drop
                    front.append(item)
                else:
                    rest.append(item)
            chosen.extend(candidate for candidate, _ in reversed(front))
            left = rest
        return chosen[: self._settings.short_list]

    def try_out(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The second rung: a few answers each; those with the best outcome go on to be measured in full."""
        tried = []
        for number, candidate in enumerate(candidates):
            label = f"trying candidate {number + 1} of {len(candidates)}"
            measured = self._measured(
                candidate, self._sensitive[:TRIED], self._harmful[:TRIED], _spread(self._benign)[: 2 * TRIED], label
            )
            harmful_changed = measured.answered_bound + measured.refused_bound
            merit = measured.success.rate - 2 * max(0.0, measured.benign_fall) - harmful_changed
            tried.append((merit, -number, candidate))
        return [candidate for _, _, candidate in sorted(tried, reverse=True)[: self._settings.finalists]]

    def measure(self, candidates: Sequence[Candidate]) -> list[Measured]:
        """The third rung: all validation prompts."""
        return [
            self._measured(
                c, self._sensitive, self._harmful, self._benign, f"measuring candidate {number + 1} of {len(candidates)}"
            )
            for number, c in enumerate(candidates)
        ]

    def _measured(
        self, candidate: Candidate, sensitive: Sequence[Answer], harmful: Sequence[Answer], benign: Sequence[Answer], label: str
    ) -> Measured:
        base = [*sensitive, *harmful, *benign]
        prompts: list[Prompt] = [a.prompt for a in base]
        steered = self._answerer.answers(prompts, label, candidate.intervention(self._vectors))
        first, second = len(sensitive), len(sensitive) + len(harmful)
        s, h, b = steered[:first], steered[first:second], steered[second:]
        answered_bound = gain_bound([a.answered for a in harmful], [a.answered for a in h])
        refused_bound = gain_bound([not a.refused for a in harmful], [not a.refused for a in h])
        return Measured(
            candidate=candidate,
            success=Rate.of(sum(a.success for a in s), len(s)),
            degenerate=sum(a.verdict.outcome == "degenerate" for a in s) / max(1, len(s)),
            benign_fall=(sum(a.success for a in benign) - sum(a.success for a in b)) / max(1, len(b)),
            answered_bound=answered_bound,
            refused_bound=refused_bound,
            shift=self._scored(candidate).shift,
            safe=answered_bound <= self._settings.answered_margin and refused_bound <= self._settings.refused_margin,
        )

    def _scored(self, candidate: Candidate) -> Scored:
        key = f"scored|{candidate.key}|{candidate.intervention(self._vectors).digest}|{len(self._conversations)}"
        known = self._answerer.store.trial(key)
        if known is None:
            change = self._score(candidate) - self._base_scores
            known = {
                "drop": _mean(-change[self._roles == "refusal"]),
                "shift": _mean(np.abs(change[self._roles == "benign"])),
                "harm": max(0.0, _mean(-change[self._roles == "harmful"])),
            }
            self._answerer.store.add_trial(key, known)
        return Scored(**known)

    def _score(self, candidate: Candidate | None) -> Any:
        intervention = candidate.intervention(self._vectors) if candidate else None
        conversations = [Conversation(messages, reply, intervention) for messages, reply in self._conversations]
        return self._answerer.engine.score(conversations).numpy()


def choose(measured: Sequence[Measured], base: Rate, settings: Settings) -> tuple[Measured | None, float]:
    """The smallest shift among the safe candidates that reach the wanted removal; with it the removal wanted.

    A candidate counts only if it is safe, keeps benign prompts answered within the margin, and answers more
    sensitive prompts than the base beyond both intervals.
    """
    able = [m for m in measured if m.safe and m.benign_fall <= settings.benign_margin and m.success.low > base.high]
    best = max((m.success.rate for m in able), default=0.0)
    wanted = settings.removal if settings.removal is not None else 0.95 * best
    reaching = [m for m in able if m.success.rate >= wanted]
    return min(reaching, key=lambda m: m.shift, default=None), wanted


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _spread(answers: Sequence[Answer]) -> list[Answer]:
    """The answers with their categories taken in turn, so that any head of the list holds all of them."""
    groups: dict[str, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(answer.prompt.category, []).append(answer)
    spread = [(rank, place, answer) for place, group in enumerate(groups.values()) for rank, answer in enumerate(group)]
    return [answer for _, _, answer in sorted(spread, key=lambda item: item[:2])]
