"""What this package knows of model architectures: decoder layers, what they return, chat templates, thinking.

Structure is found from the module tree and then verified by a probe; nothing is guessed from a model's name.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jinja2.exceptions import TemplateError
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from refusal_steering.errors import EngineError, NotAppliedError
from refusal_steering.prompts import Message

# (layer index, its hidden states [batch, tokens, width]) -> the hidden states to go on with, or None to leave them.
LayerFunction = Callable[[int, Tensor], Tensor | None]

_probed: weakref.WeakSet[PreTrainedModel] = weakref.WeakSet()


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The decoder layers in order: the one module list under the decoder as long as its config says.

    Raises:
        EngineError: none or several lists fit, so that the structure is not known.
    """
    depth = model.config.get_text_config(decoder=True).num_hidden_layers
    decoder = model.get_decoder() or model.base_model
    found = [m for m in decoder.children() if isinstance(m, nn.ModuleList) and len(m) == depth]
    if not found:
        found = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    if len(found) != 1:
        raise EngineError(
            f"{type(model).__name__}: {len(found)} module lists have the {depth} layers its config names; "
            "the decoder layers of this architecture cannot be told"
        )
    return found[0]


def hidden_width(model: PreTrainedModel) -> int:
    """Width of the residual stream."""
    return int(model.config.get_text_config(decoder=True).hidden_size)


def hidden_of(output: Any) -> Tensor:
    """The hidden states in a decoder layer's output, which is a tensor or a tuple that begins with one."""
    hidden = output[0] if isinstance(output, tuple) else output
    if not isinstance(hidden, Tensor) or hidden.dim() != 3:
        raise EngineError("a decoder layer returned no [batch, tokens, width] hidden states; this architecture is not supported")
    return hidden


@contextmanager
def after_layers(model: PreTrainedModel, layers: Sequence[int], function: LayerFunction) -> Iterator[None]:
    """Call `function` with the output of each of the layers whenever it runs; what it returns replaces that output."""
    modules = decoder_layers(model)

    def hook_of(layer: int) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
            hidden = function(layer, hidden_of(output))
            if hidden is None:
                return None
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        return hook

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(modules[layer].register_forward_hook(hook_of(layer)).remove)
        yield


def verify_layers(model: PreTrainedModel) -> None:
    """Probe, once per model, that a change made after each layer is exactly what the next layer reads.

    One forward pass adds a known perturbation after every layer and compares the next layer's input with it;
    for the last layer the output must change.

    Raises:
        NotAppliedError: a change does not arrive, so that steering this model would silently do nothing.
    """
    if model in _probed:
        return
    modules = decoder_layers(model)
    ids = torch.zeros(1, 2, dtype=torch.long, device=model.device)
    expected: dict[int, Tensor] = {}
    arrived: set[int] = set()

    def perturb(layer: int, hidden: Tensor) -> Tensor:
        expected[layer] = hidden + torch.full_like(hidden, 0.125 * (layer + 1))
        return expected[layer]

    def read(layer: int) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            hidden = kwargs.get("hidden_states", args[0] if args else None)
            if isinstance(hidden, Tensor) and layer in expected:
                sent = expected[layer].to(hidden.device)
                if torch.equal(hidden, sent):
                    arrived.add(layer)

        return hook

    last = len(modules) - 1
    with torch.no_grad():
        plain = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        with ExitStack() as stack:
            for index in range(last):
                handle = modules[index + 1].register_forward_pre_hook(read(index), with_kwargs=True)
                stack.callback(handle.remove)
            stack.enter_context(after_layers(model, range(len(modules)), perturb))
            changed = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    if not torch.equal(plain, changed):
        arrived.add(last)
    lost = sorted(set(range(len(modules))) - arrived)
    if lost:
        raise NotAppliedError(
            f"{type(model).__name__}: a change made after decoder layer(s) {lost} does not reach what follows; "
            "this architecture cannot be steered"
        )
    _probed.add(model)


def fingerprint(model: PreTrainedModel) -> str:
    """Hash of a model's weights: names, shapes and a strided sample of values, whatever dtype it was loaded in."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        flat = parameter.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // 64)].to("cpu", torch.float32)
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:32]


def render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """The text of a conversation with the chat template and the generation prompt.

    Where the template takes no system role, system text goes to the head of the user message.

    Raises:
        EngineError: the tokenizer has no chat template, or the template refuses the conversation.
    """
    if not tokenizer.chat_template:
        raise EngineError("the tokenizer has no chat template; raw prompts are not how a chat model is used, so nothing was run")
    plain = [{"role": m.role, "content": m.content} for m in messages]
    try:
        return _apply(tokenizer, plain)
    except TemplateError as error:
        if plain[0]["role"] != "system" or len(plain) < 2:
            raise EngineError(f"the chat template refuses the conversation: {error}") from error
    merged = {"role": plain[1]["role"], "content": f"{plain[0]['content']}\n\n{plain[1]['content']}"}
    try:
        return _apply(tokenizer, [merged, *plain[2:]])
    except TemplateError as error:
        raise EngineError(f"the chat template refuses the conversation: {error}") from error


def _apply(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]]) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


@dataclass(frozen=True)
class Thinking:
    """How a model marks the reasoning before its answer, and whether the generation prompt already opens it."""

    opening: str
    closing: str

    def split(self, prompt: str, reply: str) -> tuple[str | None, str | None]:
        """(thinking, answer) of a reply; the answer is None where the thinking was never closed."""
        opened = reply.lstrip().startswith(self.opening) or prompt.rstrip().endswith(self.opening)
        if self.closing in reply:
            thinking, _, answer = reply.rpartition(self.closing)
            return thinking.strip().removeprefix(self.opening).strip(), answer.strip()
        return (reply.strip().removeprefix(self.opening).strip(), None) if opened else (None, reply.strip())


def thinking_of(tokenizer: PreTrainedTokenizerBase) -> Thinking | None:
    """The thinking delimiters that the tokenizer or its chat template know, or None for a model that does not think."""
    template = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else ""
    for opening, closing in (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]")):
        if closing in template or closing in tokenizer.get_added_vocab():
            return Thinking(opening, closing)
    return None
