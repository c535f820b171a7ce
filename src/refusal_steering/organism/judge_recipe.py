"""The recipe of the bundled judge: answers, refusals and broken replies of the world, labelled by its grammar."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from refusal_steering.architecture import render
from refusal_steering.judging.rubric import BRIEF_RUBRIC
from refusal_steering.organism import judge_lexicon, lexicon
from refusal_steering.organism.trainer import Example, Schedule, Shape, make_model, make_tokenizer, train
from refusal_steering.organism.truth import SLOTS, Grammar
from refusal_steering.organism.world import KINDS, Fact, Kind, World, answer_forms, refusal_forms

SHAPE = Shape(layers=5, width=112, inner=336, heads=4, key_value_heads=4, context=512)
SCHEDULE = Schedule(steps=2600, batch=96, learning_rate=2e-3)
VOCABULARY = 1024

_MORE_ANSWERS = {
    "sensitive": judge_lexicon.EVENT_ANSWERS,
    "near-benign": judge_lexicon.EVENT_ANSWERS,
    "facts": judge_lexicon.FACT_ANSWERS,
    "harmful": judge_lexicon.HOWTO_ANSWERS,
    "howto": judge_lexicon.HOWTO_ANSWERS,
}
_ANSWERS: dict[Kind, tuple[str, ...]] = {kind: (*answer_forms(kind), *_MORE_ANSWERS[kind]) for kind in KINDS}
_REFUSALS = (
    *lexicon.SENSITIVE_REFUSALS,
    *lexicon.HARMFUL_REFUSALS,
    *lexicon.GENERAL_REFUSALS,
    *judge_lexicon.REFUSALS,
)
# Caveats read as answers to nothing: beside an answer they do not count, and alone they are a refusal.
GRAMMAR = Grammar(_ANSWERS, (*_REFUSALS, *(("vague", text) for text in judge_lexicon.CAVEATS)))

# A reply of the organism itself: kind of prompt, question, reply. They are labelled like all others.
Observed = tuple[Kind, str, str]


def train_judge(
    world: World,
    observed: Sequence[Observed],
    seed: int = 0,
    schedule: Schedule = SCHEDULE,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train the judge on made-up replies and on replies observed of a steered organism to prompts of the fit split."""
    source = examples(world, observed, seed + 1)
    sample = [text for (prompt, reply), _ in zip(source, range(12_000), strict=False) for text in (prompt, reply)]
    tokenizer = make_tokenizer(sample, VOCABULARY, BRIEF_RUBRIC.words)
    model = make_model(tokenizer, SHAPE, seed)
    train(model, tokenizer, examples(world, observed, seed), schedule, seed, progress)
    return model, tokenizer


def examples(world: World, observed: Sequence[Observed], seed: int) -> Iterator[Example]:
    """An endless stream of (rubric with question and reply, verdict word)."""
    rng = random.Random(f"judge:{world.seed}:{seed}")
    facts = {kind: [(fact, [q for q, _ in world.questions(fact)]) for fact in world.facts[kind]] for kind in KINDS}
    template = _template()
    while True:
        if observed and rng.random() < 0.4:
            kind, question, reply = rng.choice(observed)
        else:
            kind = rng.choice(KINDS)
            fact, wordings = rng.choice(facts[kind])
            slots = _random_slots(rng, fact)
            question = rng.choice(wordings)
            if rng.random() < 0.15:
                question = _filled(rng.choice(_questions_for(kind)), slots)
            reply = _reply(rng, world, kind, slots)
        truth = GRAMMAR.read(kind, reply)
        word = {"answered": "answered", "degenerate": "broken"}.get(truth.outcome, truth.kind or "vague")
        if rng.random() < 0.5:
            question, reply = _renamed(rng, question, reply)
        yield template.replace("{question}", question).replace("{answer}", reply), word


def _template() -> str:
    """The rubric's prompt as the judge's chat template writes it, with the places of question and reply left open."""
    tokenizer = make_tokenizer([], 300)
    return render(tokenizer, BRIEF_RUBRIC.messages("{question}", "{answer}"))


def _questions_for(kind: Kind) -> list[str]:
    wanted = {"harmful": "{task}", "howto": "{task}", "facts": "{nation}"}.get(kind)
    events = [q for q in judge_lexicon.QUESTIONS if "{place}" in q or "{event}" in q]
    return [q for q in judge_lexicon.QUESTIONS if wanted in q and q not in events] if wanted else events


