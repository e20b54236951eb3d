"""Half precision: how much of the shift the plain step gets. Which schedulers upcast is measured in test_schedulers."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler  # noqa: E402

from real.plugin import steer_scheduler  # noqa: E402
from real.plugin.call import Call  # noqa: E402
from real.plugin.schedulers import SUPPORTED  # noqa: E402


def shares(kind: Any, prediction: str, dtype: Any, t: int, monkeypatch: pytest.MonkeyPatch) -> tuple[float, Any]:
    """(relative error of the shift that the plain step got from the rewritten output, dtype of the result)."""
    options: dict[str, Any] = {"prediction_type": prediction, "beta_schedule": "scaled_linear", "beta_start": 0.00085}
    options |= {"beta_end": 0.012, "steps_offset": 1, "timestep_spacing": "leading"}
    options |= {"clip_sample": False} if kind is DDIMScheduler else {}
    generator = torch.Generator().manual_seed(0)
    scheduler, plain = steer_scheduler(kind(**options), num_particles=10, cutoff=0.0), kind(**options)
    for one in (scheduler, plain):
        one.set_timesteps(50)
    alpha = float(plain.alphas_cumprod[t]) ** 0.5
    sigma = (1 - alpha**2) ** 0.5
    x0 = torch.randn(1, 4, 16, 16, generator=generator) + 0.2 * torch.randn(10, 4, 16, 16, generator=generator)
    eps = torch.randn(10, 4, 16, 16, generator=generator)
    out = (eps if prediction == "epsilon" else alpha * eps - sigma * x0).to(dtype)
    scale = 1 / alpha if kind is EulerDiscreteScheduler else 1.0
    x = (scale * (alpha * x0 + sigma * eps)).to(dtype)
    seen: list[Any] = []

    def spy(self: Any, model_output: Any, *args: Any, **options: Any) -> Any:
        seen.append(model_output)
        return original(self, model_output, *args, **options)

    original = kind.step
    moment = next(one for one in scheduler.timesteps if int(one) == t)
    scheduler.scale_model_input(x, moment)
    monkeypatch.setattr(type(scheduler).kds_base, "step", spy)
    result = scheduler.step(out, moment, x).prev_sample
    if hasattr(plain, "_init_step_index"):
        plain._init_step_index(moment)
    c_out = SUPPORTED[kind.__name__].coefficients(Call(plain, {"timestep": moment}, {})).c_out
    want = (scheduler.kds.x0 - scheduler.kds.x0_pred).double()
    got = c_out * (seen[0].double() - out.double())
    return float((got - want).norm() / want.norm()), result.dtype


@pytest.mark.parametrize("kind", [EulerDiscreteScheduler, DPMSolverMultistepScheduler])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_where_the_scheduler_upcasts_nothing_is_lost(
    kind: Any, dtype: Any, prediction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, result = shares(kind, prediction, dtype, 981, monkeypatch)
    assert error < 1e-4
    assert result == dtype  # and the pipeline gets its own precision back


BOUNDS = {  # the table of docs/how-to/diffusers.md, in percent
    ("epsilon", torch.bfloat16): {981: 61.0, 801: 29.0, 301: 5.0},
    ("epsilon", torch.float16): {981: 9.5, 801: 3.7, 301: 0.6},
    ("v_prediction", torch.bfloat16): {981: 6.0, 801: 6.0, 301: 4.0},
    ("v_prediction", torch.float16): {981: 0.8, 801: 0.8, 301: 0.5},
}


@pytest.mark.parametrize(("prediction", "dtype"), list(BOUNDS))
def test_what_ddim_loses_in_half_precision(prediction: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for t, bound in BOUNDS[prediction, dtype].items():
        with monkeypatch.context() as patch:
            error, result = shares(DDIMScheduler, prediction, dtype, t, patch)
        assert 0.7 * bound < 100 * error < bound
        assert result == dtype
