"""The in-process engine on transformers: CPU, CUDA or MPS, one model, batches in the order they are given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from refusal_steering.architecture import (
    after_layers,
    decoder_layers,
    fingerprint,
    hidden_width,
    render,
    thinking_of,
)
from refusal_steering.engines.base import Conversation, Request, Sampling, Scores, batched
from refusal_steering.errors import ActivationError, EngineError, InputError
from refusal_steering.prompts import Message
from refusal_steering.records import Completion
from refusal_steering.steering import steered


class TransformersEngine:
    """A transformers model as an Engine.

    Args:
        model: a causal language model; its generation defaults are replaced, so that nothing but `Sampling` decides.
        tokenizer: its tokenizer, with a chat template.
        name: what to call it in tables.
        batch_size: rows of a forward pass.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, batch_size: int = 64) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.batch_size = batch_size
        self.thinking = thinking_of(tokenizer)
        stop = model.generation_config.eos_token_id
        stop = tokenizer.eos_token_id if stop is None else stop
        self._stop = [stop] if isinstance(stop, int) else list(stop or [])
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (self._stop or [0])[0]
        # The finder scores the same conversations hundreds of times, and templates are slow to render.
        self._prompt_ids = lru_cache(maxsize=4096)(self._encode_prompt)
        # The model's own defaults (repetition penalty and the like) would change what Sampling asks for.
        model.generation_config = GenerationConfig(eos_token_id=self._stop or None, pad_token_id=self._pad)

    @classmethod
    def load(
        cls, path: str, dtype: str = "auto", device: str = "auto", batch_size: int = 64, trust_remote_code: bool = False
    ) -> TransformersEngine:
        """Load a checkpoint directory or a hub name.

        Raises:
            EngineError: it cannot be loaded; the message is the loader's own.
        """
        if ("/" not in path or path.startswith((".", "/"))) and not Path(path).is_dir():
            raise InputError(f"{path}: no such model directory (a name on the hub has the form owner/name)")
        on_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
        if dtype == "auto" and on_cpu:
            dtype = "float32"  # Half precision on a CPU is several times slower.
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
            model = AutoModelForCausalLM.from_pretrained(
                path,
                dtype=dtype if dtype == "auto" else getattr(torch, dtype),
                device_map=None if on_cpu else device,
                trust_remote_code=trust_remote_code,
            )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise EngineError(f"{path}: the model cannot be loaded: {first}") from error
        return cls(model, tokenizer, name=Path(path).name or path, batch_size=batch_size)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.model)

    @property
    def depth(self) -> int:
        """Number of decoder layers."""
        return len(decoder_layers(self.model))

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return hidden_width(self.model)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        done: list[Completion] = []
        for part in batched(requests, self.batch_size):
            done.extend(self._generate(part, sampling))
        return done

    def _generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        prompts = [render(self.tokenizer, r.messages) for r in requests]
        rows = [self._ids(text) for text in prompts]
        rooms = [self._room(row, request) for row, request in zip(rows, requests, strict=True)]
        ids, mask = self._left_padded(rows)
        seeds = [request.key(self.fingerprint, sampling) for request in requests]
        sampler = SeededSampler(seeds, sampling)
        with torch.inference_mode(), steered(self.model, [r.intervention for r in requests]):
            out = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=GenerationConfig(
                    do_sample=False,
                    max_new_tokens=min(sampling.max_new_tokens, max(rooms)),
                    eos_token_id=self._stop or None,
                    pad_token_id=self._pad,
                ),
                logits_processor=LogitsProcessorList([sampler]),
            )
        replies = out[:, ids.shape[1] :].tolist()
        logprobs = sampler.chosen_logprobs()
        return [
            self._completion(prompt, reply[:room], logprobs[i])
            for i, (prompt, reply, room) in enumerate(zip(prompts, replies, rooms, strict=True))
        ]

    def _completion(self, prompt: str, reply: list[int], logprobs: Tensor) -> Completion:
        end = next((i for i, token in enumerate(reply) if token in self._stop), None)
        kept = reply if end is None else reply[:end]
        text = self._text(kept)
        thinking: str | None = None
        answer: str | None = text.strip()
        first = 0
        if self.thinking is not None:
            thinking, answer = self.thinking.split(prompt, text)
            if answer is not None and thinking is not None:
                first = self._answer_start(kept, self.thinking.closing)
        segment = logprobs[first : len(kept)]
        return Completion(
            text=text,
            thinking=thinking,
            answer=answer or "",
            logprob=float(segment.mean()) if len(segment) else 0.0,
            tokens=len(kept) + (end is not None),
            finish="length" if end is None else "stop",
        )

    def _room(self, row: list[int], request: Request) -> int:
        """How many tokens fit behind a prompt in the model's context."""
        context = getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None) or 1 << 30
        if len(row) >= context:
            raise EngineError(
                f"a prompt of {len(row)} tokens fills the model's context of {context}: {request.messages[-1].content[:60]!r}"
            )
        return int(context) - len(row)

    def _answer_start(self, tokens: list[int], closing: str) -> int:
        """Index of the first token after the last closing delimiter: the shortest head whose text ends with all of it."""
        count = self._text(tokens).count(closing)
        low, high = 0, len(tokens)
        while low < high:
            middle = (low + high) // 2
            if self._text(tokens[:middle]).count(closing) >= count:
                high = middle
            else:
                low = middle + 1
        return low

    def score(self, conversations: Sequence[Conversation]) -> Scores:
        total = torch.empty(len(conversations), dtype=torch.float64)
        encoded = [(self._prompt_ids(tuple(c.messages)), self._ids(c.reply)) for c in conversations]
        for place, (_, reply) in enumerate(encoded):
            if not reply:
                raise InputError(f"conversation {place} has an empty reply, which has no log-probability")
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i][0]) + len(encoded[i][1]))
        for part in batched(order, self.batch_size):
            ids, mask = self._left_padded([encoded[i][0] + encoded[i][1] for i in part])
            # Logits of the longest reply's positions only: the rest of the head's work would be thrown away.
            keep = max(len(encoded[i][1]) for i in part) + 1
            with torch.inference_mode(), steered(self.model, [conversations[i].intervention for i in part]):
                logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=keep).logits
            logprobs = torch.log_softmax(logits[:, :-1].float(), -1)
            taken = logprobs.gather(-1, ids[:, -(keep - 1) :, None]).squeeze(-1)
            for row, index in enumerate(part):
                total[index] = taken[row, -len(encoded[index][1]) :].double().sum()
        return Scores(total, torch.tensor([len(reply) for _, reply in encoded], dtype=torch.float64))

    def capture(self, conversations: Sequence[Sequence[Message]]) -> Tensor:
        out = torch.empty(len(conversations), self.depth, self.width)
        rows = [self._prompt_ids(tuple(messages)) for messages in conversations]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for part in batched(order, self.batch_size):
            ids, mask = self._left_padded([rows[i] for i in part])
            places = torch.tensor(part)

            def keep(layer: int, hidden: Tensor, places: Tensor = places) -> None:
                out[places, layer] = hidden[:, -1].float().cpu()

            with torch.inference_mode(), after_layers(self.model, range(self.depth), keep):
                self.model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
        bad = (~out.isfinite()).any(-1).any(-1).nonzero().flatten().tolist()
        if bad:
            question = conversations[bad[0]][-1].content
            raise ActivationError(
                f"NaN or infinity in the activations of {len(bad)} prompt(s), the first being {question[:80]!r}"
            )
        return out

    def next_token_logprobs(self, texts: Sequence[str], tokens: Sequence[int]) -> Tensor:
        out = torch.empty(len(texts), len(tokens), dtype=torch.float64)
        rows = [self._ids(text) for text in texts]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for part in batched(order, self.batch_size):
            ids, mask = self._left_padded([rows[i] for i in part])
            with torch.inference_mode():
                logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1).logits
            out[torch.tensor(part)] = torch.log_softmax(logits[:, -1].float(), -1)[:, list(tokens)].double().cpu()
        return out

    def _encode_prompt(self, messages: tuple[Message, ...]) -> list[int]:
        return self._ids(render(self.tokenizer, messages))

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def _text(self, tokens: list[int]) -> str:
        """The text of generated tokens. End markers are dropped, thinking delimiters kept even where they are special tokens."""
        closing = self.thinking.closing if self.thinking else None
        special = set(self.tokenizer.all_special_ids)
        if closing is not None:
            special -= set(self._ids(closing)) | set(self._ids(self.thinking.opening if self.thinking else closing))
        return str(self.tokenizer.decode([t for t in tokens if t not in special], skip_special_tokens=False))

    def _left_padded(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        length = max(len(row) for row in rows)
        ids = torch.full((len(rows), length), self._pad)
        mask = torch.zeros(len(rows), length, dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, length - len(row) :] = torch.tensor(row)
            mask[index, length - len(row) :] = 1
        return ids.to(self.model.device), mask.to(self.model.device)


class SeededSampler(LogitsProcessor):
    """Chooses every token itself, with random numbers that belong to the request and not to the batch it runs in.

    It leaves only the chosen token possible, so that greedy decoding takes it, and notes its log-probability
    at temperature 1, before top-k and top-p.
    """

    def __init__(self, seeds: Sequence[str], sampling: Sampling) -> None:
        self._sampling = sampling
        streams = [np.random.Generator(np.random.Philox(key=int(hashlib.sha256(s.encode()).hexdigest()[:32], 16))) for s in seeds]
        draws = np.stack([stream.random(sampling.max_new_tokens) for stream in streams])
        self._draws = torch.from_numpy(draws)
        self._logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        logprobs = torch.log_softmax(scores.float(), -1)
        chosen = self._choose(scores.float())
        self._logprobs.append(logprobs.gather(-1, chosen).squeeze(-1).cpu())
        return torch.full_like(scores, float("-inf")).scatter(-1, chosen, 0.0)

    def chosen_logprobs(self) -> Tensor:
        """Log-probabilities [rows, steps] of the chosen tokens."""
        return torch.stack(self._logprobs, 1)

    def _choose(self, scores: Tensor) -> Tensor:
        if self._sampling.temperature == 0:
            return scores.argmax(-1, keepdim=True)
        size = min(self._sampling.top_k or scores.shape[-1], scores.shape[-1])
        values, indices = (scores / self._sampling.temperature).topk(size, -1)
        probabilities = torch.softmax(values.double(), -1)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities * (before < self._sampling.top_p)
        edges = probabilities.cumsum(-1)
        draw = self._draws[:, len(self._logprobs), None].to(scores.device) * edges[:, -1:]
        rank = (edges <= draw).sum(-1, keepdim=True).clamp(max=size - 1)
        return indices.gather(-1, rank)
