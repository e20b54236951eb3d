r"""
# 8. KDS in your own diffusers pipeline

You have a pipeline built on diffusers. This page puts KDS into it without editing it,
reads what the steering did, and says what changes on a GPU. The networks here are tiny
and random, so that everything runs offline in seconds: the numbers are real, but
pictures would mean nothing. You need the extra `real` (torch and diffusers).

![Effective particles step by step, for two bandwidths and the median rule](images/8_diffusers_1.webp){ .figure }
"""

import warnings

import matplotlib.pyplot as plt
import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    UNet2DModel,
    VQModel,
)

from real import (
    choosing_callback,
    particle_generators,
    repeat_for_particles,
    split_batches,
    steer_scheduler,
    unsplit_batches,
    unsteer_scheduler,
)

torch.set_num_threads(1)  # networks this small gain nothing from more
# diffusers calls numpy.array in a way that newer versions warn of
warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
PURPLE, GREEN = "#6a2c91", "#2fae48"

# %%
# ## Your pipeline
#
# A stand-in for yours, as plain as a pipeline can be: a condition, a loop over the
# scheduler's timesteps, a decoder. It knows nothing of KDS, and it stays as it is
# to the end of this page. Two conventions of diffusers matter. Noise comes from
# `generator`, which may be a list with one generator for each row. And a callback
# at the end of each step may change the latents.


class Restorer(DiffusionPipeline):
    """Super-resolution by a factor of 4 in the latents of a VQ model."""

    def __init__(self, unet, vqvae, scheduler) -> None:
        super().__init__()
        self.register_modules(unet=unet, vqvae=vqvae, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        low,
        *,
        num_inference_steps=20,
        generator=None,
        callback_on_step_end=None,
        decode=True,
    ):
        """low: (rows, 3, H, W) in [-1, 1]; returns (rows, 3, 4H, 4W), or latents."""
        shape, dtype = (1, 3, *low.shape[2:]), self.unet.dtype
        rows = [torch.randn(shape, generator=g, device=g.device) for g in generator]
        latents = (
            torch.cat(rows).to(low.device, dtype) * self.scheduler.init_noise_sigma
        )
        self.scheduler.set_timesteps(num_inference_steps)
        self.num_timesteps = len(self.scheduler.timesteps)
        for step, t in enumerate(self.progress_bar(self.scheduler.timesteps)):
            scaled = self.scheduler.scale_model_input(latents, t)
            output = self.unet(torch.cat([scaled, low], dim=1), t).sample
            latents = self.scheduler.step(output, t, latents).prev_sample
            if callback_on_step_end is not None:
                latents = callback_on_step_end(
                    self, step, t, {"latents": latents}
                ).get("latents", latents)
        return self.vqvae.decode(latents).sample if decode else latents


with torch.random.fork_rng():  # the same weights each time
    torch.manual_seed(0)
    unet = UNet2DModel(
        in_channels=6,
        out_channels=3,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        add_attention=False,
    )
    vqvae = VQModel(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        latent_channels=3,
        num_vq_embeddings=64,
        norm_num_groups=4,
        mid_block_add_attention=False,
    )
    low = torch.rand(1, 3, 16, 16) * 2 - 1
scheduler = DDIMScheduler(
    beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=True
)
pipe = Restorer(unet.eval(), vqvae.eval(), scheduler)
pipe.set_progress_bar_config(disable=True)

# %%
# ## The rows of the batch are the particles
#
# Six particles of one photo are a batch of six: repeat the condition, and give
# each row a generator of its own. Then a particle's noise depends on the seed and
# its number alone.
#
# **Predict:** are three particles the first three of six? Would they be with one
# generator for the whole batch?

N = 6
rows = repeat_for_particles(low, N)
assert rows.shape == (6, 3, 16, 16)
plain = pipe(rows, generator=particle_generators(N, seed=0), decode=False)
three = pipe(
    repeat_for_particles(low, 3),
    generator=particle_generators(3, seed=0),
    decode=False,
)
assert torch.allclose(three, plain[:3], atol=1e-4)

