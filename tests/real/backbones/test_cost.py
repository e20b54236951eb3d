"""The measurement of time and memory: full-size shapes, a run with small networks, and what it writes."""

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from real.backbones.__main__ import main  # noqa: E402
from real.backbones.diffbir_keys import controlnet_weights, unet_weights  # noqa: E402
from real.backbones.seesr_keys import network_weights  # noqa: E402
from real.bench.cost import full_size  # noqa: E402

SMALL = ["--device", "cpu", "--channels", "32", "--side", "64", "--steps", "2", "--particles", "1", "2"]


@pytest.mark.parametrize("family", ["diffbir", "seesr"])
def test_full_size_is_the_size_of_the_authors_weights(family: str, shapes: Any) -> None:
    with torch.device("meta"):
        unet, controlnet = full_size(family)
    for kind, network in (("unet", unet), ("controlnet", controlnet)):
        names = shapes[f"{family}_full_{'v2_' if family == 'diffbir' else ''}{kind}"]
        official = {name: torch.empty(shape, device="meta") for name, shape in names.items()}
        rename = (
            network_weights if family == "seesr" else {"unet": unet_weights, "controlnet": controlnet_weights}[kind]
        )
        expected = {name: tuple(value.shape) for name, value in rename(official).items()}
        assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == expected


@pytest.mark.parametrize(("family", "dtype"), [("diffbir", "float32"), ("seesr", "float16")])
def test_it_measures_plain_and_steered(family: str, dtype: str, tmp_path: Path, capsys: Any) -> None:
    assert main(["--model", family, "--dtype", dtype, *SMALL, "--output", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "cost.json").read_text())
    assert [(row["particles"], row["kind"]) for row in record["rows"]] == [
        (1, "plain"),
        (1, "kds"),
        (2, "plain"),
        (2, "kds"),
    ]
    for row in record["rows"]:
        decoded = "decode_one" if row["kind"] == "kds" else "decode_all"
        assert set(row["seconds"]) == {"sample", decoded}
        assert row["total_seconds"] == pytest.approx(row["seconds"]["sample"] + row["seconds"][decoded])
        assert 0 < row["seconds"][decoded] < row["total_seconds"]
        if row["peak_gb"] is not None:
            assert row["peak_gb"] == max(row["memory_gb"].values()) > 0
    assert (
        record["command"]
        == f"python -m real.backbones --model {family} --dtype {dtype} {' '.join(SMALL)} --output {tmp_path}"
    )
    assert (record["weights"], record["dtype"], record["latents"]) == ("random", dtype, [8, 8])
    assert record["settings"]["guidance"] == {"diffbir": 4.0, "seesr": 5.5}[family]
    assert record["paper"][0]["values"]["seconds"] > 0
    assert "N =   2  kds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--side", "100"], "--side must be a multiple of 64 pixels, got 100"),
        (["--channels", "20"], "--channels must be a multiple of 32, got 20"),
        (["--device", "x"], "--device"),
    ],
)
def test_mistakes_are_one_line(options: list[str], named: str, tmp_path: Path, capsys: Any) -> None:
    assert main([*options, "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert len(error.strip().splitlines()) == 1
