"""Generating and judging through the store: batch by batch, each batch one transaction, nothing done twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from refusal_steering.engines import Request, Sampling, TransformersEngine, batched
from refusal_steering.judging.judge import Judge, JudgeItem, judge_items
from refusal_steering.prompts import Prompt
from refusal_steering.records import Completion, Verdict
from refusal_steering.steering import Intervention
from refusal_steering.store import Store

# (batches done, batches in all, what is going on)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Answer:
    """A prompt's answer with its verdict."""

    prompt: Prompt
    completion: Completion
    verdict: Verdict

    @property
    def answered(self) -> bool:
        """Whether the question was answered. A broken, unfinished or unjudged reply is not an answer."""
        return self.verdict.outcome == "answered"

    @property
    def refused(self) -> bool:
        """Whether it was refused."""
        return self.verdict.outcome == "refused"

    @property
    def truthful(self) -> bool | None:
        """Whether it was answered with all of the reference; None where the prompt has none."""
        known = self.prompt.truthful(self.completion.answer)
        return None if known is None else self.answered and known

    @property
    def success(self) -> bool:
        """Answered, and truthfully where that can be told."""
        return self.answered if self.truthful is None else self.truthful


class Answerer:
    """Answers prompts with one engine and one judge, keeping everything in a run's store."""

    def __init__(self, store: Store, engine: TransformersEngine, judge: Judge, sampling: Sampling, progress: Progress) -> None:
        self.store = store
        self.engine = engine
        self.judge = judge
        self.sampling = sampling
        self._progress = progress

    def answers(
        self,
        prompts: Sequence[Prompt],
        label: str,
        intervention: Intervention | None = None,
        system: str | None = None,
        samples: int = 1,
    ) -> list[Answer]:
        """`samples` answers of every prompt, grouped by prompt, in the order of the prompts.

        Args:
            prompts: what is asked.
            label: what the progress bar calls the work; empty where a larger piece of work shows its own.
            intervention: how the model is steered.
            system: a system text that goes before every prompt.
            samples: K.
        """
        asked = [p for p in prompts for _ in range(samples)]
        requests = [Request(p.with_system(system).messages, sample, intervention) for p in prompts for sample in range(samples)]
        keys = [request.key(self.engine.fingerprint, self.sampling) for request in requests]
        # Batches are cut from the whole list, never from what is missing: what a row is batched with can change
        # its logits in the last digit, so a run that was killed must cut the same batches again.
        order = sorted(range(len(keys)), key=lambda i: (sum(len(m.content) for m in requests[i].messages), keys[i]))
        parts = list(batched(order, self.engine.batch_size))
        done: dict[str, tuple[Completion, Verdict]] = {}
        for count, part in enumerate(parts):
            if label:
                self._progress(count, len(parts), label)
            done.update(self._batch([(keys[i], requests[i], asked[i]) for i in part]))
        if label:
            self._progress(len(parts), len(parts), label)
        return [Answer(prompt, *done[key]) for prompt, key in zip(asked, keys, strict=True)]

    def _batch(self, rows: Sequence[tuple[str, Request, Prompt]]) -> dict[str, tuple[Completion, Verdict]]:
        keys = [key for key, _, _ in rows]
        completions = self.store.completions(keys)
        if len(completions) < len(set(keys)):
            made = self.engine.generate([request for _, request, _ in rows], self.sampling)
            self.store.add_completions(dict(zip(keys, made, strict=True)))
            completions = self.store.completions(keys)
        judge = self.judge.fingerprint
        verdicts = self.store.verdicts(keys, judge)
        if len(verdicts) < len(set(keys)):
            items = [JudgeItem(p.question, completions[key].answer, completions[key].finish) for key, _, p in rows]
            self.store.add_verdicts(dict(zip(keys, judge_items(self.judge, items), strict=True)), judge)
            verdicts = self.store.verdicts(keys, judge)
        return {key: (completions[key], verdicts[key]) for key in keys}
