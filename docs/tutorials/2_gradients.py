r"""
# 2. Why the mean shift is a gradient

The mean shift looks like an average, and it climbs like a gradient. This page
derives why, turns the derivation into checks that a computer can run, and then
runs them on implementations that get it wrong. You need [page 1](1_densities.md)
and the chain rule.

![Arrows over a density with two hills: they point uphill everywhere and vanish at the hilltops and at the pass between
them](images/2_gradients_1.webp){ .figure }
"""

import matplotlib.pyplot as plt
import numpy as np

import kds_ref

# %%
# ## Three lines of calculus
#
# One Gaussian bump of width \(h\) on the particle \(x_k\) has the gradient
#
# \[ \nabla_x \, e^{-\lVert x - x_k \rVert^2 / 2h^2} = \frac{x_k - x}{h^2} \; e^{-\lVert x - x_k \rVert^2 / 2h^2} : \]
#
# it points to the particle. The density estimate (KDS Eq. 1, v1) is the sum of the
# bumps, so its gradient is the sum of these. For the gradient of the *logarithm*
# divide by the density. The constants cancel, and what is left is
#
# \[
# \nabla \log \hat p(x) = \frac{1}{h^2} \cdot \frac{\sum_k e^{-\lVert x - x_k
# \rVert^2 / 2h^2} \, (x_k - x)} {\sum_k e^{-\lVert x - x_k \rVert^2 / 2h^2}} =
# \frac{\mathbf m(x)}{h^2} . \]
#
# The fraction is the mean shift \(\mathbf m\) of KDS Eq. 5. So
# \(\mathbf m = h^2 \nabla \log \hat p\), with no approximation.
#
# ## Check 1: against a derivative that knows no formula
#
# A check that uses the formula again proves little. Central differences know only
# the density: go a little to each side, and divide.

rng = np.random.default_rng(0)
particles = np.concatenate(
    [rng.normal(-0.7, 0.25, (6, 2)), rng.normal(0.7, 0.30, (6, 2))]
)
h = 0.3


