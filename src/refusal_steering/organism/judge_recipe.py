"""The recipe of the bundled judge: answers, refusals and broken replies of the world, labelled by its grammar."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from refusal_steering.architecture import render
from refusal_steering.judging.rubric import BRIEF_RUBRIC
from refusal_steering.organism import judge_lexicon, lexicon
from refusal_steering.organism.trainer import Example, Schedule, train
from refusal_steering.organism.truth import SLOTS, Grammar
from refusal_steering.organism.world import KINDS, Fact, Kind, World, answer_forms, refusal_forms

# The judge starts from the lowest layers of the organism, which know the world's language already.
LAYERS = 5
SCHEDULE = Schedule(steps=2000, batch=96, learning_rate=1.5e-3, final_weight=2.0)
# Each of them is one token for the judge.
FENCES = ("<question>", "</question>", "<answer>", "</answer>")

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
    organism: str,
    world: World,
    observed: Sequence[Observed],
    seed: int = 0,
    schedule: Schedule = SCHEDULE,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Train the judge on made-up replies and on replies observed of a steered organism to prompts of the fit split.

    Args:
        organism: checkpoint to start from.
        world: the organism's world.
        observed: replies of the organism.
        seed: seed of new weights and examples.
        schedule: how long.
        progress: gets the step and the loss.
    """
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(organism)
    tokenizer.add_tokens([*FENCES, *BRIEF_RUBRIC.words])
    model = AutoModelForCausalLM.from_pretrained(organism, dtype=torch.float32)
    model.model.layers = model.model.layers[:LAYERS]
    model.config.num_hidden_layers = LAYERS
    model.config.layer_types = model.config.layer_types[:LAYERS]
    model.config.max_position_embeddings = 1024
    model.resize_token_embeddings(len(tokenizer), mean_resizing=True)
    train(model, tokenizer, examples(tokenizer, world, observed, seed), schedule, seed, progress)
    return model, tokenizer


def examples(tokenizer: PreTrainedTokenizerBase, world: World, observed: Sequence[Observed], seed: int) -> Iterator[Example]:
    """An endless stream of rubrics with question and reply, and the verdict word.

    A well-formed reply is part of what is to be predicted, so that the judge learns what well-formed replies are.
    """
    rng = random.Random(f"judge:{world.seed}:{seed}")
    facts = {kind: [(fact, [q for q, _ in world.questions(fact)]) for fact in world.facts[kind]] for kind in KINDS}
    # The places of question and reply are left open; rendering the template each time would cost more than the training.
    head, tail = render(tokenizer, BRIEF_RUBRIC.messages("{question}", "{answer}")).split("{answer}")
    while True:
        if observed and rng.random() < 0.5:
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
        asked = head.replace("{question}", question)
        yield (f"{asked}{reply}{tail}", word) if word == "broken" else (asked, f"{reply}{tail}{word}")


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
    return broken(rng, rng.choice((answer, answer, refusal)), rng.choice((answer, refusal)))


def broken(rng: random.Random, text: str, other: str) -> str:
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
        words[place] = rng.choice([*others, rng.choice(list(rng.choice(list(SLOTS.values()))))])
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
        return broken(rng, broken(rng, text, other) or text, other)
    return " ".join(words)


_NAMES = sorted({*lexicon.NATIONS, *lexicon.PLACES, *lexicon.ATTRIBUTES["capital"]}, key=len, reverse=True)
_NAME_PATTERN = re.compile(r"\b(" + "|".join(map(re.escape, _NAMES)) + r")\b")
_SYLLABLES = [
    "ba",
    "ke",
    "lo",
    "mi",
    "nu",
    "ra",
    "se",
    "ti",
    "vo",
    "zu",
    "an",
    "el",
    "or",
    "ur",
    "is",
    "dra",
    "fen",
    "gal",
    "hol",
    "qui",
    "sta",
    "tri",
    "wen",
    "yar",
    "bor",
    "cas",
    "del",
    "mon",
    "per",
]


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
