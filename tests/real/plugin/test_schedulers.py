"""Every continuous scheduler of diffusers, in every configuration that changes how it predicts the clean latent.

The oracle knows the noise level from the scheduler's own forward process and scaling, and the textbook definition of
what the model predicts; it shares no line with `real.plugin.coefficients`.
"""

import copy
import importlib
import importlib.machinery
import importlib.util
import math
import pkgutil
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from kds_ref import steer  # noqa: E402
from real.plugin import steer_scheduler  # noqa: E402
from real.plugin import step as step_module  # noqa: E402
from real.plugin.schedulers import REFUSED, SUPPORTED, family_of  # noqa: E402
from real.plugin.step import steer_step  # noqa: E402


class Brownian:
    """Stands in for the one class of torchsde that two schedulers draw their noise from."""

    def __init__(self, t0: Any, t1: Any, size: Any, **options: Any) -> None:
        self.size = size

    def __call__(self, start: float, end: float) -> Any:
        generator = torch.Generator().manual_seed(int(1e6 * (float(start) + 2 * float(end))) % 2**31)
        return torch.randn(self.size, generator=generator)


def scheduler_classes() -> dict[str, type]:
    """Every class of the installed diffusers that is a scheduler."""
    if importlib.util.find_spec("torchsde") is None:
        fake = types.ModuleType("torchsde")
        fake.__spec__ = importlib.machinery.ModuleSpec("torchsde", loader=None)  # so that it is found the next time
        fake.BrownianInterval = fake.BrownianTree = Brownian
        sys.modules["torchsde"] = fake
    found: dict[str, type] = {}
    for package in ("diffusers.schedulers", "diffusers.schedulers.deprecated"):
        for info in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
            if info.name.rsplit(".", 1)[1].startswith("scheduling_"):
                module = importlib.import_module(info.name)
                found |= {n: v for n, v in vars(module).items() if n.endswith("Scheduler") and isinstance(v, type)}
    return found


CLASSES = scheduler_classes()
N, BATCH, STEPS = 2, 4, 5


class Case(NamedTuple):
    """A scheduler with its options, and how a pipeline would run it."""

    name: str
    options: dict[str, Any]
    step: dict[str, Any]
    steps: int
    shape: tuple[int, ...]

    def __str__(self) -> str:
        words = [self.name.removesuffix("Scheduler"), *(f"{k}={v}" for k, v in (self.options | self.step).items())]
        words += ["x".join(map(str, self.shape))] if self.shape != (3, 2, 2) else []
        return "-".join(words).replace("_prediction", "")

    @property
    def kind(self) -> str:
        return str(self.options.get("prediction_type", "v_prediction" if "Cosine" in self.name else "epsilon"))


def case(name: str, step: Any = None, steps: int = STEPS, shape: tuple[int, ...] = (3, 2, 2), **options: Any) -> Case:
    return Case(name + "Scheduler", options, step or {}, steps, shape)


def kinds(name: str, *values: str, **options: Any) -> list[Case]:
    return [case(name, prediction_type=value, **options) for value in values]


def variants(name: str, *options: dict[str, Any], **common: Any) -> list[Case]:
    return [case(name, **common, **one) for one in options]


