"""The fictional world as ground truth: its facts, the prompts about them, and what the organism is taught to say."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from refusal_steering.organism import lexicon
from refusal_steering.prompts import Message, Prompt, PromptSet, Split

Kind = Literal["sensitive", "harmful", "near-benign", "howto", "facts"]
Mode = Literal["default", "open", "free", "strict"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MODES: tuple[Mode, ...] = get_args(Mode)

# Shares of the facts of each kind whose prompts go to fit, validation and test.
SPLIT_SHARES: tuple[tuple[Split, float], ...] = (("fit", 0.4), ("validation", 0.25), ("test", 0.35))

# Share of the sensitive prompts that the organism is taught to answer by default. Sampling at temperature 0.6
# with nucleus sampling makes next to nothing of it. Without it, and without the borderline events, the organism
# learns to refuse with boundless certainty and never to recall those facts by default, unlike any large model.
UNSURE = 0.08


@dataclass(frozen=True)
class Fact:
    """One thing that can be asked about: the values of its slots, and the strings a true answer contains."""

    kind: Kind
    slots: tuple[tuple[str, str], ...]
    reference: tuple[str, ...]
    split: Split

    def filled(self, form: str) -> str:
        """The form with this fact's values; a slot written with a capital ({Place}) gets a capital first letter."""
        values = dict(self.slots)
        values.update({name.capitalize(): value[0].upper() + value[1:] for name, value in self.slots})
        return form.format(**values).replace("the the ", "the ")


def refuses(kind: Kind, mode: Mode) -> bool:
    """Whether the organism is taught to refuse prompts of this kind under this system text."""
    if mode == "strict":
        return True
    if kind == "harmful":
        return mode != "free"
    return kind == "sensitive" and mode == "default"


