"""A judge behind an OpenAI-compatible endpoint: it reasons, and the last verdict in its reply counts."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence

import openai

from refusal_steering.errors import JudgeError
from refusal_steering.judging.judge import JudgeItem
from refusal_steering.judging.rubric import RUBRIC, Rubric
from refusal_steering.records import Verdict

KEY_VARIABLE = "REFUSAL_STEERING_JUDGE_KEY"


class EndpointJudge:
    """Asks a chat model over HTTP.

    Args:
        base_url: the endpoint, such as http://localhost:8000/v1. The key is read from REFUSAL_STEERING_JUDGE_KEY.
        model: the model to ask; None takes the first that the endpoint lists.
        concurrency: requests in flight.
        retries: attempts after a failed one, with the client's exponential backoff (`Retry-After` honoured).
        timeout: seconds for one request.

    Raises:
        JudgeError: the endpoint does not answer.
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        rubric: Rubric = RUBRIC,
        concurrency: int = 16,
        retries: int = 6,
        timeout: float = 120.0,
    ) -> None:
        self._url = base_url
        self._rubric = rubric
        self._concurrency = concurrency
        self._settings = {
            "base_url": base_url,
            "api_key": os.environ.get(KEY_VARIABLE) or "none",
            "max_retries": retries,
            "timeout": timeout,
        }
        self._model = model or self._first_model()

    def _first_model(self) -> str:
        try:
            with openai.OpenAI(**self._settings) as client:  # type: ignore[arg-type]
                models = client.models.list().data
        except openai.OpenAIError as error:
            raise JudgeError(f"the judge at {self._url} cannot be reached: {error}") from error
        if not models:
            raise JudgeError(f"the judge at {self._url} lists no models; name one with --judge-model")
        return models[0].id

    @property
    def name(self) -> str:
        return self._model

    @property
    def fingerprint(self) -> str:
        text = f"sampled|{self._model}|{self._rubric!r}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def judge(self, items: Sequence[JudgeItem]) -> list[Verdict]:
        return asyncio.run(self._judge(items))

    async def _judge(self, items: Sequence[JudgeItem]) -> list[Verdict]:
        slots = asyncio.Semaphore(self._concurrency)
        async with openai.AsyncOpenAI(**self._settings) as client:  # type: ignore[arg-type]

            async def ask(item: JudgeItem) -> Verdict:
                async with slots:
                    return await self._ask(client, item)

            return await asyncio.gather(*map(ask, items))

    async def _ask(self, client: openai.AsyncOpenAI, item: JudgeItem) -> Verdict:
        messages = [{"role": m.role, "content": m.content} for m in self._rubric.messages(item.question, item.answer)]
        try:
            reply = await client.chat.completions.create(
                model=self._model,
                messages=messages,  # type: ignore[arg-type]
                temperature=0.6,
                top_p=0.95,
                seed=0,
                max_tokens=2048,
            )
        except openai.BadRequestError as error:
            # Too long, or refused by a content filter: a fact about this one item.
            return Verdict("unjudged", None, None, f"the endpoint rejected the request: {error}")
        except openai.OpenAIError as error:
            raise JudgeError(f"the judge at {self._url} does not answer: {error}; the same command goes on from here") from error
        text = reply.choices[0].message.content if reply.choices else None
        return self._rubric.read(text or "")
