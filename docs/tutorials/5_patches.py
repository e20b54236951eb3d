r"""
# 5. Patches and the curse of dimensionality

An image is a point in thousands of dimensions, and there are ten particles. A
kernel density of ten points in thousands of dimensions knows nothing. The paper's
answer is to cut the images into patches and to steer each place on its own. This
page shows the problem, the answer, and its price.

![A noisy picture with a bright line, and the same after ten steps with three patch sizes](images/5_patches_4.webp){
.figure }
"""

import matplotlib.pyplot as plt
import numpy as np

import kds_ref

rng = np.random.default_rng(0)
PURPLE, GREEN = "#6a2c91", "#2fae48"

# %%
# ## Cutting and putting back
#
# `patchify` takes images (channels, height, width) apart into locations, each a
# vector of patch size² × channels values; `unpatchify` puts them back. Without
# overlap one is exactly the inverse of the other. The paper's patch is 1×1: the
# channels of one latent pixel.

images = rng.standard_normal((10, 3, 8, 8))  # 10 particles, 3 channels
for size, shape in (
    (1, (10, 64, 3)),
    (2, (10, 16, 12)),
    (4, (10, 4, 48)),
    (8, (10, 1, 192)),
):
    patches = kds_ref.patchify(images, patch_size=size)
    assert patches.shape == shape  # particles, locations, values of one patch
    assert np.array_equal(
        kds_ref.unpatchify(patches, patch_size=size, shape=(3, 8, 8)), images
    )

# %%
# Patches may also overlap (`stride` below the patch size); then a pixel gets the
# mean of the patches that cover it. It is easy to add them up and forget to divide by
# their number.
#
# **Predict:** an image of ones is cut into patches of 2×2 at every pixel and added up
# again. What is in its middle?

ones = np.ones((1, 4, 4))
overlapping = kds_ref.patchify(ones, patch_size=2, stride=1)
# WRONG as a way back
added_up = kds_ref.patchify_adjoint(
    overlapping, patch_size=2, stride=1, shape=(1, 4, 4)
)
assert added_up.max() == 4.0
assert np.allclose(
    kds_ref.unpatchify(overlapping, patch_size=2, stride=1, shape=(1, 4, 4)), ones
)

# %%
# Fours: each pixel there is in four patches.
#
# ## Distances in many dimensions
#
# Take two random points in \(d\) dimensions, with a standard deviation of 0.2 in each.
#
# **Predict:** how does their distance grow with \(d\)? And does it vary more from pair
# to pair, or less?

dimensions = (1, 2, 8, 32, 128, 512)
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ratio = {}
for d in dimensions:
    pairs = 0.2 * rng.standard_normal((4000, 2, d))
    distance = np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=1)
    ratio[d] = distance.std() / distance.mean()
    ax.hist(
        distance / np.sqrt(d),
        bins=60,
        histtype="step",
        density=True,
        label=f"d = {d}",
    )
ax.set(
    title="distance of two points, divided by √d",
    xlabel="distance / √d",
    ylabel="density",
    xlim=(0, 0.9),
)
ax.legend(fontsize=8)
assert ratio[1] > 0.7
assert ratio[512] < 0.04

# %%
# It grows like \(\sqrt d\), and, worse, it varies less and less: in the end all points
# are about equally far from each other. A kernel can only tell near from far, and there
# is no such difference any more.
#
# ## One bandwidth, growing patches
#
# Now ten particles and the paper's \(h = 0.3\).
#
# **Predict:** how much of its weight does a particle keep for itself with 1, 8, 32 and
# 128 values in a patch?


def own_weight(d: int, bandwidth: float) -> float:
    """Mean weight of a particle on itself, over 1000 ensembles of 10 particles."""
    ensembles = 0.2 * rng.standard_normal((1000, 10, d))
    exponent = -((ensembles[:, :1] - ensembles) ** 2).sum(-1) / (2 * bandwidth**2)
    weights = np.exp(exponent)
    return float((weights[:, 0] / weights.sum(1)).mean())


fixed = [own_weight(d, 0.3) for d in dimensions]
scaled = [own_weight(d, 0.3 * np.sqrt(d)) for d in dimensions]
print("own weight, h = 0.3:     ", *(f"{w:.4f}" for w in fixed))
print("own weight, h = 0.3 √d:  ", *(f"{w:.4f}" for w in scaled))
assert round(fixed[0], 2) == 0.14
assert round(fixed[2], 2) == 0.62
assert round(fixed[3], 4) == 0.9997
assert fixed[4] == 1.0

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.semilogx(dimensions, fixed, "o-", color=PURPLE, label="h = 0.3")
ax.semilogx(dimensions, scaled, "s-", color=GREEN, label="h = 0.3 √d")
ax.set(
    title="weight of a particle on itself, N = 10",
    xlabel="values in a patch",
    ylabel="weight",
    ylim=(0, 1.05),
)
ax.set_xticks(dimensions, labels=[str(d) for d in dimensions])
ax.minorticks_off()
ax.legend()

