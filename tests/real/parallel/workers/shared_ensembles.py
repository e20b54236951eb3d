"""Ensembles that several processes share, and the same in one: `python shared_ensembles.py RANK SIZE STORE MODEL OUT`.

The test imports the functions for its one process and runs this file for the several.
"""

import copy
import pickle
import sys
import warnings
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    LDMSuperResolutionPipeline,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
)
from torch import distributed

from real import (
    choosing_callback,
    open_model,
    particle_generators,
    particle_share,
    repeat_for_particles,
    steer_scheduler,
)
from real.parallel.ranks import Ranks
from real.plugin.batching import split_batches
from real.plugin.early import choose_early
from real.sampling import sample
from real.settings import Settings

N, STEPS, SIZE = 4, 4, 2
OPTIONS: dict[str, Any] = {"num_particles": N, "bandwidth": "median", "cutoff": 0.3}
SETTINGS = Settings(particles=N, steps=STEPS, bandwidth=2.0)
LAYOUTS = [(layout, images) for layout in ("grouped", "tiled") for images in (1, 2)]


def world() -> Any:
    return distributed.group.WORLD if distributed.is_initialized() else None


def particles() -> range:
    return particle_share(N) if distributed.is_initialized() else range(N)


def conditions(images: int) -> torch.Tensor:
    return torch.rand(images, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def rows_of(x: torch.Tensor, layout: str) -> torch.Tensor:
    """A condition for every particle of this process."""
    share = len(particles())
    return x.repeat_interleave(share, 0) if layout == "grouped" else x.repeat(share, *[1] * (x.ndim - 1))


def record(scheduler: Any) -> dict[str, Any]:
    kds = scheduler.kds
    choice = kds.select()
    return {
        "latents": kds.latents,
        "choice": tuple(choice),
        "trace": [tuple(row) for row in kds.trace],
        "info": tuple(kds.info),
    }


def in_pipeline(folder: str, layout: str, images: int) -> dict[str, Any]:
    """diffusers' own pipeline; the network sees one row at a time, so that its rounding is the same everywhere."""
    pipe = LDMSuperResolutionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    split_batches(pipe.unet, 1)
    pipe.scheduler = steer_scheduler(pipe.scheduler, **OPTIONS, layout=layout, hand_on="chosen", process_group=world())
    generators = particle_generators(N, seed=range(images), layout=layout, particles=particles())
    pictures = pipe(
        rows_of(conditions(images), layout), num_inference_steps=STEPS, generator=generators, output_type="pt"
    ).images
    return {**record(pipe.scheduler), "pictures": pictures}


def by_hand(scheduler: Any, layout: str, images: int) -> dict[str, Any]:
    """A loop over `step` with a formula for a model; noise inside the steps comes from `seed`."""
    steered = steer_scheduler(scheduler, **OPTIONS, layout=layout, seed=tuple(range(images)), process_group=world())
    steered.set_timesteps(STEPS)
    generators = particle_generators(N, seed=range(images), layout=layout, particles=particles())
    x = torch.stack([torch.randn(3, 8, 8, generator=g) for g in generators])
    for t in steered.timesteps:
        x = steered.step(torch.tanh(steered.scale_model_input(x, t)), t, x).prev_sample
    return {**record(steered), "selected": tuple(steered.kds.select(x))}


def inpainting() -> StableDiffusionInpaintPipeline:
    """Random networks; nine channels, so that the masked picture is encoded, with the particles' random numbers."""
    torch.manual_seed(1)
    vae = AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=2,
        mid_block_add_attention=False,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=9,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    none = {"text_encoder": None, "tokenizer": None, "safety_checker": None, "feature_extractor": None}
    scheduler = DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    return StableDiffusionInpaintPipeline(
        vae=vae.eval(), unet=unet.eval(), scheduler=scheduler, requires_safety_checker=False, **none
    )


def in_inpainting() -> dict[str, Any]:
    """Every particle encodes the picture; the callback chooses, a call for all processes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = inpainting()
    pipe.set_progress_bar_config(disable=True)
    split_batches(pipe.unet, 1)
    pipe.scheduler = steer_scheduler(pipe.scheduler, **OPTIONS, process_group=world())
    mine = particles()
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1.0
    pictures = pipe(
        prompt_embeds=torch.ones(len(mine), 8, 16),
        image=repeat_for_particles(picture, len(mine)),
        mask_image=repeat_for_particles(mask, len(mine)),
        height=16,
        width=16,
        guidance_scale=1.0,
        num_inference_steps=STEPS,
        generator=particle_generators(N, seed=5, particles=mine),
        callback_on_step_end=choosing_callback(),
        output_type="pt",
    ).images
    return {**record(pipe.scheduler), "pictures": pictures}


def by_samplers(folder: str) -> dict[str, Any]:
    """`real.sampling.sample`; each process but the first has another condition, which must not count."""
    model = open_model(folder, device="cpu", dtype="float32")
    ranks = Ranks() if distributed.is_initialized() else None
    condition = conditions(1) + (0.0 if ranks is None else float(ranks.rank))
    results = {}
    for name, settings, steered in (
        ("ddim", SETTINGS, True),
        ("dpmpp-2s", replace(SETTINGS, sampler="dpmpp-2s"), True),
        ("plain", SETTINGS, False),
        ("early", replace(SETTINGS, early_choice=True), True),
        ("early 2s", replace(SETTINGS, early_choice=True, sampler="dpmpp-2s", steps=6), True),
    ):
        drawn = sample(model, condition, settings, steered=steered, max_batch=1, ranks=ranks)
        results[name] = vars(drawn)
    return results


def everything(folder: str) -> dict[str, Any]:
    with torch.no_grad():
        results: dict[str, Any] = {"samplers": by_samplers(folder), "inpainting 1": in_inpainting()}
        for layout, images in LAYOUTS:
            results[f"pipeline {layout} {images}"] = in_pipeline(folder, layout, images)
            for kind in (DDIMScheduler(clip_sample=False), EulerAncestralDiscreteScheduler()):
                results[f"{type(kind).__name__} {layout} {images}"] = by_hand(kind, layout, images)
    return results


def message(function: Any) -> str:
    try:
        function()
    except (ValueError, TypeError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def stepping(scheduler: Any, rows: int, steps: int, seed: int, scale: float = 1.0) -> None:
    scheduler.set_timesteps(steps)
    x = scale * torch.randn(rows, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    for t in scheduler.timesteps:
        x = scheduler.step(torch.tanh(x), t, x).prev_sample


def mismatches(rank: int, folder: str) -> dict[str, str]:
    """What each process hears where they do not do the same; all of them go on afterwards."""
    plain = DDIMScheduler(clip_sample=False)
    one, other = (rank, 1 - rank)

    def scheduler(**options: Any) -> Any:
        return steer_scheduler(plain, **{**OPTIONS, **options}, process_group=world())

    def calls_out_of_step() -> None:
        steered = scheduler(cutoff=0.0)
        steered.set_timesteps(3)
        x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(rank))
        steered.step(torch.tanh(x), steered.timesteps[0], x)
        if rank == 0:
            steered.kds.select(x)
        else:
            steered.step(torch.tanh(x), steered.timesteps[1], x)

    model, ranks = open_model(folder, device="cpu", dtype="float32"), Ranks()
    cases = {
        "early": lambda: choose_early(torch.nn.Linear(2, 2), scheduler()),
        "strength": lambda: stepping(scheduler(strength=0.1 * one), 2, 3, rank),
        "bandwidth": lambda: stepping(scheduler(bandwidth=torch.full((1,), 1.0 + one)), 2, 3, rank),
        "timesteps": lambda: stepping(scheduler(), 2, 3 + one, rank),
        "sample": lambda: stepping(scheduler(), 2 + 2 * one, 3, rank),
        "share": lambda: stepping(scheduler(), 3, 3, rank),
        "step": calls_out_of_step,
        "num_particles": lambda: scheduler(num_particles=5),
        "settings steps": lambda: sample(model, conditions(1), replace(SETTINGS, steps=2 + one), ranks=ranks),
        "settings seed": lambda: sample(model, conditions(1), replace(SETTINGS, seed=other), ranks=ranks),
        "condition": lambda: sample(model, conditions(1)[..., : 8 - 2 * one], SETTINGS, ranks=ranks),
        "particles": lambda: sample(model, conditions(1), replace(SETTINGS, particles=3), ranks=ranks),
        "part": lambda: sample(model, conditions(1), SETTINGS, steered=False, indices=[0], ranks=ranks),
        "not a number": lambda: stepping(scheduler(), 2, 3, rank, scale=(1.0, float("nan"))[rank]),
        "not a group": lambda: Ranks("world"),
    }
    return {name: message(case) for name, case in cases.items()}


def copies(rank: int) -> dict[str, Any]:
    """Copies and pickles of a scheduler of the default group steer with it; another group cannot be pickled."""
    steered = steer_scheduler(DDIMScheduler(clip_sample=False), **OPTIONS, process_group=world())
    twins = [steered, copy.copy(steered), copy.deepcopy(steered), pickle.loads(pickle.dumps(steered))]
    ends = []
    for twin in twins:
        stepping(twin, 2, 3, rank)
        ends.append(twin.kds.latents)
    other = steer_scheduler(DDIMScheduler(clip_sample=False), **OPTIONS, process_group=distributed.new_group([0, 1]))
    stepping(other, 2, 3, rank)
    same = copy.deepcopy(other).kds.ranks is other.kds.ranks
    lonely = distributed.new_group([0])  # every process has to make it, one is in it
    return {
        "ends": [*ends, other.kds.latents],
        "deep copy keeps the group": same,
        "pickle": message(lambda: pickle.dumps(other)),
        "outside": message(lambda: Ranks(lonely)),
        "from_config is plain": type(DDIMScheduler.from_config(steered.config)) is DDIMScheduler,
        "pickled": pickle.dumps(steered),
    }


def same_noise() -> list[str]:
    """The warnings where two processes draw the same particles."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for seed in (0, particles().start):
            steered = steer_scheduler(DDIMScheduler(clip_sample=False), **OPTIONS, process_group=world())
            stepping(steered, 2, 2, seed)
    return [str(w.message) for w in caught]


def main() -> None:
    rank, size, store, folder, out = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6]
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=size, timeout=timedelta(seconds=60)
    )
    results = everything(folder)
    results |= {"copies": copies(rank), "same noise": same_noise(), "mismatches": mismatches(rank, folder)}
    torch.save(results, Path(out) / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