# %%
# They are. With one generator, three rows would get different noise from the first
# three of six in every step that draws noise for the whole batch.
#
# ## One line
#
# Replace the scheduler. That is all: the pipeline calls `scheduler.step` as before, and
# inside it the clean latents that the model predicts are steered (KDS Algorithm 2).
# With strength 0 every bit is as it was, which is the first test to make in a pipeline
# of your own.

pipe.scheduler = steer_scheduler(scheduler, num_particles=N, strength=0.0)
assert torch.equal(
    pipe(rows, generator=particle_generators(N, seed=0), decode=False), plain
)

# the paper: h = 0.3, strength 0.3, cut-off 0.3
pipe.scheduler = steer_scheduler(scheduler, num_particles=N)
paper = pipe(rows, generator=particle_generators(N, seed=0), decode=False)

# %%
# ## Look at what it did
#
# `scheduler.kds.trace` has a record of every step. Steering stopped where Eq. 10
# says. And look at the effective number of particles first: near 1 every particle
# is alone and steering does nothing, at \(N\) all move to their plain mean. The
# bandwidth is absolute, in units of *your* latents, and 0.3 was chosen for others.
#
# **Predict:** this network is random, and its latents end with a spread of more than 10.
# How many particles see each other with \(h = 0.3\)? With the median rule?


def effective(records) -> list[float]:
    """Mean number of particles that share the weight, in every steered step."""
    return [record.effective_particles for record in records if record.strength > 0]


records = pipe.scheduler.kds.trace
assert len(records) == 20
assert all(
    (record.strength == 0.3) == (record.timestep >= 300) for record in records
)

found = {}
for bandwidth in (0.3, 10.0, "median"):
    pipe.scheduler = steer_scheduler(
        scheduler, num_particles=N, bandwidth=bandwidth
    )
    pipe(rows, generator=particle_generators(N, seed=0), decode=False)
    records = pipe.scheduler.kds.trace
    found[bandwidth] = (
        [record.timestep for record in records if record.strength > 0],
        effective(records),
    )

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for (bandwidth, (times, numbers)), style in zip(
    found.items(), ("o-", "s--", "^:"), strict=True
):
    ax.plot(times, numbers, style, label=f"h = {bandwidth}")
    assert all(1.0 <= number <= N for number in numbers)
ax.set(
    title="effective particles of 6, step by step",
    xlabel="timestep",
    ylabel="1 / Σ w²",
    ylim=(0.9, N + 0.1),
)
ax.invert_xaxis()
ax.legend()

# %%
# Here \(h = 0.3\) steers nothing at all: the predictions of this network are far
# apart, each particle is alone, and the result is the plain one. No error says so;
# only this number does. The median rule reads \(h\) off the particles in every
# step and at every pixel, so it works whatever the latents' scale is. It is the
# safe first try in a new pipeline.

print(f"spread of the plain latents: {float(plain.std(0).mean()):.0f}")
assert float(plain.std(0).mean()) > 10.0
assert torch.allclose(paper, plain, rtol=1e-2, atol=1e-2)
assert max(found[0.3][1]) < 1.01
assert min(found["median"][1]) > 2.0

# %%
# ## Choose, then decode one
#
# Only the particle nearest to the mean has to be decoded (KDS Eq. 9). If your
# pipeline has the callback of diffusers, pass `choosing_callback()`: in the last
# step it hands on the chosen latents alone.

pipe.scheduler = steer_scheduler(scheduler, num_particles=N, bandwidth="median")
image = pipe(
    rows,
    generator=particle_generators(N, seed=0),
    callback_on_step_end=choosing_callback(),
)
assert image.shape == (1, 3, 64, 64)
choice = pipe.scheduler.kds.select()
print(f"particle {int(choice.particle[0])} of {N} was decoded")
everything = pipe(rows, generator=particle_generators(N, seed=0))
assert torch.allclose(image[0], everything[choice.rows[0]], atol=1e-4)

