"""Networks, whole runs, early choice and micro-batches on a GPU that only says it is one.

Full-size networks have no values: shapes, dtypes and devices are checked, and what is asked of the device is counted.
Runs have values, and the CPU's results are what they must come to.
"""

import copy
import dataclasses
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from diffusers import DDIMScheduler  # noqa: E402

from real.backbones.control import evaluate  # noqa: E402
from real.backbones.loop import sample as sample_with_scheduler  # noqa: E402
from real.backbones.tiling import blend_windows  # noqa: E402
from real.bench.cost import full_size  # noqa: E402
from real.opening import open_model  # noqa: E402
from real.plugin import steer_scheduler  # noqa: E402
from real.plugin.batching import split_batches  # noqa: E402
from real.plugin.early import choose_early  # noqa: E402
from real.sampling import sample  # noqa: E402
from real.settings import Settings  # noqa: E402

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
BOUND = {"float16": 0.02, "bfloat16": 0.15, "float32": 1e-3}  # of latents, after a few steps
N = 4


@pytest.fixture(scope="module", params=["diffbir", "seesr"])
def backbone(request: pytest.FixtureRequest) -> tuple[str, Any, Any]:
    """(name, UNet, control net) at full size, without values."""
    with torch.device("meta"):
        networks = full_size(request.param)
    return request.param, *networks


def inputs(family: str, rows: int, side: int, dtype: Any, *, width: int = 1024, values: bool = False) -> dict[str, Any]:
    """What a network sees besides the latents, on the CPU or without values."""
    shapes = {"text": (rows, 77, width), "condition": (rows, 4, side, side), "image_tokens": None}
    if family == "seesr":
        shapes |= {"condition": (rows, 3, 8 * side, 8 * side), "image_tokens": (rows, 145, 512)}
    generator = torch.Generator().manual_seed(0)
    made: dict[str, Any] = {}
    for name, shape in shapes.items():
        x = torch.rand(shape or 1, generator=generator) if values else torch.empty(shape or 1, device="meta")
        made[name] = None if shape is None else x.to(dtype)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_full_size_networks(dtype: str, backbone: tuple[str, Any, Any], fake: Any) -> None:
    """One evaluation for ten particles, and in one precision the same in micro-batches: nothing but launches."""
    family, *networks = backbone
    kind = DTYPES[dtype]
    unet, controlnet = (fake.network(torch.nn.Module.to(copy.deepcopy(network), kind)) for network in networks)
    given = {n: None if x is None else fake.upload(x) for n, x in inputs(family, 10, 64, kind).items()}
    x = fake.upload(torch.empty(10, 4, 64, 64, dtype=kind, device="meta"))
    with fake.count() as whole:
        out = evaluate(unet, controlnet, x, 999, **given)
    assert (out.shape, out.dtype, out.device) == (x.shape, kind, x.device)
    assert whole.clean, whole
    if kind != torch.float16:
        return

    for network in (unet, controlnet):
        split_batches(network, 5)
    with fake.count() as split:
        assert evaluate(unet, controlnet, x, 999, **given).shape == x.shape
    assert split.clean, split
    assert whole.launches.total() < split.launches.total() < 2.1 * whole.launches.total()


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        *((dtype, {}) for dtype in DTYPES),
        *(("float32", one) for one in ({"early_choice": True}, {"sampler": "dpmpp-2s"}, {"guidance": 2.0})),
    ],
    ids=str,
)
def test_runs_of_the_bundled_model(dtype: str, options: dict[str, Any], fake: Any) -> None:
    """The CPU's latents, in micro-batches; how often the program waits does not depend on the number of steps."""
    model = open_model(device="cpu", dtype=dtype, max_batch=2)
    condition = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    settings = [Settings(particles=3, steps=steps, bandwidth=2.0, cutoff=0.6, **options) for steps in (3, 4)]
    expected = sample(model, condition, settings[0])
    fake.network(model.unet)
    model = dataclasses.replace(model, device=torch.device("cuda", 0))
    place, asked = fake.upload(condition), []
    for one in settings:
        with fake.count() as counts:
            drawn = sample(model, place, one)
        asked.append(counts)
        if one is settings[0]:
            close(fake.download(drawn.latents), expected.latents, BOUND[dtype])
            assert drawn.chosen == expected.chosen
    assert asked[0].waits == asked[1].waits, asked[1].waits
    assert asked[1].waits.total() <= 3  # the trace, the choice at the cut-off and that at the end
    assert asked[1].uploads.total() == 1  # the noise
    assert not asked[1].float64


@pytest.mark.parametrize(
    ("dtype", "family", "early"),
    [
        ("float16", "diffbir", True),
        ("float16", "seesr", True),
        ("bfloat16", "diffbir", False),
        ("float32", "seesr", True),
    ],
)
def test_runs_of_small_backbones(dtype: str, family: str, early: bool, fake: Any) -> None:
    """The loop of `real.backbones`, steered, also in micro-batches: waits and uploads do not grow with the steps."""
    kind = DTYPES[dtype]
    torch.manual_seed(0)
    unet, controlnet = (network.to(kind) for network in full_size(family, channels=32))
    given = inputs(family, N, 8, kind, values=True)
    noise = torch.randn(N, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    def run(steps: int, device: str, place: Any) -> Any:
        scheduler = steer_scheduler(DDIMScheduler(clip_sample=False), num_particles=N, bandwidth=1.0)
        scheduler.set_timesteps(steps, device=device)
        for network in (unet, controlnet):
            if family == "diffbir":
                split_batches(network, 3)
            if early:
                choose_early(network, scheduler)
        known = {name: None if x is None else place(x) for name, x in given.items()}

        def predict(x: Any, t: int) -> Any:
            return evaluate(unet, controlnet, x.to(kind), t, **known).to(x.dtype)

        latents = sample_with_scheduler(predict, place(noise), scheduler)
        return scheduler.kds.select(latents).latents

    few, many = 2, 4  # the last one, or the last two, after the window
    expected = run(few, "cpu", lambda x: x)
    for network in (unet, controlnet):
        fake.network(network)
    asked = []
    for steps in (few, many):
        with fake.count() as counts:
            chosen = run(steps, "cuda", fake.upload)
        asked.append(counts)
        if steps == few:
            close(fake.download(chosen), expected, BOUND[dtype])
    plain = steps_of_ddim(asked[1].waits - asked[0].waits), steps_of_ddim(asked[1].uploads - asked[0].uploads)
    assert plain == ({}, {}), plain
    assert not asked[1].float64


def steps_of_ddim(counts: Any) -> dict[str, int]:
    """Those that diffusers' scheduler does not cause itself."""
    return {where: count for where, count in counts.items() if "diffusers/schedulers" not in where}


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles(dtype: str, fake: Any) -> None:
    x = torch.randn(2, 4, 20, 12, generator=torch.Generator().manual_seed(0)).to(DTYPES[dtype])
    moved = fake.upload(x)
    with fake.count() as counts:
        blended = blend_windows(lambda tile, place: torch.tanh(tile), moved, tile=8, stride=4)
    assert counts.clean, counts
    assert (blended.device, blended.dtype) == (moved.device, x.dtype)
    close(fake.download(blended), torch.tanh(x), BOUND[dtype])


def close(given: Any, expected: Any, bound: float) -> None:
    """Within a bound that is a part of the largest value."""
    largest = float(expected.float().abs().max())
    assert float((given.float() - expected.float()).abs().max()) <= bound * largest
