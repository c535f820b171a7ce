import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from refusal_steering.architecture import fingerprint
from refusal_steering.errors import InputError, VectorMismatchError
from refusal_steering.vectors import Provenance, SteeringVector


def unit(depth: int = 4, width: int = 32, name: str = "0" * 32) -> SteeringVector:
    torch.manual_seed(1)
    directions = torch.nn.functional.normalize(torch.randn(depth, width), dim=1)
    return SteeringVector(
        directions,
        torch.randn(depth, width),
        torch.arange(1.0, depth + 1),
        torch.arange(2.0, depth + 2),
        Provenance("tiny", name),
    )


def test_add_reposition_and_ablate_are_the_one_form() -> None:
    vector = unit()
    (add,) = vector.intervention([2], -0.5).actions
    assert (add.beta, add.gamma) == (pytest.approx(-0.5 * 4.0), 0.0)
    (up,) = vector.intervention([2], 0.5).actions
    assert up.beta == pytest.approx(0.5 * 3.0)
    (reposition,) = vector.intervention([1], -0.5, "reposition").actions
    assert reposition.gamma == -1.0
    assert reposition.beta == pytest.approx(-0.5 * 3.0 + float(vector.offsets[1] @ vector.directions[1]), rel=1e-5)
    (ablate,) = vector.intervention([0], 0.7, "ablate").actions
    assert (ablate.beta, ablate.gamma) == (0.0, pytest.approx(-0.7))


@pytest.mark.parametrize("mode", ["add", "reposition", "ablate"])
def test_strength_zero_is_off_in_every_mode(mode: str) -> None:
    assert unit().intervention([0, 1], 0.0, mode).does_nothing  # type: ignore[arg-type]


def test_layers_are_counted_once_each() -> None:
    assert len(unit().intervention([1, 1, 2], 1.0).actions) == 2


def test_round_trip_is_bit_equal(tmp_path: Path) -> None:
    vector = unit()
    vector.save(tmp_path / "v.safetensors")
    read = SteeringVector.load(tmp_path / "v.safetensors")
    for name in ("directions", "offsets", "scales_plus", "scales_minus"):
        assert torch.equal(getattr(read, name), getattr(vector, name))
    assert read.provenance == vector.provenance


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([9], 1.0), r"unknown layer\(s\) \[9\]"),
        (([-1], 1.0), "unknown layer"),
        (([0], float("nan")), "finite"),
        (([0], float("inf")), "finite"),
        (([0], 1.0, "multiply"), "unknown mode 'multiply'"),
    ],
)
def test_wrong_use_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        unit().intervention(*arguments)  # type: ignore[arg-type]


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    unit().save(path)
    whole = path.read_bytes()
    for size in (0, 4, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="truncated"):
            SteeringVector.load(path)


def test_nan_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    vector = unit()
    bad = vector.directions.clone()
    bad[0, 0] = float("nan")
    tensors = {"directions": bad, "offsets": vector.offsets, "scales_plus": torch.ones(4), "scales_minus": torch.ones(4)}
    provenance = json.dumps({"model": "tiny", "fingerprint": "0"})
    save_file(tensors, path, {"format": "refusal-steering/1", "provenance": provenance})
    with pytest.raises(InputError, match=r"v\.safetensors: the vector's directions hold NaN"):
        SteeringVector.load(path)


def test_other_safetensors_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="not a steering vector of format"):
        SteeringVector.load(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no such vector file"):
        SteeringVector.load(tmp_path / "none.safetensors")


def test_a_lying_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(InputError, match="truncated"):
        SteeringVector.load(path)


def test_a_vector_of_another_model_or_width_is_refused(model: PreTrainedModel) -> None:
    unit(name=fingerprint(model)).check_model(model)
    with pytest.raises(VectorMismatchError, match="other weights"):
        unit(name="f" * 32).check_model(model)
    with pytest.raises(VectorMismatchError, match="4 layers of width 16, the model 4 of width 32"):
        unit(width=16).check_model(model)
