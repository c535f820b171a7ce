"""Training of a small language model on (prompt, reply) pairs: the loop that the organism and its judge share."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from refusal_steering.architecture import decoder_layers

logger = logging.getLogger(__name__)

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# (prompt with the chat template applied, reply)
Example = tuple[str, str]


@dataclass(frozen=True)
class Shape:
    """The size of a Qwen3 model made for training here."""

    layers: int
    width: int
    inner: int
    heads: int
    key_value_heads: int
    context: int


@dataclass(frozen=True)
class Schedule:
    """How long and how a model is trained.

    Attributes:
        steps: optimiser steps.
        batch: sequences in a step.
        learning_rate: the peak, reached after `warmup` steps and let down to 2 % along a cosine.
        noise: largest norm of the residual noise, as a share of the residual's own norm; 0 turns it off.
        final_weight: weight of each reply's last word against the mean of the others; for a reply that ends in a verdict.
        noise_start: share of the steps before the noise sets in; it has grown to `noise` at 0.7 of the steps.
            Noise from the first step on makes the residual norms explode.
    """

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 60
    weight_decay: float = 0.05
    noise: float = 0.0
    final_weight: float = 0.0
    noise_start: float = 0.35


def make_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with a chat template, trained on texts."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<|pad|>", eos_token="<|im_end|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_model(tokenizer: PreTrainedTokenizerFast, shape: Shape, seed: int) -> PreTrainedModel:
    """A randomly initialised Qwen3 of the given shape with tied embeddings."""
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=shape.width,
            intermediate_size=shape.inner,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.key_value_heads,
            head_dim=shape.width // shape.heads,
            max_position_embeddings=shape.context,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Iterator[Example],
    schedule: Schedule,
    seed: int,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Train in place on the replies only. `progress` is called with the step and the running loss."""
    torch.manual_seed(seed)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=schedule.weight_decay, fused=True
    )
    noise = ResidualNoise(seed)
    model.train()
    running, began, tokens = 0.0, time.monotonic(), 0
    with noise.attached(model):
        for step, batch in zip(range(schedule.steps), _batches(tokenizer, examples, schedule.batch), strict=False):
            for group in optimiser.param_groups:
                group["lr"] = schedule.learning_rate * _rate(step, schedule)
            noise.draw(_noise_now(step, schedule), len(batch[0]))
            loss = _loss(model, *batch, schedule.final_weight)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            tokens += int(batch[1].sum())
            running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
            if step % 50 == 0:
                logger.info("step %d loss %.4f, %.0f tokens/s", step, running, tokens / (time.monotonic() - began))
            if progress is not None:
                progress(step + 1, running)
    model.eval()


def _rate(step: int, schedule: Schedule) -> float:
    warm = min(1.0, (step + 1) / schedule.warmup)
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / schedule.steps)))


def _noise_now(step: int, schedule: Schedule) -> float:
    done = step / schedule.steps
    return schedule.noise * min(1.0, max(0.0, (done - schedule.noise_start) / (0.7 - schedule.noise_start)))


def _batches(
    tokenizer: PreTrainedTokenizerBase, examples: Iterator[Example], size: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(ids, attention mask, reply mask), cut from pools sorted by length so that little is padding."""
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token
    rng = random.Random(0)
    while True:
        pool = [example for example, _ in zip(examples, range(size * 8), strict=False)]
        if len(pool) < size:
            return
        prompts = tokenizer([p for p, _ in pool], add_special_tokens=False).input_ids
        replies = tokenizer([r + end for _, r in pool], add_special_tokens=False).input_ids
        rows = sorted(zip(prompts, replies, strict=True), key=lambda row: len(row[0]) + len(row[1]))
        starts = list(range(0, len(rows) - size + 1, size))
        rng.shuffle(starts)
        for start in starts:
            part = rows[start : start + size]
            length = max(len(p) + len(r) for p, r in part)
            ids = torch.full((size, length), pad)
            mask = torch.zeros(size, length, dtype=torch.long)
            reply = torch.zeros(size, length, dtype=torch.bool)
            for i, (p, r) in enumerate(part):
                ids[i, : len(p) + len(r)] = torch.tensor(p + r)
                mask[i, : len(p) + len(r)] = 1
                reply[i, len(p) : len(p) + len(r)] = True
            yield ids, mask, reply


def _loss(model: PreTrainedModel, ids: Tensor, mask: Tensor, reply: Tensor, final_weight: float) -> Tensor:
    hidden = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    # Only the positions that predict a reply token go through the output head.
    logits = model.get_output_embeddings()(hidden[:, :-1][reply[:, 1:]])
    each = nn.functional.cross_entropy(logits.float(), ids[:, 1:][reply[:, 1:]], reduction="none")
    if not final_weight:
        return each.mean()
    # A reply's last token ends it; the one before is its last word.
    ends = reply[:, 1:].sum(1).cumsum(0) - 2
    return each.mean() + final_weight * each[ends].mean()


class ResidualNoise:
    """Random offsets of the residual stream in training, constant over the tokens of a sequence.

    They make the model carry on sensibly when its residual stream is pushed, which large models do by
    themselves and small ones have to learn. The directions are isotropic: nothing here knows of refusal.
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._layers: dict[int, Tensor] = {}
        self._count = 0

    def draw(self, largest: float, rows: int) -> None:
        """Choose the layers and the strengths for the next step."""
        chosen = self._rng.sample(range(self._count), min(self._count, self._rng.choice([0, 1, 2, 3]))) if largest > 0 else []
        hit = torch.rand(len(chosen), rows) < 0.6
        strengths = torch.rand(len(chosen), rows) * largest * hit
        self._layers = dict(zip(chosen, strengths, strict=True))

    @contextmanager
    def attached(self, model: PreTrainedModel) -> Iterator[None]:
        """Noise acts on the model while the context is open."""
        layers = decoder_layers(model)
        self._count = len(layers)
        with ExitStack() as stack:
            for index, layer in enumerate(layers):
                stack.callback(layer.register_forward_hook(self._hook(index)).remove)
            yield

    def _hook(self, index: int) -> Callable[[nn.Module, object, Tensor], Tensor]:
        def add(module: nn.Module, inputs: object, hidden: Tensor) -> Tensor:
            if index not in self._layers:
                return hidden
            direction = nn.functional.normalize(torch.randn(hidden.shape[0], 1, hidden.shape[-1]), dim=-1)
            size = hidden.detach().norm(dim=-1, keepdim=True).mean(1, keepdim=True)
            noise: Tensor = direction * size * self._layers[index][:, None, None]
            return hidden + noise

        return add