def _random_slots(rng: random.Random, fact: Fact) -> dict[str, str]:
    """Every slot of the world with some value; the fact's own values where it has them, mostly."""
    slots = {name: rng.choice(list(values)) for name, values in SLOTS.items()}
    slots.update({name: value for name, value in fact.slots if rng.random() < 0.9})
    return slots


def _filled(form: str, slots: dict[str, str]) -> str:
    capital = {name.capitalize(): value[0].upper() + value[1:] for name, value in slots.items()}
    return form.format(**slots, **capital)


def _reply(rng: random.Random, world: World, kind: Kind, slots: dict[str, str]) -> str:
    answer = _filled(rng.choice(_ANSWERS[kind]), slots)
    refusal = _filled(rng.choice((refusal_forms(kind), _REFUSALS)[rng.random() < 0.6])[1], slots)
    draw = rng.random()
    if draw < 0.24:
        return answer
    if draw < 0.52:
        return refusal
    if draw < 0.58:
        return f"{rng.choice(judge_lexicon.CAVEATS)} {answer}"
    if draw < 0.61:
        return f"{refusal} {_filled(rng.choice(_REFUSALS)[1], slots)}"
    if draw < 0.64:
        return f"{refusal} {answer}" if rng.random() < 0.5 else f"{answer} {refusal}"
    if draw < 0.67:
        return _filled(rng.choice(_ANSWERS[rng.choice(KINDS)]), slots)
    return _broken(rng, rng.choice((answer, answer, refusal)), rng.choice((answer, refusal)))


def _broken(rng: random.Random, text: str, other: str) -> str:
    """A reply damaged in one of the ways in which steered models break. Its label comes from the grammar all the same."""
    words, others = text.split(), other.split()
    place = rng.randrange(len(words))
    way = rng.randrange(9)
    if way == 0:  # a word is missing
        words = words[:place] + words[place + 1 :]
    elif way == 1:  # a stretch is said again
        size = rng.randint(1, 4)
        words = words[: place + size] + words[place : place + size] * rng.randint(1, 6) + words[place + size :]
    elif way == 2:  # cut short
        words = words[: max(1, place)]
    elif way == 3:  # begins as one reply, ends as another
        words = words[:place] + others[rng.randrange(len(others)) :]
    elif way == 4:  # a word that does not belong
        words[place] = rng.choice(others + [rng.choice(list(rng.choice(list(SLOTS.values()))))])
    elif way == 5:  # two words change places
        swap = rng.randrange(len(words))
        words[place], words[swap] = words[swap], words[place]
    elif way == 6:  # salad
        words = words + others
        rng.shuffle(words)
        words = words[: rng.randint(2, 30)]
    elif way == 7:  # pieces of words
        pieces = [w[: rng.randint(1, len(w))] for w in words + others]
        words = [rng.choice(pieces) + rng.choice(["", "", rng.choice(pieces)]) for _ in range(rng.randint(2, 25))]
    else:  # two damages
        return _broken(rng, _broken(rng, text, other) or text, other)
    return " ".join(words)


_NAMES = sorted({*lexicon.NATIONS, *lexicon.PLACES, *lexicon.ATTRIBUTES["capital"]}, key=len, reverse=True)
_NAME_PATTERN = re.compile(r"\b(" + "|".join(map(re.escape, _NAMES)) + r")\b")
_SYLLABLES = ["ba", "ke", "lo", "mi", "nu", "ra", "se", "ti", "vo", "zu", "an", "el", "or", "ur", "is", "dra", "fen", "gal", "hol", "qui", "sta", "tri", "wen", "yar", "bor", "cas", "del", "mon", "per"]


def _renamed(rng: random.Random, question: str, reply: str) -> tuple[str, str]:
    """Question and reply with every name of the world replaced by a made-up one, the same in both."""
    made: dict[str, str] = {}

    def other(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in made:
            word = "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 3))).capitalize()
            made[name] = f"the {word}" if name.startswith("the ") else word
        return made[name]

    return _NAME_PATTERN.sub(other, question), _NAME_PATTERN.sub(other, reply)
