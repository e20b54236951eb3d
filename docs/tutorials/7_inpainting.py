r"""
# 7. Inpainting

A photo with a hole does not say what was in the hole, only what would fit. So samples
differ more than on [page 6](6_super_resolution.md), and in another way: not in where a
texture lies, but in what is there at all. You see how a denoiser is told about a hole,
where ten particles disagree, and what a consensus of them can and cannot be.

![A photo with a hole, four fillings, and the truth](images/7_inpainting_2.webp){ .figure }
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from skimage.metrics import peak_signal_noise_ratio

import kds_ref
from real import open_model
from real.images.masks import center_box
from real.images.photos import sample_photo
from real.models.codec import decode
from real.models.hole_condition import hole_condition
from real.sampling import initial_noise

N, T = 10, 1000
PURPLE, GREEN = "#6a2c91", "#2fae48"
model = open_model(task="inpaint", dtype="float32")

# %%
# ## What the denoiser is told
#
# A box in the centre with 30% of the photo's area is hidden, as we [read the
# paper](../../explanation/paper-gaps.md#centre-box). The denoiser has seven channels:
# three noisy latents, three latents of the photo with its hole filled smoothly from what
# is around it, and how much of each latent pixel is hidden, from -1 (nothing) to 1
# (all). The photo is encoded *with* the filled hole: latents of the whole photo would
# reveal, some pixels beyond the edge, what is inside.

truth = np.ascontiguousarray(sample_photo()[64:192, 64:192])
mask = center_box(128, 128, 0.3)
condition = hole_condition(model, truth, mask)
known, hole = condition[:, :3], condition[:, 3:]
print(f"photo {truth.shape} -> condition {tuple(condition.shape)}")
assert condition.shape == (1, 4, 32, 32)
assert model.unet.config.in_channels == 7
assert 0.29 < mask.mean() < 0.31
assert mask.mean() <= (hole > -1).float().mean()  # at the edge a part is hidden

shown = np.where(mask[..., None], np.uint8(128), truth)
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
axes[0].imshow(shown)
axes[0].set_title("the photo with its hole")
axes[1].imshow(known[0].norm(dim=0).numpy())
axes[1].set_title("its latents (length)")
axes[2].imshow(hole[0, 0].numpy(), cmap="gray")
axes[2].set_title("how much is hidden, 32×32")
for ax in axes:
    ax.set(xticks=[], yticks=[])

# %%
# ## Ten ways to fill it
#
# The sampler is that of the earlier pages, with half of the steps to save time. The
# autoencoder changes every pixel a little, so the known pixels are put back at the end.


def denoise(x_t: torch.Tensor, t: int) -> torch.Tensor:
    """The noise in x_t, (N, 3, 32, 32)."""
    with torch.no_grad():
        told = condition.expand(len(x_t), -1, -1, -1)
        return model.unet(torch.cat([x_t, told], dim=1), t).sample


def fill(**options) -> torch.Tensor:
    """25 steps of DDIM from the same noise; the final latents, (N, 3, 32, 32)."""
    return kds_ref.ddim(
        denoise,
        initial_noise(N, 32, 32, seed=0),
        schedule=model.schedule,
        timesteps=kds_ref.time_grid(25, T, spacing="trailing"),
        prediction_type=model.prediction_type,
        **options,
    ).x0


def finish(z: torch.Tensor) -> np.ndarray:
    """Decode, and put the known pixels back."""
    images = decode(model, z, height=128, width=128)
    return np.where(mask[..., None], images, truth)


def psnr(image: np.ndarray) -> float:
    """Of the hole alone, in dB, over the three channels of RGB."""
    return float(peak_signal_noise_ratio(truth[mask], image[mask]))


plain = fill()
plain_images = finish(plain)
scores = np.array([psnr(image) for image in plain_images])

figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
panels = {
    "the hole": shown,
    **{f"particle {i}": plain_images[i] for i in range(4)},
    "truth": truth,
}
for ax, (title, image) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(image)
    ax.set(title=title, xticks=[], yticks=[])
figure.suptitle("one hole, four fillings that differ in their noise")
print(
    f"hole: {scores.min():.1f} to {scores.max():.1f} dB, mean {scores.mean():.1f}"
)
assert (plain_images[:, ~mask] == truth[~mask]).all()

# %%
# ## Where they disagree
#
# **Predict:** where in the hole do the particles differ most? Do they differ outside?

spread = plain.std(dim=0).norm(dim=0).numpy()
inside = hole[0, 0].numpy() > -1
depth = distance_transform_edt(inside)  # of a latent pixel from the known ones
rings = np.unique(depth[inside].round().astype(int))
by_depth = [spread[inside & (depth.round() == ring)].mean() for ring in rings]

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
drawn = axes[0].imshow(spread, cmap="magma", vmin=0)
axes[0].set(title="spread of the particles", xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes[0], label="in units of the latent")
axes[1].plot(rings, by_depth, "o-", color=PURPLE)
axes[1].axhline(
    spread[~inside].mean(), color="grey", linestyle="--", label="outside"
)
axes[1].set(
    title="deep in the hole they agree least",
    xlabel="latent pixels to the edge of the hole",
    ylabel="spread",
    ylim=(0, None),
)
axes[1].legend()
print(
    f"spread outside {spread[~inside].mean():.1f}, at the edge {by_depth[0]:.1f}, "
    f"deep inside {by_depth[-1]:.1f}"
)
assert spread[~inside].mean() < 0.5 * by_depth[0] < 0.5 * by_depth[-1]

# %%
# Outside the hole they are alike: there the condition says what the photo shows. Inside
# they differ more the farther away the nearest known pixel is.
#
# ## Steering
#
# The same call as on page 6. Steering need not know of the hole: where particles
# agree the mean shift is small.
#
# **Predict:** which is nearest to the truth by PSNR: a plain particle, the plain average,
# or the steered particle that was chosen?

steering = kds_ref.KernelDensitySteering(
    num_train_timesteps=T, bandwidth=model.bandwidth
)
steered = fill(steering=steering)
steered_images = finish(steered)
steered_scores = np.array([psnr(image) for image in steered_images])
average = np.rint(plain_images.astype(float).mean(0)).astype(np.uint8)
chosen = int(kds_ref.select_particle(plain))
steered_chosen = int(kds_ref.select_particle(steered))

figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
panels = {
    "DDIM, nearest to the mean": plain_images[chosen],
    "KDS, nearest to the mean": steered_images[steered_chosen],
    "average of DDIM's": average,
    "truth": truth,
}
for ax, (title, image) in zip(axes, panels.items(), strict=True):
    ax.imshow(image)
    ax.set(title=title, xticks=[], yticks=[])
for name, score in (
    ("a random plain particle", scores.mean()),
    ("the plain one nearest to the mean", scores[chosen]),
    ("a random steered particle", steered_scores.mean()),
    ("the steered one nearest to the mean", steered_scores[steered_chosen]),
    ("average of the plain ones", psnr(average)),
):
    print(f"{name:36} {score:.2f} dB")
steered_spread = steered.std(dim=0).norm(dim=0).numpy()
print(
    f"spread inside: {spread[inside].mean():.1f}, steered {steered_spread[inside].mean():.1f}"
)
assert steered_scores.mean() > scores.mean()
assert 0.8 < steered_spread[inside].mean() / spread[inside].mean() < 1.0
assert psnr(average) > scores.mean()
assert scores[chosen] > scores.mean() + 1.0

# %%
# ## What a consensus of fillings is
#
# **Predict:** which of them is the roughest, and which the smoothest?
#
# A steered particle has a little more PSNR, and is a little smoother. That is no
# accident: particles that put different things at one place agree on nothing but their
# mean. A small bandwidth keeps them apart, and keeps them as they are. So read PSNR
# beside the picture; the paper's table has FID and LPIPS, too.
#
# The spread at the end is nearly what it was without steering: with the paper's cut-off
# the steering stops while the noise is still as large as the picture, and what fills the
# hole is decided after that.
#
# Choosing matters more here than on page 6, since fillings differ more than
# restorations. But this is one photo and one seed, and how far choosing gets is largely
# the luck of ten noises. The model is small, too: its fillings of so large a hole are
# surfaces that fit, not objects. Its card, `real/weights/inpainting/README.md`, says
# how it does on many photos and holes, beside interpolation.


def roughness(image: np.ndarray) -> float:
    """Mean difference between neighbouring pixels of the hole, in grey levels."""
    rows = np.abs(np.diff(image.astype(float), axis=0))
    return float(rows[mask[1:] & mask[:-1]].mean())


for name, image in {"one plain particle": plain_images[0], **panels}.items():
    print(f"roughness of {name:26} {roughness(image):.1f}")


def measures(images: np.ndarray) -> tuple[float, float]:
    """Mean PSNR and mean roughness of fillings."""
    both = [(psnr(image), roughness(image)) for image in images]
    return tuple(np.mean(both, axis=0).tolist())


assert roughness(steered_images[steered_chosen]) < measures(plain_images)[1]
assert roughness(average) < measures(plain_images)[1]

results = {model.bandwidth: measures(steered_images)}
for h in (0.1 * model.bandwidth, 0.3 * model.bandwidth):
    narrow = kds_ref.KernelDensitySteering(num_train_timesteps=T, bandwidth=h)
    results[h] = measures(finish(fill(steering=narrow)))
bandwidths = sorted(results)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for ax, values, plain_value, title in zip(
    axes,
    zip(*(results[h] for h in bandwidths), strict=True),
    measures(plain_images),
    ("PSNR of the hole in dB", "roughness of the hole"),
    strict=True,
):
    ax.semilogx(bandwidths, values, "o-", color=GREEN, label="KDS")
    ax.axhline(plain_value, color=PURPLE, linestyle="--", label="DDIM")
    ax.set(title=title, xlabel="bandwidth h")
    ax.set_xticks(bandwidths, [f"{h:g}" for h in bandwidths])
    ax.minorticks_off()
    ax.legend()
assert results[bandwidths[-1]][0] > results[bandwidths[0]][0]
assert results[bandwidths[-1]][1] < results[bandwidths[0]][1]

# %%
# `python -m real inpaint --center-box 0.3` does this in one command, also for your own
# photo, and `--mask` fills a hole whose content nobody knows. [Other
# models](../../how-to/models.md#inpainting) has the details.
#
# ## Exercises
#
# Guess first, then run. Each solution continues the page's own code.
#
# **1.** The photo is encoded with its hole. How much do the latents of the *whole* photo
# differ from these, outside the hole? Where?
#
# ??? success "Solution"
#     Near the edge: the encoder's filters see beyond it. So latents of the whole photo
#     with the hole cut out would reveal what is inside.
#
#     ```python
#     from real.models.codec import encode_photo
#
#     whole = encode_photo(model, truth)[None]
#     leak = (whole - known)[0].norm(dim=0).numpy()
#     to_hole = distance_transform_edt(~inside)
#     at_edge, far = leak[to_hole == 1].mean(), leak[to_hole > 6].mean()
#     print(f"at the edge {at_edge:.2f}, far from it {far:.2f}")
#     assert at_edge > 2 * far
#     ```
#
# **2.** Steer to the end, `cutoff=0`. What becomes of the spread inside?
#
# ??? success "Solution"
#     Less is left than with the paper's cut-off.
#
#     ```python
#     whole_way = kds_ref.KernelDensitySteering(bandwidth=model.bandwidth, cutoff=0.0)
#     end = fill(steering=whole_way)
#     end_spread = end.std(dim=0).norm(dim=0).numpy()[inside].mean()
#     print(f"{end_spread / steered_spread[inside].mean():.0%} of what the cut-off leaves")
#     assert end_spread < steered_spread[inside].mean()
#     ```
#
# **3.** Steer only inside the hole, with a steering of your own
# ([page 9](9_your_own.md)). Does it change the filling?
#
# ??? success "Solution"
#     Little: outside the particles agree, and the shift is small there anyway.
#
#     ```python
#     def inside_only(x0_pred, t):
#         moved, info = steering(x0_pred, t)
#         return torch.where(hole > -1, moved, x0_pred), info
#
#     masked = fill(steering=inside_only)
#     place = hole[0, 0] > 0
#     change = (masked - steered)[..., place].abs().mean()
#     effect = (steered - plain)[..., place].abs().mean()
#     print(f"changed by {float(change / effect):.0%} of what steering does")
#     assert change < 0.5 * effect
#     ```

plt.show()
