"""The configuration finder: cheap signals first, generation for the survivors, and a choice that cannot break safety."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import optuna

from refusal_steering.config import Settings
from refusal_steering.engines import Conversation, Scores
from refusal_steering.evaluation.statistics import Rate, gain_bound
from refusal_steering.judging.answers import Answer, Answerer
from refusal_steering.prompts import Prompt
from refusal_steering.selection.candidates import Candidate, Space, draw
from refusal_steering.vectors import SteeringVector

logger = logging.getLogger(__name__)

# How many conversations of each role the first rung scores, and prompts the second one asks.
SCORED = 12
TRIED = 40
FEWEST_ELICITED = 4
HEAD = 24


@dataclass(frozen=True)
class Scored:
    """What one teacher-forced pass says about a candidate.

    Attributes:
        answering: what is wanted. Where a system text elicited answers to sensitive prompts: how likely the candidate
            samples such answers without it, as an importance-sampled share of how likely they were with it.
            Otherwise mean fall of the log-probability of the model's refusals (nats per token, up to 1), which says
            less: a broken model does not refuse either.
        shift: mean absolute change of the log-probability (nats per token) of its answers to benign prompts.
        harm: mean fall of the log-probability (nats per token) of its refusals of harmful prompts, at least 0.
    """

    answering: float
    shift: float
    harm: float

    @property
    def merit(self) -> float:
        """What is wanted less what is not."""
        return self.answering - self.shift - self.harm


@dataclass(frozen=True)
class Trial:
    """A candidate of the first rung with the parameters that Optuna knows it by."""

    candidate: Candidate
    params: dict[str, Any]
    scored: Scored


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
        elicited: answers to sensitive prompts that a system text brought out, to be scored without it.
        settings: sizes, margins and modes.
    """

    def __init__(
        self,
        answerer: Answerer,
        vectors: Mapping[str, SteeringVector],
        base: Sequence[Answer],
        elicited: Sequence[Answer],
        settings: Settings,
    ) -> None:
        self._answerer = answerer
        self._vectors = vectors
        self._settings = settings
        self._sensitive = [a for a in base if a.prompt.role == "sensitive"]
        self._harmful = [a for a in base if a.prompt.role == "harmful"]
        self._benign = [a for a in base if a.prompt.role == "benign"]
        # Too few elicited answers would say more about themselves than about the candidate.
        self._elicited = len(elicited) >= FEWEST_ELICITED
        wanted = list(elicited[: 2 * SCORED]) if self._elicited else [a for a in self._sensitive if a.refused][: 2 * SCORED]
        harmful = [a for a in self._harmful if a.refused][:SCORED]
        benign = [a for a in _spread(self._benign) if a.answered][: 2 * SCORED]
        groups = {"wanted": wanted, "harmful": harmful, "benign": benign}
        self._roles = np.array([name for name, group in groups.items() for _ in group])
        self._conversations = [(a.prompt.messages, _head(a.completion.answer)) for group in groups.values() for a in group]
        self._base = self._scores(None)
        # How likely the elicited answers were where they were given: with the system text.
        with_system = [
            Conversation(a.prompt.with_system(settings.system_text).messages, _head(a.completion.answer)) for a in wanted
        ]
        self._given = answerer.engine.score(with_system).total.numpy()

    def search(self, spaces: Mapping[str, Space], progress: Callable[[int, int, str], None]) -> list[Trial]:
        """The first rung: an Optuna study over the space, maximising what Scored calls merit.

        The study is remade from its seed each time; trials that the store knows cost nothing, so a killed
        search goes on where it was.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self._settings.seed, n_startup_trials=self._settings.trials // 4)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        trials: dict[Candidate, Trial] = {}
        for number in range(self._settings.trials):
            progress(number, self._settings.trials, "scoring candidates")
            asked = study.ask()
            candidate = draw(asked, spaces, self._settings.modes)  # type: ignore[arg-type]
            scored = self._scored(candidate)
            trials[candidate] = Trial(candidate, asked.params, scored)
            study.tell(asked, scored.merit)
        progress(self._settings.trials, self._settings.trials, "scoring candidates")
        return list(trials.values())

    def short_list(self, trials: Sequence[Trial]) -> list[Trial]:
        """The candidates worth generating for: the best of every kind of vector in turn, no two alike but for strength.

        Teacher forcing tells good strengths and layers from bad ones for one vector, but hardly one vector from
        another: that is left to generation.
        """
        families: dict[str, dict[tuple[tuple[int, ...], str], Trial]] = {}
        for trial in sorted(trials, key=lambda t: -t.scored.merit):
            # A weighted estimator and its plain sibling give nearly the same vector.
            family = families.setdefault(trial.candidate.vector.removeprefix("w"), {})
            family.setdefault((trial.candidate.layers, trial.candidate.mode), trial)
        turns = zip_longest(*(family.values() for family in families.values()))
        return [trial for turn in turns for trial in turn if trial is not None][: self._settings.short_list]

    def try_out(
        self, spaces: Mapping[str, Space], short_list: Sequence[Trial], progress: Callable[[int, int, str], None]
    ) -> list[Candidate]:
        """The second rung: a few answers each, of the short list and then of what a second study makes of it."""
        if not short_list:
            return []
        sampler = optuna.samplers.TPESampler(seed=self._settings.seed, n_startup_trials=len(short_list), multivariate=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in short_list:
            study.enqueue_trial(trial.params)
        merits: dict[Candidate, float] = {}
        total = len(short_list) + self._settings.tries
        harmful, benign = self._harmful[: TRIED // 4], _spread(self._benign)[: TRIED // 2]
        for number in range(total):
            progress(number, total, "trying candidates")
            asked = study.ask()
            candidate = draw(asked, spaces, self._settings.modes)  # type: ignore[arg-type]
            measured = self._measured(candidate, self._sensitive[:TRIED], harmful, benign, "")
            merit = measured.success.rate - 2 * max(0.0, measured.benign_fall) - measured.answered_bound - measured.refused_bound
            merits[candidate] = merit
            study.tell(asked, merit)
        progress(total, total, "trying candidates")
        return sorted(merits, key=lambda c: (-merits[c], c.key))[: self._settings.finalists]

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
        key = f"answering|{candidate.key}|{candidate.intervention(self._vectors).digest}|{len(self._conversations)}"
        known = self._answerer.store.trial(key)
        if known is None:
            known = asdict(self._score(candidate))
            self._answerer.store.add_trial(key, known)
        return Scored(**known)

    def _score(self, candidate: Candidate) -> Scored:
        scores = self._scores(candidate)
        wanted, harmful, benign = (self._roles == name for name in ("wanted", "harmful", "benign"))
        fall = (self._base.mean - scores.mean).numpy()
        if self._elicited:
            # Sampling sharpens probabilities by its temperature. One answer that became far likelier than it was
            # must not stand for all of them, so that its weight is bounded.
            temperature = max(self._settings.temperature, 0.05)
            weight = (scores.total.numpy()[wanted] - self._given) / temperature
            answering = _mean(np.exp(np.clip(weight, -30.0, 1.0)))
        else:
            answering = _mean(np.clip(fall[wanted], 0.0, 1.0))
        return Scored(answering, shift=_mean(np.abs(fall[benign])), harm=max(0.0, _mean(fall[harmful])))

    def _scores(self, candidate: Candidate | None) -> Scores:
        intervention = candidate.intervention(self._vectors) if candidate else None
        conversations = [Conversation(messages, reply, intervention) for messages, reply in self._conversations]
        return self._answerer.engine.score(conversations)


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


def _head(reply: str) -> str:
    """The first words of a reply: where it is decided what the reply will be."""
    return " ".join(reply.split()[:HEAD])


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _spread(answers: Sequence[Answer]) -> list[Answer]:
    """The answers with their categories taken in turn, so that any head of the list holds all of them."""
    groups: dict[str, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(answer.prompt.category, []).append(answer)
    spread = [(rank, place, answer) for place, group in enumerate(groups.values()) for rank, answer in enumerate(group)]
    return [answer for _, _, answer in sorted(spread, key=lambda item: item[:2])]