# %%
# In one dimension 0.14: a particle sees nearly all the others. With 8 values it is
# 0.62, with 32 it is 0.9997, and with 128 the others are below the precision of the
# computer. Larger patches do not steer badly. They do not steer at all.
#
# The paper finds large patches worse (v1 Table 5). Part of this is nothing but the
# fixed bandwidth. `steer(..., scale_with_dimension=True)` multiplies \(h\) by
# \(\sqrt d\), and the weights stay as they are. It is off by default, since the paper
# does not do this.

assert max(scaled) - min(scaled) < 0.03
particles = 0.2 * rng.standard_normal((10, 8, 16, 16))
for scale, low, high in ((False, 1.0, 1.001), (True, 9.0, 10.0)):
    _, info = kds_ref.steer(
        particles, bandwidth=0.3, patch_size=4, scale_with_dimension=scale
    )  # 128 values a patch
    assert low <= info.effective_particles.mean() < high

# %%
# ## The curse itself
#
# A wider kernel cures the numbers, not the cause. Suppose that every pixel is
# either −1 or +1, that 8 of 10 particles have it right, and that each adds a
# little noise. At a single pixel eight particles agree, and averaging over them
# takes the noise away.
#
# **Predict:** in how many of the 16 pixels of a 4×4 patch do two particles agree? How
# much noise does the shift take away there, with a bandwidth that fits?

truth = np.where(rng.random((16, 16)) < 0.5, -1.0, 1.0)
signs = np.where(rng.random((10, 1, 16, 16)) < 0.8, truth, -truth)
particles = signs + 0.2 * rng.standard_normal(signs.shape)
sizes = (1, 2, 4, 8)
remaining = {}
for scale in (False, True):
    remaining[scale] = []
    for size in sizes:
        steered, _ = kds_ref.steer(
            particles,
            bandwidth=0.3,
            strength=1.0,
            patch_size=size,
            scale_with_dimension=scale,
        )
        remaining[scale].append(float((steered - signs).std()))
print("noise left, h = 0.3:   ", *(f"{noise:.3f}" for noise in remaining[False]))
print("noise left, h = 0.3 √d:", *(f"{noise:.3f}" for noise in remaining[True]))

noise_before = (particles - signs).std()
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.axhline(
    noise_before, color="black", linewidth=0.8, linestyle=":", label="before"
)
ax.plot(range(4), remaining[False], "o-", color=PURPLE, label="h = 0.3")
ax.plot(range(4), remaining[True], "s-", color=GREEN, label="h = 0.3 √d")
ax.set(
    title="noise left after one full shift, N = 10",
    xlabel="patch size",
    ylabel="noise",
    ylim=(0, 0.24),
)
ax.set_xticks(range(4), labels=[f"{size}×{size}" for size in sizes])
ax.legend()

# %%
# With 1×1 the shift takes away about four tenths of the noise, with 4×4 and 8×8 next to
# nothing, whatever the bandwidth. Two particles agree in two pixels of three, so hardly
# any two agree in all 16: each is alone with its combination, and there is nobody to
# average with. The number of combinations doubles with every pixel; ten particles
# cannot keep up. This is the curse of dimensionality, and it is why the paper steers
# single latent pixels.

for scale in (False, True):
    assert 0.55 < remaining[scale][0] / noise_before < 0.65
    assert min(remaining[scale][2:]) > 0.95 * noise_before

# %%
# ## The price of small patches
#
# Pixels that are steered one by one know nothing of each other. Ten particles see a
# thin bright line, and all of them are sure that it is there, but not where: three put
# it in one column, three in a second, four in a third.
#
# **Predict:** what becomes of the line with a wide kernel and patches of 1×1? With 4×4?
# With the whole picture as one patch?

columns = (5, 5, 5, 7, 7, 7, 9, 9, 9, 9)
lines = np.zeros((10, 1, 16, 16))
for particle, column in enumerate(columns):
    lines[particle, 0, :, column] = 1.0
particles = lines + 0.1 * rng.standard_normal(lines.shape)