# %%
# Without a callback, `steer_scheduler(..., hand_on="chosen")` returns only the
# chosen row from the last step.

pipe.scheduler = steer_scheduler(
    scheduler, num_particles=N, bandwidth="median", hand_on="chosen"
)
assert torch.allclose(
    pipe(rows, generator=particle_generators(N, seed=0)), image, atol=1e-4
)

# %%
# ## Several photos
#
# Rows that belong together stand together: row \(b N + i\) is particle \(i\) of photo
# \(b\). Photos never see each other, so a photo in a batch of two gives the same result
# as alone.

two = torch.cat([low, -low])
batch = pipe(
    repeat_for_particles(two, N), generator=particle_generators(N, seed=[0, 1])
)
assert batch.shape == (2, 3, 64, 64)
assert torch.allclose(batch[:1], image, atol=1e-4)

# %%
# ## Another sampler
#
# Take the sampler that you like, and steer it last: `from_config` makes a plain
# scheduler, and would drop the steering without a word. KDS's change is made to
# the model's output, so the solver's own history, its noise and its correctors
# need no special case. For a multistep solver with few steps a ramp is better than
# a sudden stop. An ancestral sampler draws noise inside `step`; this pipeline
# hands it no generator, so `seed` does.

for kind, further in (
    (DPMSolverMultistepScheduler, {"ramp": 0.2}),
    (EulerAncestralDiscreteScheduler, {"seed": 0}),
):
    other = kind.from_config(scheduler.config)
    pipe.scheduler = steer_scheduler(
        other, num_particles=N, bandwidth="median", **further
    )
    latents = pipe(
        rows,
        num_inference_steps=10,
        generator=particle_generators(N, seed=0),
        decode=False,
    )
    assert isinstance(pipe.scheduler, kind)
    assert latents.isfinite().all()
    strengths = [record.strength for record in pipe.scheduler.kds.trace]
    print(
        kind.__name__, "strengths:", *(f"{strength:.2f}" for strength in strengths)
    )
    assert strengths[0] == 0.3
    assert strengths[-1] == 0.0

# %%
# ## What steering does to the spread
#
# The standard deviation over the particles, at the end, for the plain sampler and
# three cut-offs.
#
# **Predict:** in which order?

spread = {"plain": float(plain.std(0).mean())}
for cutoff in (0.6, 0.3, 0.0):
    pipe.scheduler = steer_scheduler(
        scheduler, num_particles=N, bandwidth="median", cutoff=cutoff
    )
    latents = pipe(rows, generator=particle_generators(N, seed=0), decode=False)
    spread[f"t/T ≥ {cutoff:g}"] = float(latents.std(0).mean())
figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
ax.barh(list(spread), list(spread.values()), color=[PURPLE, GREEN, GREEN, GREEN])
ax.set(
    title="spread of the final latents over 6 particles",
    xlabel="standard deviation",
)
ax.invert_yaxis()
values = list(spread.values())
assert values == sorted(values, reverse=True)

# %%
# As on the toy ([page 4](4_steering.md)): the particles come together, and the more so
# the longer one steers.
#
# ## Memory
#
# The scheduler needs all particles, the network does not. `split_batches` runs the
# network on a few rows at a time and changes nothing else.

split_batches(pipe.unet, 2)
in_parts = pipe(rows, generator=particle_generators(N, seed=0), decode=False)
unsplit_batches(pipe.unet)
# the last run of the block above
assert torch.allclose(in_parts, latents, atol=1e-3)

# %%
# ## Back
#
# `unsteer_scheduler` gives the plain scheduler. Saving needs no care:
# `save_pretrained` writes the original class, and whoever loads the pipeline needs
# nothing of this package.

pipe.scheduler = unsteer_scheduler(pipe.scheduler)
assert type(pipe.scheduler) is DDIMScheduler
assert torch.equal(
    pipe(rows, generator=particle_generators(N, seed=0), decode=False), plain
)