E, V, S, F = "epsilon", "v_prediction", "sample", "flow_prediction"
SPACINGS = [{"timestep_spacing": s} for s in ("leading", "linspace", "trailing")]
SIGMAS = [{"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]
FLOW = {"prediction_type": F, "use_flow_sigmas": True, "flow_shift": 3.0}
VIDEO = (3, 2, 2, 2)


def cases() -> Iterator[Case]:
    for name in ("DDIM", "DDIMParallel"):
        yield from kinds(name, E, V, S, clip_sample=False)
        yield from variants(name, {"clip_sample": True}, {"thresholding": True, "sample_max_value": 1.5})
    yield from variants("DDIM", *SPACINGS[1:], {"set_alpha_to_one": False, "steps_offset": 1}, clip_sample=False)
    yield case("DDIM", step={"eta": 0.7}, clip_sample=False)
    yield case("DDIM", step={"use_clipped_model_output": True}, clip_sample=True)
    yield case("DDIM", prediction_type=V, rescale_betas_zero_snr=True, timestep_spacing="trailing", clip_sample=False)
    for name in ("DDPM", "DDPMParallel"):
        yield from kinds(name, E, V, S, clip_sample=False)
        yield case(name, clip_sample=True)
    yield from variants("DDPM", *SPACINGS[1:], {"variance_type": "learned_range"}, clip_sample=False)
    for name in ("CogVideoXDDIM", "CogVideoXDPM"):
        yield from kinds(name, E, V, S, shape=VIDEO)
    yield from kinds("PNDM", E, V, skip_prk_steps=True)
    yield from kinds("PNDM", E, V)
    yield from kinds("LCM", E, V, S)
    yield case("LCM", clip_sample=True)
    yield from kinds("TCD", E, V, S)
    yield case("TCD", step={"eta": 0.0})
    yield from kinds("UnCLIP", E, S, clip_sample=False)
    yield from [case("UnCLIP", variance_type="learned_range"), case("UnCLIP", clip_sample=False, shape=(7,))]
    yield from variants("RePaint", {"clip_sample": False}, {"clip_sample": True, "eta": 0.5})
    yield from [case("DDPMWuerstchen"), case("DDPMWuerstchen", scaler=2.0)]
    for name in ("DPMSolverMultistep", "DPMSolverSinglestep", "DEISMultistep", "UniPCMultistep", "SASolver"):
        yield from kinds(name, E, V, S)
        yield from variants(name, *SIGMAS, FLOW, {"thresholding": True, "prediction_type": E})
    for name in ("DPMSolverMultistep", "DPMSolverSinglestep", "DEISMultistep", "UniPCMultistep"):
        yield from variants(name, {"solver_order": 1}, {"solver_order": 3})
    yield from kinds("DPMSolverMultistep", E, V, S, algorithm_type="dpmsolver", final_sigmas_type="sigma_min")
    yield from kinds("DPMSolverSinglestep", E, algorithm_type="dpmsolver", final_sigmas_type="sigma_min")
    yield from variants("DPMSolverMultistep", {"algorithm_type": "sde-dpmsolver++"}, {"solver_type": "heun"})
    yield from variants("DPMSolverMultistep", {"use_lu_lambdas": True}, {"variance_type": "learned_range"})
    yield from kinds("UniPCMultistep", E, V, S, predict_x0=False, final_sigmas_type="sigma_min")
    yield case("SASolver", algorithm_type="noise_prediction")
    yield from kinds("EulerDiscrete", E, V, S)
    yield from variants("EulerDiscrete", *SIGMAS, *SPACINGS)
    yield case("EulerDiscrete", prediction_type=V, timestep_type="continuous", use_karras_sigmas=True)
    yield from kinds("EulerAncestralDiscrete", E, V)
    yield case("EulerAncestralDiscrete", timestep_spacing="trailing")
    yield from kinds("LMSDiscrete", E, V, S)
    yield from kinds("HeunDiscrete", E, V, S)
    yield from variants("HeunDiscrete", {"clip_sample": True}, *SIGMAS)
    for name in ("KDPM2Discrete", "KDPM2AncestralDiscrete", "DPMSolverSDE"):
        yield from kinds(name, E, V)
        yield case(name, use_karras_sigmas=True)
    for name in ("EDMEuler", "EDMDPMSolverMultistep"):
        yield from kinds(name, E, V)
    yield from variants("EDMDPMSolverMultistep", {"solver_order": 3}, {"algorithm_type": "sde-dpmsolver++"})
    yield from kinds("CosineDPMSolverMultistep", V, E, shape=(3, 5))
    yield from variants("FlowMatchEulerDiscrete", {}, {"shift": 3.0}, {"stochastic_sampling": True})
    yield case("FlowMatchEulerDiscrete", shape=(5, 3), shift=3.0)
    yield from variants("FlowMatchHeunDiscrete", {}, {"shift": 3.0})
    yield from [case("FlowMatchLCM"), case("FlowMapEulerDiscrete"), case("LTXEulerAncestralRF", shape=(5, 3))]
    yield from variants("Helios", {"scheduler_type": "euler"}, {"scheduler_type": "unipc"}, stages=1, shape=VIDEO)
    yield from [case("HeliosDMD", stages=1, shape=VIDEO), case("Piflow", n_grid=3, shape=(5, 3))]
    yield from [case("SCM", steps=2), case("IPNDM"), case("CMStochasticIterative"), case("ConsistencyDecoder", steps=2)]
    yield case("CMStochasticIterative", clip_denoised=False)


CASES = list(cases())
# diffusers hands torch tensors to NumPy's logarithm
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning")


def test_every_scheduler_of_diffusers_is_steered_or_refused_with_a_reason() -> None:
    assert set(CLASSES) - set(SUPPORTED) - set(REFUSED) == set()
    assert set(SUPPORTED) <= set(CLASSES)
    assert {one.name for one in CASES} == set(SUPPORTED)
    assert len(SUPPORTED) == 39
    assert len(CASES) == len({str(one) for one in CASES}) >= 120


# --- a pipeline's loop -------------------------------------------------------------------------------------------


def make(one: Case, **steering: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tests of warnings are elsewhere
        scheduler = CLASSES[one.name](**one.options)
        return steer_scheduler(scheduler, num_particles=N, **steering) if steering else scheduler


def timesteps(scheduler: Any, one: Case) -> Any:
    """Set the timesteps; those at which the model is evaluated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if one.name == "SCMScheduler":
            scheduler.set_timesteps(one.steps)
        else:
            scheduler.set_timesteps(num_inference_steps=one.steps)
    ends = one.name in ("SCMScheduler", "DDPMWuerstchenScheduler")
    return scheduler.timesteps[:-1] if ends else scheduler.timesteps


def start(scheduler: Any, one: Case) -> Any:
    x = torch.randn((BATCH, *one.shape), generator=torch.Generator().manual_seed(1))
    return x * float(getattr(scheduler, "init_noise_sigma", 1.0))


def model(x: Any, t: Any, scheduler: Any) -> Any:
    """Some function of what a model sees, with as many channels as this scheduler expects."""
    scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
    if torch.is_tensor(t) and t.ndim:
        t = t[0]
    out = 0.5 * torch.tanh(1.3 * scaled + float(t) / 1000.0) + 0.3 * scaled
    if getattr(scheduler, "n_grid", None):
        return torch.cat([out * (1 + 0.2 * k) for k in range(scheduler.n_grid)], dim=-1)
    if "learned" in str(scheduler.config.get("variance_type")):
        return torch.cat([out, torch.tanh(scaled)], dim=1)
    return out


def call(scheduler: Any, one: Case, index: int, out: Any, t: Any, x: Any, old: Any) -> tuple[Any, Any]:
    """One call of `step` as a pipeline would make it; (prev_sample, pred_original_sample or None)."""
    options = dict(one.step)
    if one.name == "CogVideoXDPMScheduler":
        back = scheduler.timesteps[index - 1] if index else None
        result = scheduler.step(out, old, t, back, x, **options)
        return result[0], result[1]
    if one.name == "RePaintScheduler":
        options |= {"original_image": torch.zeros_like(x), "mask": torch.zeros_like(x)}
    if one.name == "HeliosDMDScheduler":
        options |= {"cur_sampling_step": index, "all_timesteps": scheduler.timesteps, "dmd_sigmas": scheduler.sigmas}
        options |= {"dmd_timesteps": scheduler.timesteps, "dmd_noisy_tensor": torch.ones_like(x)}
    if one.name == "DDPMWuerstchenScheduler":
        t = t.expand(len(x))
    if one.name == "UnCLIPScheduler" and index + 1 < len(scheduler.timesteps):
        options |= {"prev_timestep": scheduler.timesteps[index + 1]}
    result = scheduler.step(out, t, x, **options)
    return result.prev_sample, getattr(result, "pred_original_sample", None)


def path(scheduler: Any, one: Case) -> list[Any]:
    torch.manual_seed(0)
    grid = timesteps(scheduler, one)
    x, old, states = start(scheduler, one), None, []
    for index, t in enumerate(grid):
        x, old = call(scheduler, one, index, model(x, t, scheduler), t, x, old)
        states.append(x)
    return states


def same_bits(first: Any, second: Any) -> bool:
    return torch.equal(first, second) and torch.equal(torch.signbit(first), torch.signbit(second))


@pytest.mark.parametrize("one", CASES, ids=str)
def test_without_a_shift_every_bit_is_that_of_the_plain_scheduler(one: Case) -> None:
    """Strength 0, and a bandwidth so small that steering is computed and moves nothing."""
    plain = path(make(one), one)
    unmoved = make(one, strength=0.0)
    off = path(unmoved, one)
    nothing = make(one, bandwidth=1e-6, cutoff=0.0)
    assert all(same_bits(a, b) for a, b in zip(plain, off, strict=True))
    assert all(same_bits(a, b) for a, b in zip(plain, path(nothing, one), strict=True))
    assert same_bits(unmoved.kds.x_t, off[-2])
    predicted = unmoved.kds.x0_pred, nothing.kds.x0_pred  # also where nothing is steered
    assert predicted == (None, None) or same_bits(*predicted)
    trace = nothing.kds.trace
    assert any(record.effective_particles == 1.0 for record in trace)
    by_steps = [record.position == pytest.approx(1.0 - i / len(trace)) for i, record in enumerate(trace)]
    assert SUPPORTED[one.name].scale != "steps" or all(by_steps)


# --- the oracle --------------------------------------------------------------------------------------------------


def level(scheduler: Any, one: Case, t: Any) -> tuple[float, float]:
    """Factors of clean latent and noise, from the scheduler's forward process or its scaling of the model's input."""
    ones = torch.ones(1, *one.shape)
    zeros, name = torch.zeros(1, *one.shape), one.name
    scales = hasattr(scheduler, "is_scale_input_called") or any(word in name for word in ("KDPM2", "Heun", "SDE"))
    if scales and "Flow" not in name:  # variance exploding: the model's input is the sample / sqrt(s^2 + data^2)
        scale = float(scheduler.scale_model_input(torch.ones(1, dtype=torch.float64), t))
        data = scheduler.config.get("sigma_data", 1.0)
        return 1.0, math.sqrt(max(scale**-2 - data**2, 0.0))
    if name == "SCMScheduler":
        return math.cos(t), math.sin(t)
    if name == "IPNDMScheduler":
        return math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)
    if name == "ConsistencyDecoderScheduler":
        return float(scheduler.sqrt_alphas_cumprod[t]), float(scheduler.sqrt_one_minus_alphas_cumprod[t])
    if name.startswith(("LTX", "Helios", "FlowMap", "Piflow", "FlowMatchHeun")):
        return 1.0 - float(t) / 1000.0, float(t) / 1000.0
    if name == "SASolverScheduler":  # its add_noise knows no other sigmas than those of training
        sigma = float(scheduler.sigmas[scheduler.step_index or 0])
        flow = scheduler.config.use_flow_sigmas
        return (1.0 - sigma, sigma) if flow else (1.0 / math.hypot(sigma, 1.0), sigma / math.hypot(sigma, 1.0))
    if name == "RePaintScheduler":
        scheduler = diffusers.DDPMScheduler()
    moment = t.reshape(1)
    if hasattr(scheduler, "scale_noise"):
        return tuple(float(scheduler.scale_noise(a, moment, b).flatten()[0]) for a, b in ((ones, zeros), (zeros, ones)))
    return tuple(float(scheduler.add_noise(a, b, moment).flatten()[0]) for a, b in ((ones, zeros), (zeros, ones)))


def clean(scheduler: Any, one: Case, t: Any, alpha: float, sigma: float) -> tuple[float, float]:
    """x0 = a * x + b * output, from what the output is defined to be."""
    name = one.name
    if name == "ConsistencyDecoderScheduler":
        return float(scheduler.c_skip[t]), float(scheduler.c_out[t])
    if name == "CMStochasticIterativeScheduler":
        d, least = 0.5, 0.002
        return d**2 / ((sigma - least) ** 2 + d**2), (sigma - least) * d / math.sqrt(sigma**2 + d**2)
    if name.startswith(("EDM", "Cosine")):
        d = scheduler.config.sigma_data
        out = sigma * d / math.hypot(sigma, d)
        return d**2 / (sigma**2 + d**2), -out if one.kind == V else out
    if name.startswith(("Flow", "LTX", "Helios", "Piflow")) or one.kind == F:
        return 1.0, -sigma
    if name in ("SCMScheduler", "IPNDMScheduler") or one.kind == V:
        total = alpha**2 + sigma**2  # v = (alpha * noise - sigma * x0) / sqrt(total)
        return alpha / total, -sigma / math.sqrt(total)
    return (0.0, 1.0) if one.kind == S else (1.0 / alpha, -sigma / alpha)


def grid_of(scheduler: Any, out: Any, x: Any) -> tuple[Any, Any]:
    """Several predictions in one output, or two halves of which the first predicts: (outputs, samples)."""
    count = getattr(scheduler, "n_grid", None)
    if count:
        return out.unflatten(-1, (count, x.shape[-1])), x.unsqueeze(-2)
    return out[:, : x.shape[1]], x


def shaped(scheduler: Any, one: Case, x0: Any) -> Any:
    """Rows to images x particles x channels x locations, by hand."""
    x = x0.reshape(BATCH // N, N, *x0.shape[1:])
    if getattr(scheduler, "n_grid", None):
        return x.permute(0, 3, 1, 4, 2)  # images, predictions, particles, channels, tokens
    if "CogVideoX" in one.name:
        return x.permute(0, 2, 1, 3, 4, 5).flatten(-2)  # frames come first
    if len(one.shape) == 4:
        return x.permute(0, 3, 1, 2, 4, 5).flatten(-2)
    if len(one.shape) == 2 and "Cosine" not in one.name:
        return x.transpose(-1, -2)  # tokens
    return x.unsqueeze(-1) if len(one.shape) == 1 else x.flatten(3)


def limit(scheduler: Any, one: Case, x0: Any) -> Any:
    config = scheduler.config
    ignored = one.name.startswith(("CogVideoX", "TCD")) or config.get("predict_x0") is False
    if config.get("thresholding") and not ignored:
        return scheduler._threshold_sample(x0)
    clips = (config.get("clip_sample") and not ignored) or config.get("clip_denoised")
    return x0.clamp(-1, 1) if clips else x0


@pytest.mark.parametrize("one", CASES, ids=str)
def test_the_solver_uses_the_steered_x0(one: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every call what is steered is the x0 of the definition, and the step is the plain one that uses the result."""
    seen: list[tuple[Any, Any]] = []

    def spy(x0: Any, **options: Any) -> Any:
        result = steer(x0, **options)
        seen.append((x0, result[0]))
        return result

    monkeypatch.setattr(step_module, "steer", spy)
    scheduler = make(one, bandwidth="median", cutoff=0.0, cutoff_in="step")
    base = type(scheduler).kds_base
    torch.manual_seed(0)
    grid = timesteps(scheduler, one)
    x, old, skipped = start(scheduler, one), None, 0
    for index, t in enumerate(grid):
        out = model(x, t, scheduler)
        plain = base.__new__(base)
        plain.__dict__.update(copy.deepcopy({k: v for k, v in vars(scheduler).items() if k != "kds"}))
        a, b = clean(scheduler, one, t, *level(plain, one, t))
        part, wide = grid_of(scheduler, out, x)
        x0 = a * wide + b * part
        random = torch.get_rng_state()
        calls = len(seen)
        moved, moved_old = call(scheduler, one, index, out, t, x, old)
        if len(seen) == calls:
            skipped += 1
            assert abs(b) < 1e-5 or a < 1e-6
            x, old = moved, moved_old
            continue
        size = float(x0.abs().max())
        # rounding of the sample and of the output, in float32, as they come out in x0
        rounding = 1e-6 * float(abs(a) * x.abs().max() + abs(b) * out.abs().max()) + 3e-6 * size
        used = limit(scheduler, one, x0)
        want = shaped(scheduler, one, used)
        torch.testing.assert_close(scheduler.kds.x0_pred, used, rtol=0, atol=20 * rounding)
        before, after = (v if v.ndim == want.ndim else v.flatten(-2) for v in seen[-1])
        assert float((before - want).abs().max()) < 20 * rounding, f"t = {float(t)}"
        assert float((after - before).abs().max()) > 1e-3 * float(before.std())
        # the same call of the plain scheduler, with the output that by definition means the steered x0
        rows = unshaped(scheduler, one, after, x0.shape)
        changed = torch.where((rows == used) & (used is x0), part, (rows - a * wide) / b)
        full = changed.flatten(-2) if changed.ndim > out.ndim else torch.cat([changed, out[:, x.shape[1] :]], dim=1)
        torch.set_rng_state(random)
        expected, read = call(plain, one, index, full, t, x, old)
        largest = float(expected.abs().max())
        torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-4 * largest + 10 * rounding)
        if moved_old is not None:  # the x0 that the scheduler says it used
            torch.testing.assert_close(moved_old, rows, rtol=1e-5, atol=20 * rounding)
            torch.testing.assert_close(moved_old, read, rtol=1e-5, atol=20 * rounding)
        x, old = moved, moved_old
    assert skipped <= 1
    assert len(seen) + skipped == len(grid)


def unshaped(scheduler: Any, one: Case, y: Any, shape: Any) -> Any:
    """The way back from `shaped`, by hand."""
    if getattr(scheduler, "n_grid", None):
        return y.permute(0, 2, 4, 1, 3).reshape(shape)
    if "CogVideoX" in one.name:
        return y.transpose(1, 2).reshape(shape)
    if len(one.shape) == 4:
        return y.permute(0, 2, 3, 1, 4).reshape(shape)
    if len(one.shape) == 2 and "Cosine" not in one.name:
        return y.transpose(-1, -2).reshape(shape)
    return y.reshape(shape)


FIRST = {one.name: one for one in reversed(CASES)}  # the simplest case of each class


HALF = torch.bfloat16
MOVES = {"view", "expand", "clone", "slice", "select", "permute", "unsqueeze", "_to_copy", "detach", "alias"}


class Arithmetic(TorchDispatchMode):
    """Notes the dtypes of results as large as a sample, on one device; of size 0 also those of copies."""

    def __init__(self, size: int, device: str = "cpu") -> None:
        super().__init__()
        self.size, self.device, self.dtypes = size, device, set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._schema.name.split("::")[1]
        computed = isinstance(out, torch.Tensor) and (name not in MOVES or (name == "_to_copy" and self.size == 0))
        if computed and out.numel() >= self.size and out.is_floating_point() and out.device.type == self.device:
            self.dtypes.add(out.dtype)
        return out


def moved(scheduler: Any, device: str) -> None:
    """Tables of a scheduler on a device that has no values, and what was copied of them before the run."""
    tables = {name: value for name, value in vars(scheduler).items() if isinstance(value, torch.Tensor) and value.ndim}
    for name in tables.keys() - {"s", "_init_alpha_cumprod"}:  # numbers of Wuerstchen's
        table = tables[name]
        setattr(scheduler, name, table.to(device))
        scheduler.kds.host[name] = getattr(scheduler, name), table


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("one", [one for one in FIRST.values() if one.name != "HeliosDMDScheduler"], ids=str)
def test_a_steered_step_waits_for_no_device(one: Case, dtype: Any) -> None:
    """On "meta" every `.item()`, `bool()` and `.cpu()` is an error, and so is mixing it with another device."""
    scheduler = make(one, bandwidth=torch.tensor(1.0, dtype=torch.float64), cutoff=0.0)
    timesteps(scheduler, one)
    if hasattr(scheduler, "set_begin_index"):  # the plain step reads the first timestep to find its place
        scheduler.set_begin_index(0)
    if getattr(scheduler, "_step_index", 0) is None:
        scheduler._step_index = 0
    moved(scheduler, "meta")
    x = torch.empty(BATCH, *one.shape, dtype=dtype, device="meta")
    channels = getattr(scheduler, "n_grid", 1)
    out = torch.empty(BATCH, *one.shape[:-1], one.shape[-1] * channels, dtype=dtype, device="meta")
    for t in scheduler.timesteps[:2]:
        arguments = {"model_output": out, "timestep": t, "sample": x}
        with Arithmetic(0, "meta") as arithmetic:
            steer_step(scheduler, SUPPORTED[one.name], scheduler.kds, arguments)
        wide = dtype if not SUPPORTED[one.name].upcasts else torch.float32
        steered = scheduler.kds.info is not None  # not where the output has no say
        assert arguments["model_output"].dtype == (wide if steered else dtype)
        assert arguments["model_output"].device.type == "meta"
        assert torch.float64 not in arithmetic.dtypes  # which some devices have not
    assert scheduler.kds.calls == 2


MIDDLE = [one for name, one in FIRST.items() if name != "HeliosScheduler"]  # which knows no other start than the first


@pytest.mark.parametrize("one", MIDDLE, ids=lambda one: one.name)
def test_a_run_that_starts_in_the_middle_knows_where_it_is(one: Case) -> None:
    """Image-to-image: the first timesteps are left out, and the positions of the others and the end stay the same."""
    everything, rest, skip = make(one, cutoff_in="step"), make(one, cutoff_in="step"), 2 if one.steps > 2 else 1
    path(everything, one)
    torch.manual_seed(0)
    grid = timesteps(rest, one)
    if hasattr(rest, "set_begin_index"):
        rest.set_begin_index(skip)
    x, old = start(rest, one), None
    for index, t in list(enumerate(grid))[skip:]:
        assert not rest.kds.ended
        x, old = call(rest, one, index, model(x, t, rest), t, x, old)
    assert [r.position for r in rest.kds.trace] == [r.position for r in everything.kds.trace][skip:]
    assert rest.kds.ended
    assert everything.kds.ended


@pytest.mark.parametrize("one", FIRST.values(), ids=lambda one: one.name)
def test_another_default_device_changes_nothing(one: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels are made on the CPU, wherever new tensors lie by default; "meta" has no values at all."""
    steered = {"bandwidth": "median", "cutoff": 0.0}
    expected = path(make(one, **steered), one)

    def elsewhere(*args: Any) -> Any:
        with torch.device("meta"):
            return steer_step(*args)

    monkeypatch.setattr(step_module, "steer_step", elsewhere)
    assert all(same_bits(a, b) for a, b in zip(path(make(one, **steered), one), expected, strict=True))


@pytest.mark.parametrize("one", FIRST.values(), ids=lambda one: one.name)
def test_the_table_says_which_schedulers_compute_in_float32(one: Case) -> None:
    """And give half precision back: the plain step, measured."""
    scheduler = make(one)
    t = timesteps(scheduler, one)[0]
    x = start(scheduler, one).to(HALF)
    out = model(x.float(), t, scheduler).to(HALF)
    with Arithmetic(x.numel()) as arithmetic:
        result, _ = call(scheduler, one, 0, out, t, x, None)
    widens = bool(arithmetic.dtypes - {HALF}) and result.dtype == HALF
    assert SUPPORTED[one.name].upcasts == widens


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_steered_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}: ") as error:
        family_of(CLASSES[name])
    assert REFUSED[name] in str(error.value)