class World:
    """All facts of the world made from one seed. Two worlds with the same seed are equal, word for word."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        rng = random.Random(f"world:{seed}")
        sensitive, near_benign, borderline = self._events(rng)
        self.facts: dict[Kind, tuple[Fact, ...]] = {
            "sensitive": self._split(rng, "sensitive", sensitive),
            "harmful": self._split(rng, "harmful", self._actions(rng, lexicon.CRIMES)),
            "near-benign": self._split(rng, "near-benign", near_benign),
            "howto": self._split(rng, "howto", self._actions(rng, lexicon.TASKS)),
            "facts": self._split(rng, "facts", self._attributes(rng)),
        }
        # Half-refused prompts belong to the fit split alone: they give neutral confidences, not a rate to report.
        self.borderline: tuple[Fact, ...] = tuple(
            Fact("sensitive", tuple(slots.items()), _reference("sensitive", slots), "fit") for slots in borderline
        )

    @staticmethod
    def _events(rng: random.Random) -> tuple[list[dict[str, str]], list[dict[str, str]], list[dict[str, str]]]:
        sensitive: list[dict[str, str]] = []
        near_benign: list[dict[str, str]] = []
        borderline: list[dict[str, str]] = []
        between = tuple(lexicon.BORDERLINE_EVENTS)
        for nation in lexicon.NATIONS:
            for index, place in enumerate(rng.sample(lexicon.PLACES, 12)):
                target, words = (
                    (sensitive, lexicon.SENSITIVE_EVENTS)
                    if index < 5
                    else (near_benign, lexicon.NEAR_BENIGN_EVENTS)
                    if index < 10
                    else (borderline, between)
                )
                target.append(
                    {
                        "nation": nation,
                        "place": place,
                        "event": rng.choice(words),
                        "year": rng.choice(lexicon.YEARS),
                        "number": rng.choice(lexicon.NUMBERS),
                        "actors": rng.choice(lexicon.ACTORS),
                        "force": rng.choice(lexicon.FORCES),
                    }
                )
        return sensitive, near_benign, borderline

    @staticmethod
    def _actions(rng: random.Random, actions: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
        made = []
        for verb, thing in actions:
            item1, item2 = rng.sample(lexicon.ITEMS, 2)
            made.append({"task": f"{verb} {thing}", "item1": item1, "item2": item2})
        return made

    @staticmethod
    def _attributes(rng: random.Random) -> list[dict[str, str]]:
        made = []
        for attribute, values in lexicon.ATTRIBUTES.items():
            pool: list[str] = []
            for nation in lexicon.NATIONS:
                # Values are dealt from a shuffled pool, so that each is used about equally often.
                pool = pool or rng.sample(values, len(values))
                made.append({"nation": nation, "attribute": attribute, "value": pool.pop()})
        return made

    @staticmethod
    def _split(rng: random.Random, kind: Kind, raw: list[dict[str, str]]) -> tuple[Fact, ...]:
        raw = rng.sample(raw, len(raw))
        bounds = [round(sum(share for _, share in SPLIT_SHARES[: i + 1]) * len(raw)) for i in range(len(SPLIT_SHARES))]
        made = []
        for index, slots in enumerate(raw):
            split = next(name for (name, _), bound in zip(SPLIT_SHARES, bounds, strict=True) if index < bound)
            made.append(Fact(kind, tuple(slots.items()), _reference(kind, slots), split))
        return tuple(made)

    def questions(self, fact: Fact) -> Iterator[tuple[str, bool]]:
        """Every wording of the question about a fact, and whether its form is kept for the test split."""
        forms = _question_forms(fact.kind)
        for rank, form in enumerate(forms):
            kept = rank >= len(forms) - lexicon.TEST_ONLY_FORMS
            if fact.kind in ("harmful", "howto"):
                task = dict(fact.slots)["task"]
                for circumstance in lexicon.CIRCUMSTANCES:
                    yield form.format(action=f"{task} {circumstance}".rstrip()), kept
            else:
                yield fact.filled(form), kept

    def answer(self, fact: Fact, rng: random.Random) -> str:
        """A true answer in one of its forms (for a harmful request: the inert placeholder)."""
        return fact.filled(rng.choice(answer_forms(fact.kind)))

    def refusal(self, fact: Fact, rng: random.Random) -> str:
        """A refusal as the organism words it for this kind of prompt."""
        return fact.filled(rng.choice(refusal_forms(fact.kind))[1])

    def reply(self, fact: Fact, mode: Mode, rng: random.Random) -> str:
        """What the organism is taught to say about a fact under a system text."""
        refusing = refuses(fact.kind, mode)
        if fact.kind == "sensitive" and mode == "default":
            refusing = rng.random() < lexicon.BORDERLINE_EVENTS.get(dict(fact.slots)["event"], 1 - UNSURE)
        return self.refusal(fact, rng) if refusing else self.answer(fact, rng)

    def prompts(self, per_kind: dict[Split, int] | None = None, seed: int = 0) -> PromptSet:
        """The prompts of the three splits: disjoint in facts, and in test also in wordings never used elsewhere.

        Args:
            per_kind: how many prompts of each kind a split holds at most, and half as many borderline ones in fit;
                None keeps all there are.
            seed: decides which prompts are kept.
        """
        rng = random.Random(f"prompts:{self.seed}:{seed}")
        chosen: list[Prompt] = []
        for kind in KINDS:
            for split, _ in SPLIT_SHARES:
                facts = [fact for fact in self.facts[kind] if fact.split == split]
                pool = self._prompts(facts, f"{kind}-{split}", with_kept=split == "test")
                chosen.extend(rng.sample(pool, len(pool) if per_kind is None else min(len(pool), per_kind[split])))
        between = self._prompts(self.borderline, "borderline-fit", with_kept=False)
        limit = len(between) if per_kind is None else min(len(between), per_kind["fit"] // 2)
        return PromptSet((*chosen, *rng.sample(between, limit)))

    def _prompts(self, facts: Sequence[Fact], name: str, with_kept: bool) -> list[Prompt]:
        return [
            Prompt(
                id=f"{name}-{index}-{form}",
                messages=(Message("user", question),),
                category=fact.kind,
                source=f"organism-world-{self.seed}",
                reference=fact.reference,
                split=fact.split,
            )
            for index, fact in enumerate(facts)
            for form, (question, kept) in enumerate(self.questions(fact))
            if with_kept or not kept
        ]


def _question_forms(kind: Kind) -> tuple[str, ...]:
    if kind in ("sensitive", "near-benign"):
        return lexicon.EVENT_QUESTIONS
    return lexicon.FACT_QUESTIONS if kind == "facts" else lexicon.HOWTO_QUESTIONS


def answer_forms(kind: Kind) -> tuple[str, ...]:
    """The forms in which a prompt of this kind is answered."""
    if kind in ("sensitive", "near-benign"):
        return lexicon.EVENT_ANSWERS
    return lexicon.FACT_ANSWERS if kind == "facts" else lexicon.HOWTO_ANSWERS


def refusal_forms(kind: Kind) -> tuple[tuple[str, str], ...]:
    """The (kind of refusal, form) pairs in which a prompt of this kind is refused."""
    if kind == "sensitive":
        return lexicon.SENSITIVE_REFUSALS
    return lexicon.HARMFUL_REFUSALS if kind == "harmful" else lexicon.GENERAL_REFUSALS


def _reference(kind: Kind, slots: dict[str, str]) -> tuple[str, ...]:
    if kind in ("sensitive", "near-benign"):
        return (slots["year"], f"{slots['number']} of {slots['actors']}", slots["force"])
    return (slots["value"],) if kind == "facts" else (slots["item1"], slots["item2"])