def ten_steps(patch_size: int) -> np.ndarray:
    """Steer ten times, as a sampler would."""
    z = particles
    for _ in range(10):
        z, _ = kds_ref.steer(z, bandwidth=0.6, strength=0.3, patch_size=patch_size)
    return z


results = {size: ten_steps(size) for size in (1, 4, 16)}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
pictures = [
    ("before", particles),
    *((f"after: {size}×{size} patches", z) for size, z in results.items()),
]
for ax, (title, z) in zip(axes, pictures, strict=True):
    ax.imshow(z[0, 0], cmap="gray", vmin=-0.3, vmax=1.2)
    ax.set(title=title, xticks=[], yticks=[])
figure.suptitle("the first particle, before and after ten steps")

# %%
# Measured: the brightness of the line (1 before), and the noise (0.1 before).

brightness, noise = {}, {}
for size, z in results.items():
    brightness[size] = float(z[lines == 1.0].mean())
    noise[size] = float(z[lines == 0.0].std())
    print(
        f"{size:2}×{size:<2} patches: brightness {brightness[size]:.2f}, noise around it {noise[size]:.3f}"
    )
assert brightness[1] < 0.5  # the line fades
assert brightness[4] > 0.97
assert noise[4] < 0.06  # the line stays, and the noise goes
assert abs(noise[16] - 0.1) < 0.005  # nothing happens

# %%
# With 1×1 the line fades to a shadow of all three, which no particle proposed: at every
# single pixel the majority sees *no line*. Patches of 4×4 hold line and surroundings
# together, and there is something to agree on. The whole picture is one point in 256
# dimensions, and nothing happens.
#
# So a patch must be small enough for ten particles to agree on it, and large enough to
# hold what belongs together. A pixel of a *latent* already stands for a block of the
# image, 4×4 pixels or more, with several channels. That is why 1×1 works better there
# than this example on plain pixels suggests. A small bandwidth is another way out: at
# \(h = 0.3\) the particles with a line and those without do not see each other, and
# nothing fades.

z = particles
for _ in range(10):
    z, _ = kds_ref.steer(z, bandwidth=0.3, strength=0.3)
assert z[lines == 1.0].mean() > 0.95

# %%
# ## Exercises
#
# Guess first, then run. Each solution continues the page's own code.
#
# **1.** Ten particles in 100 dimensions with a spread of 0.2: which \(h\) makes about half
# of them share the weight?
#
# ??? success "Solution"
#     \(\tfrac34 s \sqrt d = 1.5\). This is the rule of [Choose the
#     settings](../../how-to/settings.md#the-bandwidth).
#
#     ```python
#     cloud = 0.2 * np.random.default_rng(1).standard_normal((10, 100))
#     _, info = kds_ref.steer(cloud, bandwidth=0.75 * 0.2 * 100**0.5, patch_size=None)
#     assert 4 < info.effective_particles.mean() < 7
#     ```
#
# **2.** Use overlapping patches, `patch_size=4, stride=2`, for the line. Is more noise
# left, or less?
#
# ??? success "Solution"
#     A little less: most pixels now get the mean of four patches that were shifted on
#     their own, and the errors of these differ.
#
#     ```python
#     z = particles
#     for _ in range(10):
#         z, _ = kds_ref.steer(z, bandwidth=0.6, strength=0.3, patch_size=4, stride=2)
#     print(f"{z[lines == 0.0].std():.3f} against {noise[4]:.3f}")
#     assert z[lines == 0.0].std() < noise[4]
#     assert z[lines == 1.0].mean() > 0.95
#     ```
#
# **3.** How many particles does the \(\pm 1\) example need before patches of 2×2 take
# away as much noise as 1×1 with ten?
#
# ??? success "Solution"
#     Between 20 and 40. Four pixels that are right in eight of ten cases are all right in
#     \(0.8^4 = 0.41\) of the particles: twice as many are needed to have eight.
#
#     ```python
#     def left(n: int, size: int) -> float:
#         r = np.random.default_rng(2)
#         s = np.where(r.random((n, 1, 16, 16)) < 0.8, truth, -truth)
#         z = s + 0.2 * r.standard_normal(s.shape)
#         steered, _ = kds_ref.steer(
#             z, bandwidth=0.3, strength=1.0, patch_size=size, scale_with_dimension=True
#         )
#         return float((steered - s).std())
#
#     wanted = left(10, 1)
#     print({n: round(left(n, 2), 3) for n in (10, 20, 40)}, "against", round(wanted, 3))
#     assert left(40, 2) < wanted < left(20, 2)
#     ```

plt.show()
