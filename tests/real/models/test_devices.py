"""The precision that "auto" stands for: half only where the device computes in it."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
from real.errors import UserError  # noqa: E402
from real.models.devices import pick_dtype  # noqa: E402


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"bf16": True}, "bfloat16"),  # of Arm
        ({"avx512_bf16": False, "avx512_f": True}, "float32"),  # emulated, it would be slower
        ({}, "float32"),
    ],
)
def test_a_processor_is_asked_what_it_computes_in(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, Any], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert pick_dtype("auto", "cpu") == expected
    assert pick_dtype("auto", "mps") == "float32"


@pytest.mark.parametrize(("new", "expected"), [(True, "bfloat16"), (False, "float16")])
def test_an_older_card_takes_float16(monkeypatch: pytest.MonkeyPatch, new: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: new and not including_emulation)
    assert pick_dtype("auto", "cuda:1") == expected


@pytest.mark.parametrize("supported", [True, False])
def test_torch_before_2_11_is_asked_otherwise(monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported, raising=False)
    assert pick_dtype("auto", "cpu") == ("bfloat16" if supported else "float32")


def test_a_name_is_taken_at_its_word() -> None:
    assert pick_dtype("float16", "cpu") == "float16"
    with pytest.raises(UserError, match="got 'half'"):
        pick_dtype("half", "cpu")
