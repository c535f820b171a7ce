import pytest
import torch
from transformers import PreTrainedModel

from refusal_steering.architecture import after_layers
from refusal_steering.errors import InputError, NotAppliedError, VectorMismatchError
from refusal_steering.steering import Action, Intervention, steered

IDS = torch.tensor([[5, 9, 12, 40, 7, 33], [50, 61, 8, 3, 90, 21], [11, 12, 13, 14, 15, 16]])


def action(layer: int, beta: float, gamma: float = 0.0, seed: int = 0, width: int = 32) -> Action:
    generator = torch.Generator().manual_seed(seed + layer)
    return Action(layer, torch.nn.functional.normalize(torch.randn(width, generator=generator), dim=0), beta, gamma)


def logits(model: PreTrainedModel, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids).logits


def hooks(model: PreTrainedModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize(("beta", "gamma"), [(3.0, 0.0), (1.5, -1.0), (0.0, -0.4)])
def test_hidden_states_become_what_the_formula_says(model: PreTrainedModel, beta: float, gamma: float) -> None:
    one = action(1, beta, gamma)
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str):
        return lambda layer, hidden: seen.__setitem__(name, hidden.clone())

    with after_layers(model, [1], keep("plain")):
        logits(model)
    with steered(model, Intervention((one,))), after_layers(model, [1], keep("steered")):
        logits(model)
    h = seen["plain"].double()
    v = one.direction.double()
    expected = h + (beta + gamma * (h @ v))[..., None] * v
    torch.testing.assert_close(seen["steered"].double(), expected, rtol=1e-5, atol=1e-5)


def test_strength_zero_is_bit_identical_and_registers_nothing(model: PreTrainedModel) -> None:
    plain = logits(model)
    with steered(model, Intervention((action(1, 0.0),))):
        assert hooks(model) == 0
        assert torch.equal(logits(model), plain)


def test_rows_have_strengths_of_their_own_and_unsteered_rows_stay_bit_identical(model: PreTrainedModel) -> None:
    plain = logits(model)
    rows = [Intervention((action(1, 2.0), action(2, 0.0, -1.0))), None, Intervention((action(1, -4.0, seed=9),))]
    with steered(model, rows):
        mixed = logits(model)
    assert torch.equal(mixed[1], plain[1])
    for index in (0, 2):
        with steered(model, rows[index] or Intervention(())):
            alone = logits(model, IDS[index : index + 1])
        torch.testing.assert_close(mixed[index : index + 1], alone, atol=1e-5, rtol=1e-5)
        assert (mixed[index] - plain[index]).abs().max() > 0.01


def test_nested_contexts_act_one_after_the_other(model: PreTrainedModel) -> None:
    one, two = action(1, 2.0), action(1, 0.0, -1.0, seed=5)
    with steered(model, Intervention((one,))), steered(model, Intervention((two,))):
        nested = logits(model)
    with steered(model, Intervention((one, two))):
        assert torch.equal(logits(model), nested)
    with steered(model, Intervention((two, one))):
        assert not torch.equal(logits(model), nested)


def test_the_same_intervention_can_be_entered_twice(model: PreTrainedModel) -> None:
    once, twice = Intervention((action(2, 1.0),)), Intervention((action(2, 2.0),))
    with once.applied_to(model), once.applied_to(model):
        doubled = logits(model)
    with twice.applied_to(model):
        torch.testing.assert_close(logits(model), doubled, atol=1e-5, rtol=1e-5)


def test_hooks_are_gone_afterwards_even_after_an_error(model: PreTrainedModel) -> None:
    plain = logits(model)
    with pytest.raises(RuntimeError, match="boom"), steered(model, Intervention((action(0, 5.0),))):
        logits(model)
        raise RuntimeError("boom")
    assert hooks(model) == 0
    assert torch.equal(logits(model), plain)


def test_a_context_in_which_the_model_never_ran_is_an_error(model: PreTrainedModel) -> None:
    with pytest.raises(NotAppliedError, match=r"layer\(s\) \[1\]"), steered(model, Intervention((action(1, 1.0),))):
        pass


def test_a_strength_lost_in_rounding_is_an_error(model: PreTrainedModel) -> None:
    with pytest.raises(NotAppliedError, match="changed nothing"), steered(model, Intervention((action(1, 1e-30),))):
        logits(model)


def test_a_model_whose_layers_ignore_changes_is_refused(model: PreTrainedModel) -> None:
    # The second layer reads the embeddings again, so that what the first layer put out is lost.
    kept: list[torch.Tensor] = []
    layers = model.model.layers
    layers[0].register_forward_pre_hook(
        lambda m, args, kwargs: kept.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    layers[1].register_forward_pre_hook(lambda m, args, kwargs: ((kept[-1], *args[1:]), kwargs), with_kwargs=True)
    with (
        pytest.raises(NotAppliedError, match=r"layer\(s\) \[0\] does not reach"),
        steered(model, Intervention((action(2, 1.0),))),
    ):
        logits(model)


@pytest.mark.parametrize(
    ("bad", "message"), [(action(4, 1.0), "layers 0 to 3"), (action(1, 1.0, width=16), "16 wide, the model 32")]
)
def test_what_does_not_fit_the_model_is_refused(model: PreTrainedModel, bad: Action, message: str) -> None:
    with pytest.raises(VectorMismatchError, match=message), steered(model, Intervention((bad,))):
        logits(model)


def test_another_number_of_rows_is_refused(model: PreTrainedModel) -> None:
    with (
        pytest.raises(InputError, match="3 rows ran under interventions for 2"),
        steered(model, [Intervention((action(1, 1.0),)), None]),
    ):
        logits(model)


@pytest.mark.parametrize("direction", [torch.ones(32), torch.full((32,), float("nan"))])
def test_directions_are_finite_unit_vectors(direction: torch.Tensor) -> None:
    with pytest.raises(InputError):
        Intervention((Action(0, direction, 1.0, 0.0),))


def test_digest_is_of_the_content() -> None:
    one, same, other = (Intervention((action(1, b),)) for b in (1.0, 1.0, 1.5))
    assert one.digest == same.digest != other.digest
    assert Intervention((action(1, 0.0),)).digest == "" == Intervention(()).digest
