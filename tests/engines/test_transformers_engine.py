from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from refusal_steering.engines import Conversation, Request, Sampling, TransformersEngine
from refusal_steering.errors import ActivationError, EngineError, InputError
from refusal_steering.prompts import Message
from refusal_steering.steering import Intervention, steered
from tests.steering.test_application import action

QUESTIONS = [
    "What is it?",
    "Tell me about the strike at Mill Road in the old town by the river.",
    "How?",
    "Why is bread baked at home?",
]
SAMPLING = Sampling(max_new_tokens=12)


def messages(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def mixed() -> list[Intervention | None]:
    """Different strengths, layers and forms, and one row without any."""
    return [
        Intervention((action(1, 4.0),)),
        None,
        Intervention((action(0, -3.0), action(2, 1.0, -1.0))),
        Intervention((action(1, -1.5),)),
    ]


def test_cached_generation_equals_full_forward_for_mixed_lengths_and_strengths(engine: TransformersEngine) -> None:
    rows = [engine._ids(f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n") for q in QUESTIONS]
    ids, mask = engine._left_padded(rows)
    interventions = mixed()
    with torch.inference_mode(), steered(engine.model, interventions):
        out = engine.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=12,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            eos_token_id=None,
        )
    cached = torch.stack(out.logits, 1)
    unsteered_gap = 0.0
    for index, row in enumerate(rows):
        whole = torch.tensor([row + out.sequences[index, ids.shape[1] :].tolist()])
        with torch.inference_mode():
            plain = engine.model(input_ids=whole).logits[0, len(row) - 1 : -1]
            with steered(engine.model, interventions[index] or Intervention(())):
                full = engine.model(input_ids=whole).logits[0, len(row) - 1 : -1]
        assert (cached[index] - full).abs().max() <= 1e-4
        unsteered_gap = max(unsteered_gap, float((plain - full).abs().max()))
    # The comparison means something only if steering moved the logits far more than the tolerance.
    assert unsteered_gap > 0.01


def test_right_padding_is_steered_alike(engine: TransformersEngine) -> None:
    short, long = engine._ids("How?"), engine._ids("Why is bread baked at home?")
    ids = torch.tensor([short + [engine._pad] * (len(long) - len(short)), long])
    mask = torch.tensor([[1] * len(short) + [0] * (len(long) - len(short)), [1] * len(long)])
    rows = [Intervention((action(1, 4.0),)), Intervention((action(2, -2.0),))]
    with torch.inference_mode():
        with steered(engine.model, rows):
            together = engine.model(input_ids=ids, attention_mask=mask).logits
        with steered(engine.model, rows[0]):
            alone = engine.model(input_ids=torch.tensor([short])).logits
    assert (together[0, : len(short)] - alone[0]).abs().max() <= 1e-4


def test_a_request_gets_the_same_answer_whatever_it_is_batched_with(engine: TransformersEngine) -> None:
    requests = [Request(messages(q), sample, iv) for q, iv in zip(QUESTIONS, mixed(), strict=True) for sample in range(2)]
    together = engine.generate(requests, SAMPLING)
    alone = [engine.generate([r], SAMPLING)[0] for r in requests]
    assert [c.text for c in together] == [c.text for c in alone]
    assert len({c.text for c in together}) > 4


def test_samples_differ_and_greedy_ones_do_not(engine: TransformersEngine) -> None:
    requests = [Request(messages(QUESTIONS[1]), sample) for sample in range(4)]
    assert len({c.text for c in engine.generate(requests, replace(SAMPLING, temperature=1.5, top_k=0, top_p=1.0))}) > 1
    assert len({c.text for c in engine.generate(requests, replace(SAMPLING, temperature=0.0))}) == 1
    assert engine.generate(requests[:1], SAMPLING) != engine.generate(requests[:1], replace(SAMPLING, seed=1))


def test_sampling_follows_the_distribution_with_top_k_and_top_p() -> None:
    from refusal_steering.engines.transformers_engine import SeededSampler

    scores = torch.log(torch.tensor([0.45, 0.3, 0.15, 0.06, 0.04]))
    sampler = SeededSampler([str(i) for i in range(20_000)], Sampling(temperature=1.0, top_p=0.8, top_k=4, max_new_tokens=1))
    chosen = sampler(torch.zeros(20_000, 1), scores.expand(20_000, 5)).argmax(-1)
    # Of the top four, .45 + .3 of .96 is 0.78, short of 0.8, so the third is in and the fourth is out.
    kept = np.array([0.45, 0.3, 0.15]) / 0.9
    np.testing.assert_allclose(np.bincount(chosen.numpy(), minlength=5)[:3] / 20_000, kept, atol=0.015)
    assert set(chosen.tolist()) == {0, 1, 2}


def test_completion_logprob_is_the_mean_of_the_answer_under_the_steered_model(engine: TransformersEngine) -> None:
    for intervention in mixed()[:2]:
        request = Request(messages(QUESTIONS[1]), 0, intervention)
        (completion,) = engine.generate([request], replace(SAMPLING, temperature=0.0))
        scored = engine.score([Conversation(request.messages, completion.text, intervention)])
        # Equal only if the text tokenises back to the tokens it came from, which greedy text here does.
        if (
            engine._text(engine._ids(completion.text)) == completion.text
            and len(engine._ids(completion.text)) == completion.tokens
        ):
            assert completion.logprob == pytest.approx(float(scored.mean[0]), abs=1e-4)
            return
    pytest.fail("no completion tokenises back to itself")


def test_score_equals_the_log_softmax_of_a_plain_forward(engine: TransformersEngine) -> None:
    pairs = [
        (QUESTIONS[i], reply) for i, reply in enumerate(["I cannot say.", "It is a long road to the river.", "No", "Bread!"])
    ]
    scores = engine.score([Conversation(messages(q), reply) for q, reply in pairs])
    for (question, reply), score in zip(pairs, scores.mean.tolist(), strict=True):
        prompt = engine._ids(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")
        answer = engine._ids(reply)
        with torch.no_grad():
            logits = engine.model(input_ids=torch.tensor([prompt + answer])).logits[0].double()
        logprobs = torch.log_softmax(logits, -1)
        expected = np.mean([float(logprobs[len(prompt) - 1 + i, token]) for i, token in enumerate(answer)])
        assert score == pytest.approx(expected, abs=1e-5)


def test_capture_is_the_last_prompt_token_after_every_layer(engine: TransformersEngine) -> None:
    captured = engine.capture([messages(q) for q in QUESTIONS])
    assert captured.shape == (4, 4, 32)
    for index, question in enumerate(QUESTIONS):
        ids = torch.tensor([engine._ids(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")])
        with torch.no_grad():
            states = engine.model(input_ids=ids, output_hidden_states=True).hidden_states
        # hidden_states[l + 1] is the output of layer l, but for the last one, which is normed.
        for layer in range(3):
            torch.testing.assert_close(captured[index, layer], states[layer + 1][0, -1], atol=1e-5, rtol=1e-5)


def test_nan_activations_name_the_prompt(engine: TransformersEngine) -> None:
    with torch.no_grad():
        engine.model.get_input_embeddings().weight[engine._ids("Why")[0]] = float("nan")
    with pytest.raises(ActivationError, match="Why is bread"):
        engine.capture([messages(q) for q in QUESTIONS])


def test_a_reply_ends_where_the_context_does(engine: TransformersEngine) -> None:
    """And each row by its own prompt's length, not by the longest of its batch."""
    engine.model.config.max_position_embeddings = 64
    requests = [Request(messages(q)) for q in QUESTIONS]
    lengths = [len(engine._encode_prompt(r.messages)) for r in requests]
    engine._stop = []
    done = engine.generate(requests, Sampling(max_new_tokens=100))
    assert [c.tokens for c in done] == [64 - length for length in lengths]
    assert {c.finish for c in done} == {"length"}
    with pytest.raises(EngineError, match="fills the model's context of 64"):
        engine.generate([Request(messages("Why? " * 100))], SAMPLING)


def test_an_empty_reply_has_no_score(engine: TransformersEngine) -> None:
    with pytest.raises(InputError, match="empty reply"):
        engine.score([Conversation(messages("How?"), "")])


def test_system_text_goes_to_the_user_message_where_the_template_takes_none(engine: TransformersEngine) -> None:
    chat = (Message("system", "Be brief."), Message("user", "How?"))
    (with_role,) = [
        engine._ids(
            engine.tokenizer.apply_chat_template(
                [{"role": m.role, "content": m.content} for m in chat], tokenize=False, add_generation_prompt=True
            )
        )
    ]
    assert engine._encode_prompt(chat) == with_role
    engine.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    try:
        assert engine._ids("[user]Be brief.\n\nHow?") == engine._encode_prompt(chat)
        engine.tokenizer.chat_template = None
        with pytest.raises(EngineError, match="no chat template"):
            engine._encode_prompt(chat)
    finally:
        from refusal_steering.organism.trainer import CHAT_TEMPLATE

        engine.tokenizer.chat_template = CHAT_TEMPLATE


def test_thinking_is_kept_apart_from_the_answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    from refusal_steering.architecture import Thinking

    engine = TransformersEngine(model, tokenizer, "tiny")
    engine.thinking = Thinking("<think>", "</think>")
    logprobs = torch.arange(100, dtype=torch.float32)
    reply = engine._ids("<think>It is hard.</think>\nYes.")
    done = engine._completion("prompt", [*reply, engine._stop[0]], logprobs)
    assert (done.thinking, done.answer, done.finish) == ("It is hard.", "Yes.", "stop")
    answer_tokens = len(engine._ids("\nYes."))
    assert done.logprob == pytest.approx(float(logprobs[len(reply) - answer_tokens : len(reply)].mean()))
    open_end = engine._completion("prompt", engine._ids("<think>It is"), logprobs)
    assert (open_end.answer, open_end.finish) == ("", "length")
    prefilled = engine._completion("prompt <think>\n", engine._ids("It is hard."), logprobs)
    assert prefilled.answer == ""


def test_models_that_cannot_be_loaded_are_errors_of_one_line(tmp_path) -> None:
    with pytest.raises(InputError, match="no such model directory"):
        TransformersEngine.load(str(tmp_path / "none"))
    with pytest.raises(EngineError) as error:
        TransformersEngine.load(str(tmp_path))
    assert "\n" not in str(error.value)
