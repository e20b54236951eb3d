r"""
# 6. A real latent diffusion model on a laptop

The same steps as on [page 4](4_steering.md), now with networks that were trained on
photos: an autoencoder whose latents have a quarter of the photo's width and height, and
a denoiser that is shown a small photo and noise. Both come with the package and run
without a network. You see ten particles of one photo, where they disagree, what
steering does about it, and how one of them is chosen.

![A small photo, its enlargement by interpolation, three restorations and the
truth](images/6_super_resolution_1.webp){ .figure }
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio

import kds_ref
from real import open_model
from real.degradations.simple import Degradation
from real.images.photos import sample_photo
from real.images.seeds import photo_seed
from real.models.codec import decode, encode, padded_condition
from real.restorers.compare import bicubic
from real.sampling import initial_noise

N, T = 10, 1000
PURPLE, GREEN = "#6a2c91", "#2fae48"
model = open_model(dtype="float32")


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """In dB, over the three channels of RGB."""
    return float(peak_signal_noise_ratio(truth, image))


# %%
# ## The photo and its latents
#
# A corner of a photo that scikit-image carries. The autoencoder turns each block of 4×4
# pixels into three numbers. Its reconstruction of the truth is something to compare
# with, not a bound: other latents may decode to a picture that is closer.

truth = np.ascontiguousarray(sample_photo()[:128, 64:192])
latents = encode(model, torch.from_numpy(truth).permute(2, 0, 1)[None] / 127.5 - 1)
ceiling = decode(model, latents[0], height=128, width=128)
print(f"photo {truth.shape} -> latents {tuple(latents.shape)}")
print(f"standard deviation of the latents: {latents.std():.1f}")
print(f"the autoencoder alone: {psnr(ceiling, truth):.1f} dB")
assert latents.shape == (1, 3, 32, 32)
assert psnr(ceiling, truth) > 25.0

# %%
# Over many photos these latents have a standard deviation of 1 in every channel, as
# those of LDM-SR have. That matters to KDS twice: \(h\) is a distance between
# latents, and [the cut-off is a noise-to-signal ratio](../../explanation/latent-scale.md).
# At this scale the paper's settings mean what they mean in the paper, so they are the
# defaults here.

assert model.bandwidth == 0.3
assert 0.4 < latents.std() < 2.0

# %%
# ## Ten particles
#
# The photo is blurred, reduced by four, made noisy and saved as a JPEG. The small
# photo is the condition: the denoiser sees it beside each noisy latent. It is the
# only thing here that is not on [page 3](3_diffusion.md).

low = Degradation()(truth, np.random.default_rng(0))
condition = padded_condition(low, model).expand(N, -1, -1, -1)


@torch.no_grad()
def denoise(x_t: torch.Tensor, t: int) -> torch.Tensor:
    """The noise in x_t, (N, 3, 32, 32)."""
    return model.unet(torch.cat([x_t, condition], dim=1), t).sample


def restore(**options) -> torch.Tensor:
    """50 steps of DDIM from the same noise; the final latents, (N, 3, 32, 32)."""
    return kds_ref.ddim(
        denoise,
        initial_noise(N, 32, 32, seed=photo_seed(0, low)),
        schedule=model.schedule,
        timesteps=kds_ref.time_grid(50, T, spacing="trailing"),
        prediction_type=model.prediction_type,
        **options,
    ).x0


states: dict[int, kds_ref.SamplerState] = {}
plain = restore(callback=lambda state: states.update({state.t: state}))
plain_images = decode(model, plain, height=128, width=128)

panels = {
    "32×32, enlarged": low,
    "bicubic": bicubic(low),
    **{f"particle {i}": plain_images[i] for i in range(3)},
    "truth": truth,
}
figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
for ax, (title, image) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(image)
    ax.set(title=title, xticks=[], yticks=[])
figure.suptitle("one small photo, three restorations that differ in their noise")

# %%
# Each particle is sharper than bicubic interpolation and, by mean PSNR, further from
# the truth: it has invented detail, and invented detail is in the wrong place.

scores = np.array([psnr(image, truth) for image in plain_images])
print(f"bicubic {psnr(bicubic(low), truth):.1f} dB")
print(
    f"particles {scores.min():.1f} to {scores.max():.1f} dB, mean {scores.mean():.1f}"
)


def sharpness(image: np.ndarray) -> float:
    """Mean difference between neighbouring pixels, in grey levels."""
    return float(np.abs(np.diff(image.astype(float), axis=0)).mean())


assert scores.mean() < psnr(bicubic(low), truth)
assert min(map(sharpness, plain_images)) > sharpness(bicubic(low))

# %%
# ## Where they disagree
#
# Take the clean latents that the ten predict on the way. Their spread, location by
# location, is a map of what the small photo does not say.
#
# **Predict:** where will it be bright: in the smooth places, at the edges, in the
# texture? Does it get brighter or darker on the way from noise to photo?

times = [999, 659, 319]
figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
axes[0].imshow(truth)
axes[0].set(title="truth", xticks=[], yticks=[])
spread = {t: states[t].x0_pred.std(dim=0).norm(dim=0).numpy() for t in times}
for ax, (t, values) in zip(axes[1:], spread.items(), strict=True):
    drawn = ax.imshow(values, cmap="magma", vmin=0, vmax=float(spread[319].max()))
    ax.set(title=f"spread at t/T = {t / T:.2f}", xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes, shrink=0.8, label="in units of the latent")

print({t: round(float(values.mean()), 2) for t, values in spread.items()})
assert spread[659].mean() < spread[319].mean()
assert round(float(model.schedule.noise_to_signal(999))) == 39

# %%
# At edges and in texture; smooth places are settled early. From the middle on it gets
# brighter: the particles commit themselves to different details.
#
# The first map shows something else. At \(t/T = 1\) the noise is 39 times as large as
# the picture, and a small error in the predicted noise becomes an error 39 times as
# large in the clean latents. That is the network's uncertainty about noise, not about
# the photo.

# %%
# ## What a bandwidth sees
#
# The effective number of particles says with how many others a particle shares its
# weight at one place: 1, and steering does nothing there; 10, and it is pulled to
# the plain mean.
#
# **Predict:** at the paper's \(h = 0.3\), which of these two extremes is nearer? Does
# the number rise or fall as \(t\) falls?

bandwidths = np.geomspace(0.03, 3.0, 13)
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for t, colour in zip(times[1:], (PURPLE, GREEN), strict=True):
    effective = [
        float(
            kds_ref.steer(states[t].x0_pred, bandwidth=h)[
                1
            ].effective_particles.mean()
        )
        for h in bandwidths
    ]
    ax.semilogx(
        bandwidths, effective, "o-", color=colour, label=f"t/T = {t / T:.2f}"
    )
    assert effective[0] < 3.0  # a tenth of the paper's h: nearly alone
    assert effective[-1] > 9.5  # ten times the paper's: the plain mean
ax.axvline(0.3, color="grey", linestyle="--", label="the paper's h")
ax.set(
    title="how many particles see each other",
    xlabel="bandwidth h, in units of the latent",
    ylabel="effective particles",
)
ax.legend()
seen = {
    t: kds_ref.steer(states[t].x0_pred)[1].effective_particles.mean()
    for t in times
}
print({t: round(float(value), 1) for t, value in seen.items()})
assert 4.0 < seen[319] < seen[659] < 10.0

# %%
# Early, the particles predict nearly the same photo, and all see each other: there
# steering pulls towards the plain mean of points that hardly differ. Near the cut-off
# they have begun to differ, and the kernel begins to tell near from far.
#
# ## Steering
#
# One more argument, with the paper's settings as its defaults. The noise is the same.
#
# **Predict:** by how much will the spread at the end shrink if steering stops at
# \(t/T = 0.3\)? And if it goes on to the end?

steered_states: dict[int, kds_ref.SamplerState] = {}
steered = restore(
    steering=kds_ref.KernelDensitySteering(),
    callback=lambda state: steered_states.update({state.t: state}),
)
steered_images = decode(model, steered, height=128, width=128)
to_the_end = restore(steering=kds_ref.KernelDensitySteering(cutoff=0.0))
window = [t for t, state in steered_states.items() if state.info is not None]
print(
    f"steered from t = {max(window)} to t = {min(window)}: {len(window)} of 50 steps"
)
assert min(window) / T >= 0.3

at_the_end = {
    name: z.std(dim=0).norm(dim=0).numpy()
    for name, z in (
        ("DDIM", plain),
        ("KDS", steered),
        ("KDS to the end", to_the_end),
    )
}
figure, axes = plt.subplots(1, 5, figsize=(13, 3.2), layout="constrained")
axes[0].imshow(plain_images[0])
axes[0].set(title="DDIM, particle 0", xticks=[], yticks=[])
axes[1].imshow(steered_images[0])
axes[1].set(title="KDS, particle 0", xticks=[], yticks=[])
for ax, (name, values) in zip(axes[2:], at_the_end.items(), strict=True):
    drawn = ax.imshow(
        values, cmap="magma", vmin=0, vmax=float(at_the_end["DDIM"].max())
    )
    ax.set(title=f"final spread, {name}", xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes, shrink=0.8, label="in units of the latent")

steered_scores = np.array([psnr(image, truth) for image in steered_images])
print(
    f"a random particle: {scores.mean():.2f} dB, steered {steered_scores.mean():.2f}"
)
left = {name: at_the_end[name].mean() / at_the_end["DDIM"].mean() for name in at_the_end}
print({name: f"{share:.0%} of the plain spread" for name, share in left.items()})
assert left["KDS to the end"] < left["KDS"] < 1.0

# %%
# When steering stops, the noise is still as large as the picture. Most of the detail is
# decided after that, by each particle on its own, and most of the spread arises there.
# Steering to the end leaves less of it. Which of the two is better depends on how much
# agreement you want: [what replicates](../../replication/index.md) has numbers for both.
#
# ## Choosing
#
# One particle is decoded: the one nearest to the ensemble mean (KDS Eq. 9, v1). It need
# not be the best by PSNR, which no one can know without the truth. Plain particles can
# be chosen from, too; so a fair table keeps steering and choosing apart.
#
# **Predict:** which of the two gains more here?


def distances(z: torch.Tensor) -> np.ndarray:
    """Of each particle from the ensemble mean."""
    return (z - z.mean(dim=0)).flatten(1).norm(dim=1).numpy()


figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
chosen = {}
for name, z, values, colour in (
    ("DDIM", plain, scores, PURPLE),
    ("KDS", steered, steered_scores, GREEN),
):
    chosen[name] = index = int(kds_ref.select_particle(z))
    assert index == distances(z).argmin()
    ax.plot(distances(z), values, "o", color=colour, label=name)
    ax.plot(
        distances(z)[index],
        values[index],
        "o",
        markersize=13,
        mfc="none",
        color=colour,
    )
    print(
        f"{name}: random {values.mean():.2f} dB, chosen {values[index]:.2f}, worst {values.min():.2f}"
    )
ax.set(
    title="the particle nearest to the mean is chosen (circled)",
    xlabel="distance from the ensemble mean",
    ylabel="PSNR in dB",
)
ax.legend()
for values, name in ((scores, "DDIM"), (steered_scores, "KDS")):
    assert values[chosen[name]] > values.min()

# %%
# On a single photo chance may decide. On crops of this size of 100 photos choosing alone
# gains 0.26 dB over a random particle, steering alone 0.11 dB, both together 0.32 dB: at the paper's setting
# most of the gain is choosing's. Steering to the end and choosing gain 0.58 dB.
#
# And the average of the ten plain pictures? By PSNR it beats every one of them:
# detail that only one particle has invented is averaged away, and with it the
# sharpness. KDS stays with one of the particles.

average = np.rint(plain_images.astype(float).mean(0)).astype(np.uint8)
steered_one = steered_images[chosen["KDS"]]
print(f"average of the plain particles: {psnr(average, truth):.2f} dB")
for name, image in (
    ("one particle", plain_images[0]),
    ("average", average),
    ("KDS", steered_one),
    ("truth", truth),
):
    print(f"sharpness of {name:12}: {sharpness(image):.1f}")
assert psnr(average, truth) > scores.max()
assert sharpness(average) < min(map(sharpness, plain_images))
assert sharpness(average) < sharpness(steered_one)

# %%
# `python -m real sr --degrade` does all of this in one command, and `python -m real
# evaluate` does it for a folder of photos, with statistical tests: one photo, as here,
# proves nothing. [Super-resolution](../../super-resolution.md) says where the numbers
# for many photos are.
#
# ## Exercises
#
# Guess first, then run. Each solution continues the page's own code.
#
# **1.** Decode `to_the_end`. What happened to PSNR, and to sharpness?
#
# ??? success "Solution"
#     A particle that was steered to the end is nearer to the average: its PSNR is higher,
#     and it is softer.
#
#     ```python
#     end_images = decode(model, to_the_end, height=128, width=128)
#     end_scores = np.array([psnr(image, truth) for image in end_images])
#     print(f"{end_scores.mean():.2f} dB against {scores.mean():.2f}")
#     assert end_scores.mean() > scores.mean()
#     assert np.mean([*map(sharpness, end_images)]) < np.mean([*map(sharpness, plain_images)])
#     ```
#
# **2.** Give `bandwidth="median"`. Which \(h\) does it use, early and late? It is in
# `info.bandwidth`.
#
# ??? success "Solution"
#     It follows the spread: smaller where the particles agree, larger where they part.
#
#     ```python
#     used = {
#         t: float(kds_ref.steer(states[t].x0_pred, bandwidth="median")[1].bandwidth.mean())
#         for t in times[1:]
#     }
#     print({t: round(h, 2) for t, h in used.items()})
#     assert used[659] < used[319]
#     ```
#
# **3.** Choose at \(t/T = 0.32\), by `states[319].x0_pred`, and go on with that
# particle alone. What share of the denoiser's evaluations does this save?
#
# ??? success "Solution"
#     27%: nine of ten particles save the 15 steps after it.
#
#     ```python
#     early = int(kds_ref.select_particle(states[319].x0_pred))
#     later = [t for t in states if t < 319]
#     saved = (N - 1) * len(later) / (N * len(states))
#     print(f"particle {early}; saved {saved:.0%}")
#     assert round(100 * saved) == 27
#     ```
#
# **4.** Which \(h\) makes half of the ten share the weight at \(t/T = 0.32\)? Compare it
# with \(\tfrac34 s \sqrt d\), the rule of [Choose the
# settings](../../how-to/settings.md#the-bandwidth).
#
# ??? success "Solution"
#     The rule finds the right order of magnitude. Places differ here, and it has one
#     \(h\) for all.
#
#     ```python
#     x0 = states[319].x0_pred
#     rule = float(0.75 * x0.var(dim=0, correction=1).mean().sqrt() * 3**0.5)
#     _, info = kds_ref.steer(x0, bandwidth=rule)
#     print(f"h = {rule:.2f}: {float(info.effective_particles.mean()):.1f} of {N}")
#     assert 3 < info.effective_particles.mean() < 9.5
#     ```

plt.show()