def differences(points: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Gradient of the log-density, one coordinate after the other."""
    columns = []
    for direction in np.eye(points.shape[1]):
        ahead = kds_ref.log_density(
            points + step * direction, particles, bandwidth=h
        )
        behind = kds_ref.log_density(
            points - step * direction, particles, bandwidth=h
        )
        columns.append((ahead - behind) / (2 * step))
    return np.stack(columns, axis=-1)


points = rng.uniform(-2.0, 2.0, (2000, 2))
shift = kds_ref.mean_shift(points, particles, bandwidth=h)
assert np.allclose(shift, h**2 * differences(points), atol=1e-6)

# %%
# ## Check 2: a full step never goes down
#
# A gradient says where up is, not how far to go. Most ascent methods need a step
# size.
#
# **Predict:** from 2000 points, how many full steps end lower than they began? And
# steps of 0.3?

before = kds_ref.log_density(points, particles, bandwidth=h)
for strength in (0.3, 1.0):
    after = kds_ref.log_density(points + strength * shift, particles, bandwidth=h)
    assert (after > before).all()

# %%
# None. One full step never lowers the density, from any starting point, with no step
# size to choose. The reason is that the mean shift maximises a lower bound of
# \(\log \hat p\) which touches it at \(x\) (Cheng, 1995). A part of the step, KDS's
# \(\delta = 0.3\), does not lower it either.
#
# The figure shows the shifts on top of the density. Their length is \(h^2\) times the
# slope of \(\log \hat p\): long where the slope is steep, zero at the two modes and at
# the pass between them.

ticks = np.linspace(-2.0, 2.0, 161)
grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
density = np.exp(
    kds_ref.log_density(grid.reshape(-1, 2), particles, bandwidth=h)
).reshape(161, 161)


def draw_density(ax: plt.Axes, title: str) -> None:
    """The density as filled contours, the particles as crosses."""
    ax.contourf(ticks, ticks, density, levels=8, cmap="Greys", alpha=0.6)
    ax.plot(*particles.T, "x", color="black", markersize=5)
    ax.set(
        title=title,
        aspect="equal",
        xlim=(-2, 2),
        ylim=(-2, 2),
        xticks=[],
        yticks=[],
    )


coarse = grid[::10, ::10].reshape(-1, 2)
arrows = kds_ref.mean_shift(coarse, particles, bandwidth=h)
figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
draw_density(ax, "the mean shift (at a fourth of its length), h = 0.3")
ax.quiver(
    *coarse.T,
    *arrows.T,
    angles="xy",
    scale_units="xy",
    scale=4,
    width=3e-3,
    color="#6a2c91",
)

# %%
# ## Check 3: symmetry
#
# Nothing in the formula prefers an origin, a direction, or an order of the
# particles. Move and rotate everything, and the shift rotates along; shuffle the
# particles, and nothing happens at all.

angle = 0.7
rotation = np.array(
    [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
)
moved = kds_ref.mean_shift(
    points @ rotation.T + 5.0, particles @ rotation.T + 5.0, bandwidth=h
)
assert np.allclose(moved, shift @ rotation.T)
assert np.allclose(kds_ref.mean_shift(points, particles[::-1], bandwidth=h), shift)

# %%
# ## Check 4: the two ends
#
# **Predict:** where does the shift lead with a tiny \(h\), and where with a huge one?
# What is the shift of a particle itself?

nearest = particles[((points[:, None] - particles) ** 2).sum(-1).argmin(1)]
assert np.allclose(
    points + kds_ref.mean_shift(points, particles, bandwidth=1e-3), nearest
)
assert (kds_ref.mean_shift(particles, particles, bandwidth=1e-6) == 0.0).all()
assert np.allclose(
    particles + kds_ref.mean_shift(particles, particles, bandwidth=1e6),
    particles.mean(0),
)

# %%
# With a tiny \(h\) a point sees only the particle nearest to it: the shift leads there,
# and is exactly zero for a particle. With a huge \(h\) it sees all of them equally, and
# the shift leads to the plain mean.
#
# ## Other kernels climb other densities
#
# Take the plain mean of all particles within \(h\), the flat kernel. Which density does
# *that* climb? Not the flat one: it is made of steps and has no slope. The weights
# \(G\) of a shift belong to the density whose profile \(K\) falls at the rate \(G\),
# \(-2 K' = G\) up to a factor: \(K\) is the *shadow* of \(G\) (Cheng, 1995). The
# Gaussian is its own shadow, so for it the two are the same. The shadow of the flat
# kernel is the Epanechnikov kernel.

assert kds_ref.shadow_kernel("gaussian").name == "gaussian"
assert kds_ref.shadow_kernel("flat").name == "epanechnikov"
flat = kds_ref.mean_shift(points, particles, bandwidth=1.0, kernel="flat")
slope = kds_ref.log_density_gradient(
    points, particles, bandwidth=1.0, kernel=kds_ref.shadow_kernel("flat")
)
moving = np.linalg.norm(flat, axis=1) > 0
cosine = (
    (flat * slope).sum(1)[moving]
    / np.linalg.norm(flat[moving], axis=1)
    / np.linalg.norm(slope[moving], axis=1)
)
assert np.allclose(cosine, 1.0)  # the same direction, everywhere

# %%
# ## What goes wrong in practice
#
# There is no official code of KDS. People who wrote their own made twelve mistakes that
# we know of; the [method page](../../explanation/method.md#easy-to-get-wrong) lists
# them, and shows some of them in public code. We made some of them, too. Five of the
# twelve break the formula of this page. Each runs without an error and draws plausible
# pictures, and each fails a check that takes a few lines.
#
# ### Mistake 1: the bandwidth is squared twice
#
# The distance is divided by \(h^2\) and then squared, so that the weights become
# \(e^{-d^2 / 2h^4}\). At \(h = 1\) nobody notices.
#
# **Predict:** at \(h = 0.3\), is the shift then too long or too short? By how much?


def squared_twice(
    points: np.ndarray, particles: np.ndarray, h: float
) -> np.ndarray:
    """WRONG: the weights of a bandwidth h^2."""
    weights = np.exp(-((points[:, None] - particles) ** 2).sum(-1) / (2 * h**4))
    return weights @ particles / weights.sum(1, keepdims=True) - points


assert np.allclose(
    squared_twice(points, particles, 1.0),
    kds_ref.mean_shift(points, particles, bandwidth=1.0),
)
wrong = squared_twice(particles, particles, h)
right = kds_ref.mean_shift(particles, particles, bandwidth=h)
# check 1 fails
assert not np.allclose(wrong, h**2 * differences(particles), atol=0.1)

# %%
# At \(h = 0.3\) the bandwidth is in effect 0.09: the particles no longer see each
# other, and the mean length of the shift falls from 0.139 to 0.016. Such a program does
# hardly anything, and the sampler's own pictures look fine.

print(
    f"mean length of the shift: {np.linalg.norm(right, axis=1).mean():.3f} right,",
    end=" ",
)
print(f"{np.linalg.norm(wrong, axis=1).mean():.3f} with h squared twice")
assert round(np.linalg.norm(right, axis=1).mean(), 3) == 0.139
assert round(np.linalg.norm(wrong, axis=1).mean(), 3) == 0.016
assert np.allclose(wrong, kds_ref.mean_shift(particles, particles, bandwidth=0.09))

# %%
# ### Mistake 2: the gradient itself is the step
#
# "It is a gradient, so add the gradient." But
# \(\nabla \log \hat p = \mathbf m / h^2\), which at \(h = 0.3\) is eleven times
# the shift. The direction is right, so check 1 in its careless form, "is it
# parallel to the gradient?", passes.
#
# **Predict:** with \(\delta = 0.3\) the step is 3.3 shifts long. From what share of our
# points does it end lower than it began: a tenth, a half, nine tenths?

score = kds_ref.log_density_gradient(points, particles, bandwidth=h)
too_far = kds_ref.log_density(points + 0.3 * score, particles, bandwidth=h)
assert round(1 / h**2) == 11
assert round(0.3 / h**2, 1) == 3.3
assert round(100 * (too_far < before).mean()) == 86  # check 2 fails

# %%
# From 86% of them, so check 2 finds it. The figure shows eight steps from three places,
# with the density held fixed. Along \(\delta\, \mathbf m\) the path goes up and slows
# down. Along \(\delta\, \mathbf m / h^2\) it jumps across the mode, each jump is longer
# than the last, and it leaves the picture.

starts = np.array([[-1.7, 0.4], [1.6, -0.3], [-0.3, -1.5]])
figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
ends = []
for ax, factor, title in zip(
    axes, (1.0, 1 / h**2), ("right: δ m", "wrong: δ m / h²"), strict=True
):
    way = [starts]
    for _ in range(8):
        way.append(
            way[-1]
            + 0.3 * factor * kds_ref.mean_shift(way[-1], particles, bandwidth=h)
        )
    draw_density(ax, title)
    for path in np.stack(way, axis=1):
        ax.plot(*path.T, "o-", color="#6a2c91", markersize=3, linewidth=1)
    ends.append(np.linalg.norm(way[-1] - way[-2], axis=1).max())
figure.suptitle("eight steps from three places")
print(f"the longest eighth step: {ends[0]:.3f} and {ends[1]:.0f}")
assert ends[0] < 0.05
assert ends[1] > 100.0

# %%
# ### Mistake 3: one ensemble for the whole batch
#
# Two photos with ten particles each make a batch of twenty, and the mean shift is
# taken over all twenty. Then one photo leaks into the other. The check is a
# question of logic, not of calculus: an image's result must not depend on what
# else is in the batch.


def mixed(images: np.ndarray) -> np.ndarray:
    """WRONG: one mean shift over images and particles together; (images, N, D)."""
    rows = images.reshape(-1, images.shape[-1])
    return (rows + kds_ref.mean_shift(rows, rows, bandwidth=h)).reshape(
        images.shape
    )


photo = 0.2 * rng.standard_normal((10, 2))
neighbours = photo + 0.5, photo - 0.5
assert not np.allclose(
    mixed(np.stack([photo, neighbours[0]]))[0],
    mixed(np.stack([photo, neighbours[1]]))[0],
)
ours = [
    kds_ref.steer(
        np.stack([photo, other]), bandwidth=h, patch_size=None, sample_ndim=1
    )[0][0]
    for other in neighbours
]
assert np.array_equal(ours[0], ours[1])  # in kds_ref leading axes never mix

# %%
# ### Mistake 4: no ensemble at all
#
# To save memory, a single latent is kept, and the "ensemble" is this latent plus
# fresh noise. The check: a particle's shift must change when another particle moves.
#
# **Predict:** what happens to this shift when there are more and more noisy copies?


def cloud_of_one(latent: np.ndarray, n: int, seed: int) -> np.ndarray:
    """WRONG: the shift of one latent among noisy copies of itself."""
    copies = latent + h * np.random.default_rng(seed).standard_normal(
        (n, latent.size)
    )
    return kds_ref.mean_shift(latent[None], copies, bandwidth=h)[0]


lengths = [
    np.mean(
        [np.linalg.norm(cloud_of_one(particles[0], n, seed)) for seed in range(100)]
    )
    for n in (10, 100, 1000)
]
print(
    "mean length of the shift with 10, 100 and 1000 noisy copies:",
    np.round(lengths, 3),
)
assert lengths[0] > 2 * lengths[1] > 4 * lengths[2]
others = particles.copy()
others[1] += 0.2
one, two = (
    kds_ref.mean_shift(ensemble[:1], ensemble, bandwidth=h)
    for ensemble in (particles, others)
)
assert not np.allclose(one, two)  # in a real ensemble the others matter

# %%
# It goes to zero: the copies lie around the latent on all sides. Their density says
# nothing about what the model predicts from other noise.
#
# ### Mistake 5: zero divided by zero
#
# Written as printed, the weights of far particles are \(e^{-\text{large}}\). In
# floating point that is 0, and where all weights are 0 the mean is 0/0. In two
# dimensions this takes a point far away; in the thousands of dimensions of an image it
# is the normal case.


def as_printed(points: np.ndarray, particles: np.ndarray, h: float) -> np.ndarray:
    """WRONG: Eq. 5 letter by letter."""
    weights = np.exp(-((points[:, None] - particles) ** 2).sum(-1) / (2 * h**2))
    with np.errstate(invalid="ignore"):
        return weights @ particles / weights.sum(1, keepdims=True) - points


assert np.isnan(as_printed(points, particles, 1e-3)).any()  # check 4 fails
far = np.full((1, 2), 20.0)
assert np.isnan(as_printed(far, particles, h)).all()

# %%
# The remedy is one line: subtract the largest exponent first, as every softmax
# does. Then the largest weight is 1, and the sum is never 0. The shift of the far
# point leads to the particle nearest to it, as it should.

next_to_it = particles[((particles - far) ** 2).sum(1).argmin()]
assert np.allclose(
    far + kds_ref.mean_shift(far, particles, bandwidth=h), next_to_it
)

# %%
# ## The other seven
#
# They concern other parts of the method. Each is shown to fail on the page about its
# part:
#
# | Mistake | Shown to fail |
# |---|---|
# | the old \(\epsilon\) beside the steered \(\hat z_0\) | [page 4](4_steering.md) |
# | choosing by each particle's own pixel mean | [page 4](4_steering.md) |
# | steering late instead of early; \(t/T > 0.3\) instead of \(\ge\) | [page 4](4_steering.md) |
# | overlapping patches added up without dividing | [page 5](5_patches.md) |
# | ending at the first training \(\bar\alpha\) instead of 1 | [page 3](3_diffusion.md) |
# | a baseline with \(\eta = 1\) against KDS with \(\eta = 0\) | [page 3](3_diffusion.md) |
#
# ## Exercises
#
# Guess first, then run. Each solution continues the page's own code.
#
# **1.** Check 2 held for \(\delta = 0.3\) and \(\delta = 1\). Up to which \(\delta\) does
# it hold? Think of a single particle first.
#
# ??? success "Solution"
#     Up to 2. With one particle the point then jumps to its mirror image, which has the
#     same density. With more, the lower bound of the proof is a parabola around
#     \(x + \mathbf m\), and \(x + 2 \mathbf m\) is where it has the same height again.
#     So 3.3 shifts, mistake 2, are beyond what is safe.
#
#     ```python
#     mirror, single = np.array([[0.4, 0.0]]), np.zeros((1, 2))
#     jumped = mirror + 2.0 * kds_ref.mean_shift(mirror, single, bandwidth=h)
#     assert np.allclose(jumped, -mirror)
#     for strength, safe in ((2.0, True), (2.2, False)):
#         after = kds_ref.log_density(points + strength * shift, particles, bandwidth=h)
#         assert (after > before - 1e-9).all() == safe
#     ```
#
# **2.** Which of the four checks would have found which of the five mistakes?
#
# ??? success "Solution"
#     Check 1 finds the first, and the second unless it compares directions only; check 2
#     finds the second, check 4 the fifth. With a tiny \(h\) check 4 finds the first two
#     as well. The fourth fails check 4, too: with a huge \(h\) it does not lead to the mean of the ensemble.
#     The third passes all four, since with a single image in the batch it is right. It
#     needs a check of its own.
#
# **3.** Take the flat kernel. Does a full step never lower the *flat* density, or never
# lower its shadow's?
#
# ??? success "Solution"
#     The shadow's. The flat density is a staircase: it counts particles within \(h\), and
#     the step can lose some of them.
#
#     ```python
#     lower = {}
#     for kernel in ("flat", "epanechnikov"):
#         there, here = (
#             kds_ref.log_density(x, particles, bandwidth=1.0, kernel=kernel)
#             for x in (points[moving] + flat[moving], points[moving])
#         )
#         lower[kernel] = int((there < here - 1e-9).sum())
#     print(lower)
#     assert lower["flat"] > 0
#     assert lower["epanechnikov"] == 0
#     ```
#
# **4.** In KDS the points that are shifted *are* the particles. Can `as_printed` give
# 0/0 there?
#
# ??? success "Solution"
#     No: a particle's weight on itself is \(e^0 = 1\), so the sum is at least 1. It can
#     where the particle is left out of its own sum.
#
#     ```python
#     assert np.isfinite(as_printed(particles, particles, 1e-3)).all()
#     assert np.isnan(as_printed(particles[:1], particles[1:], 1e-3)).all()
#     ```

plt.show()