# %%
# ## On a GPU
#
# Little changes. Move the pipeline and its inputs; the steering follows the
# latents' device. Four things to know:
#
# - **Generators stay on the CPU.** Noise drawn there is the same on every machine;
#   the pipelines of diffusers move it.
# - **Half precision.** Load the pipeline with `torch_dtype=torch.float16` or
#   `bfloat16` as usual. The shift is computed in `float32`, and the output goes
#   back to the network's dtype.
# - **Memory.** \(N\) particles are \(N\) rows, and with classifier-free guidance
#   twice as many. Start with `split_batches(pipe.unet, 4)`.
# - **Several GPUs** share the particles of one photo: [a page of its
#   own](../../how-to/several-gpus.md).
#
# The block below runs where you are, on a GPU if there is one.

device = "cuda" if torch.cuda.is_available() else "cpu"
pipe.to(device)
pipe.scheduler = steer_scheduler(
    scheduler, num_particles=N, bandwidth="median", hand_on="chosen"
)
result = pipe(rows.to(device), generator=particle_generators(N, seed=0))
assert result.shape == image.shape
assert result.device.type == device
if device == "cpu":
    assert torch.allclose(result, image, atol=1e-4)

half = steer_scheduler(scheduler, num_particles=N, bandwidth="median")
half.set_timesteps(20)
latents = plain.to(torch.bfloat16)
assert (
    half.step(latents, half.timesteps[0], latents).prev_sample.dtype
    == torch.bfloat16
)

# %%
# Read on: [Steer a diffusers pipeline](../../how-to/diffusers.md) has every
# option, [the list of schedulers](../../reference/schedulers.md) says which are
# supported, and [Other models, and inpainting](../../how-to/models.md) has two of
# diffusers' own pipelines in one call.
#
# ## Exercises
#
# Guess first, then run. Each solution continues the page's own code.
#
# **1.** Give `steer_scheduler` an \(N\) that does not divide the batch. What happens, and
# when?
#
# ??? success "Solution"
#     An error in the first step, before anything is steered: the scheduler sees the
#     batch only then.
#
#     ```python
#     pipe.scheduler = steer_scheduler(scheduler, num_particles=4)
#     try:
#         pipe(rows, generator=particle_generators(N, seed=0), decode=False)
#     except ValueError as error:
#         print(error)
#     else:
#         raise AssertionError("six rows are no ensembles of four")
#     ```
#
# **2.** Which strengths does a ramp of 0.2 around the cut-off give with 20 steps of DDIM?
# Predict those at \(t = 450\), 300 and 150.
#
# ??? success "Solution"
#     It falls linearly from 0.4 to 0.2: full, half, and nothing.
#
#     ```python
#     pipe.scheduler = steer_scheduler(scheduler, num_particles=N, bandwidth="median", ramp=0.2)
#     pipe(rows.to(device), generator=particle_generators(N, seed=0), decode=False)
#     strength = {record.timestep: record.strength for record in pipe.scheduler.kds.trace}
#     assert abs(strength[450] - 0.3) < 1e-6
#     assert abs(strength[300] - 0.15) < 1e-6
#     assert strength[150] == 0.0
#     ```
#
# **3.** Draw all noise from one generator instead of one for each row. Which of the tests
# of this page fails?
#
# ??? success "Solution"
#     The first three of six are still the same here, since the noise is drawn row by
#     row and only at the start. But photo 2 of a batch no longer gives the same result
#     as alone.
#
#     ```python
#     def shared(count: int) -> list[torch.Generator]:
#         return [torch.Generator().manual_seed(0)] * count
#
#     first = torch.cat([torch.randn(1, 3, generator=g) for g in shared(3)])
#     six = torch.cat([torch.randn(1, 3, generator=g) for g in shared(6)])
#     assert torch.equal(six[:3], first)
#     assert not torch.equal(six[3:], first)  # rows 3 to 5, photo 2, started elsewhere
#     ```

plt.show()
