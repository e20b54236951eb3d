"""Distillation: one step of DDIM goes where several of the teacher go, and a student learns it."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.degradations.simple import Degradation  # noqa: E402
from real.train.autoencoder import train_autoencoder  # noqa: E402
from real.train.distil import distilled_noise  # noqa: E402
from real.train.loop import RunSettings  # noqa: E402
from real.train.normalised import AutoencoderSettings  # noqa: E402
from real.train.tasks import InpaintingTask, SuperResolutionTask  # noqa: E402
from real.train.unet import UNetSettings, ldm_sr_scheduler, train_unet  # noqa: E402

ALPHAS = ldm_sr_scheduler().alphas_cumprod.double()
VARIANCE = 4.0
TIMES = torch.tensor([981, 600, 301, 21, 4])


def alpha_bar(t: torch.Tensor) -> torch.Tensor:
    return ALPHAS[t][:, None, None, None]


def gaussian_noise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Exact noise prediction where the clean latents are normal with that variance."""
    a = alpha_bar(t)
    x0 = a.sqrt() * VARIANCE / (a * VARIANCE + 1 - a) * x_t
    return (x_t - a.sqrt() * x0) / (1 - a).sqrt()


def ddim_step(x_t: torch.Tensor, eps: torch.Tensor, t: torch.Tensor, then: torch.Tensor) -> torch.Tensor:
    """KDS Eq. 4 (v1)."""
    x0 = (x_t - (1 - alpha_bar(t)).sqrt() * eps) / alpha_bar(t).sqrt()
    return alpha_bar(then).sqrt() * x0 + (1 - alpha_bar(then)).sqrt() * eps


@pytest.fixture
def x_t() -> torch.Tensor:
    return torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_one_step_goes_where_the_teachers_steps_go(x_t: torch.Tensor) -> None:
    eps = distilled_noise(gaussian_noise, x_t, TIMES, ALPHAS, stride=20, substeps=4)
    end = (TIMES - 20).clamp(min=0)
    walked, t = x_t, TIMES
    for k in range(1, 5):  # in quarters, rounded to whole timesteps
        then = TIMES - (TIMES - end) * k // 4
        walked, t = ddim_step(walked, gaussian_noise(walked, t), t, then), then
    assert torch.equal(t, end)
    assert torch.allclose(ddim_step(x_t, eps, TIMES, end), walked, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(eps, gaussian_noise(x_t, TIMES), rtol=1e-4)


def test_more_steps_of_the_teacher_are_nearer_to_the_exact_solution(x_t: torch.Tensor) -> None:
    times, errors = TIMES[1:2], []
    end = times - 20
    sigma2 = [(1 - alpha_bar(t)) / alpha_bar(t) for t in (times, end)]
    exact = x_t[1:2] * ((VARIANCE + sigma2[1]) / (VARIANCE + sigma2[0]) * alpha_bar(end) / alpha_bar(times)).sqrt()
    for substeps in (1, 2, 4):
        eps = distilled_noise(gaussian_noise, x_t[1:2], times, ALPHAS, stride=20, substeps=substeps)
        errors.append(float((ddim_step(x_t[1:2], eps, times, end) / exact - 1).abs().max()))
    assert errors[0] == pytest.approx(2 * errors[1], rel=0.1)  # the order of Euler's method is 1
    assert errors[1] == pytest.approx(2 * errors[2], rel=0.1)


def test_a_single_step_and_one_too_short_to_be_parted_are_the_teachers_own(x_t: torch.Tensor) -> None:
    single = distilled_noise(gaussian_noise, x_t, TIMES, ALPHAS, stride=20, substeps=1)
    assert torch.allclose(single, gaussian_noise(x_t, TIMES), rtol=1e-9)
    late = torch.tensor([3, 2, 1, 0, 5])
    noise = distilled_noise(gaussian_noise, x_t, late, ALPHAS, stride=20, substeps=4)
    assert torch.allclose(noise[:4], gaussian_noise(x_t, late)[:4], rtol=1e-12)
    assert not torch.allclose(noise[4], gaussian_noise(x_t, late)[4], rtol=1e-6)


def test_a_student_learns_from_its_teacher(tmp_path: Path) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (4, 10, 12, 3), dtype=np.uint8)
    photos = [np.kron(b, np.ones((8, 8, 1), np.uint8)) for b in blocks]
    autoencoder = AutoencoderSettings(channels=(8, 8, 8), groups=4, codes=16, crop=32, batch=4, mixed=4)
    small = {"channels": (8, 8), "groups": 4, "crop": 8, "batch": 4, "substeps": 2}
    run = RunSettings(steps=20, bf16=False, warmup=5, log_every=5, checkpoint_every=5)
    data, task = {"used": 4}, SuperResolutionTask(Degradation())
    train_autoencoder(photos, tmp_path / "a", autoencoder, Degradation(), run, data, command="a")
    folders = (tmp_path / "a", tmp_path / "u", UNetSettings(**small), task, run, data)
    train_unet(photos, *folders, command="u")
    for name, teacher in (("alone", None), ("taught", tmp_path / "u")):
        places = (tmp_path / "a", tmp_path / name, *folders[2:])
        train_unet(photos, *places, start_from=tmp_path / "u", teacher=teacher, command=name)
    losses, records = {}, {}
    for name in ("alone", "taught"):
        curve = (tmp_path / name / "curve.jsonl").read_text().splitlines()
        losses[name] = json.loads(curve[-1])["loss"]
        records[name] = json.loads((tmp_path / name / "record.json").read_text())
    assert losses["taught"] < 0.2 * losses["alone"]  # what the teacher says has no noise in it
    assert (records["taught"]["settings"]["stride"], records["taught"]["settings"]["substeps"]) == (20, 2)
    assert not {"stride", "substeps"} & records["alone"]["settings"].keys()
    holes = (tmp_path / "a", tmp_path / "holes", UNetSettings(**small), InpaintingTask(), run, data)
    with pytest.raises(ValueError, match="teacher: its network has 6 input channels, this one 7"):
        train_unet(photos, *holes, teacher=tmp_path / "u", command="holes")


@pytest.mark.parametrize(("option", "value"), [("stride", 0), ("substeps", 0)])
def test_steps_that_cannot_be_made_are_refused(option: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{option}: got 0"):
        UNetSettings(**{option: value})
