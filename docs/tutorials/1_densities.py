"""
# 1. Densities, kernels and mean shift

Kernel Density Steering moves samples towards where they agree. This page builds
the two ideas behind that sentence from nothing: a density that is made of the
samples themselves, and a step that climbs it. You need NumPy and a little
calculus. Before each result there is a question: write your answer down before you
read on.

![A density with two hills; arrows on it point to the hilltops](images/1_densities_2.webp){ .figure }
"""

import matplotlib.pyplot as plt
import numpy as np

import kds_ref

# %%
# ## A density out of samples
#
# Twelve numbers on a line. Where are they dense? Put a small bump on each of them
# and add the bumps up: that is the kernel density estimate (KDS Eq. 1, v1),
#
# \[ \hat p(x) = \frac{1}{N h^d} \sum_{k=1}^{N} K\!\left(\frac{\lVert x - x_k \rVert^2}{h^2}\right). \]
#
# \(K\) is the shape of the bump, the kernel; \(h\) is its width, the bandwidth.
# With the Gaussian kernel \(K(u) = (2\pi)^{-d/2} e^{-u/2}\), \(h\) is the standard
# deviation of each bump.

rng = np.random.default_rng(0)
samples = np.concatenate([rng.normal(-1.0, 0.4, 8), rng.normal(1.5, 0.3, 4)])
x = np.linspace(-4.0, 4.0, 801)


def density_by_hand(x: np.ndarray, samples: np.ndarray, h: float) -> np.ndarray:
    """A bump on each sample, added up."""
    u = (x[:, None] - samples[None, :]) ** 2 / h**2
    return (np.exp(-u / 2) / np.sqrt(2 * np.pi)).sum(1) / (len(samples) * h)


by_hand = density_by_hand(x, samples, h=0.3)
# it is a density: its integral is 1
assert abs(np.trapezoid(by_hand, x) - 1.0) < 1e-6

# %%
# `kds_ref.log_density` is the same with three differences. Points have an axis for
# their coordinates, so a line of 801 points is an array of shape (801, 1). It
# works for any number of dimensions. And it returns the logarithm, which does not
# underflow: 100 bandwidths from a single sample the density is about \(e^{-5000}\),
# which is 0 in floating point, but its logarithm is a plain -5000.

points, particles = x[:, None], samples[:, None]
log_density = kds_ref.log_density(points, particles, bandwidth=0.3)
assert np.allclose(np.exp(log_density), by_hand)
far = kds_ref.log_density(np.array([[30.0]]), np.array([[0.0]]), bandwidth=0.3)
assert round(far[0]) == -5000

# %%
# ## The bandwidth decides what counts as agreement
#
# **Predict:** the twelve samples were drawn around −1 and around 1.5. How many hills
# does their density have with \(h = 0.05\), with 0.4 and with 1.5?

figure, axes = plt.subplots(
    1, 3, figsize=(9, 2.9), sharey=True, layout="constrained"
)
number_of_hills = []
for ax, h in zip(axes, (0.05, 0.4, 1.5), strict=True):
    p = np.exp(kds_ref.log_density(points, particles, bandwidth=h))
    ax.fill_between(x, p, color="#9ecae1")
    ax.plot(samples, np.zeros_like(samples), "|", color="black", markersize=14)
    ax.set(title=f"h = {h}", xlabel="x")
    number_of_hills.append(int(((p[1:-1] > p[:-2]) & (p[1:-1] > p[2:])).sum()))
axes[0].set_ylabel("density")
figure.suptitle("one set of samples, three bandwidths")
assert number_of_hills == [8, 2, 1]

# %%
# Eight, two and one. With a small \(h\) most samples are hills of their own; samples
# that lie closer together than that share one. With a large \(h\) all of them form a
# single hill. None of the three is wrong: the bandwidth sets the scale at which you
# look.

# %%
# ## The mean shift
#
# Stand at a point \(x\) and ask the samples around it where to go. Each answers
# "to me", and near ones speak louder. The weighted mean of the answers, minus
# where you stand, is the mean-shift vector (KDS Eq. 5, v1):
#
# \[ m(x) = \frac{\sum_k G(\lVert x - x_k \rVert^2 / h^2)\, x_k}{\sum_k G(\lVert x - x_k \rVert^2 / h^2)} - x . \]


def shift_by_hand(x: np.ndarray, samples: np.ndarray, h: float) -> np.ndarray:
    """The weighted mean of the samples, seen from each x, minus x."""
    weights = np.exp(-((x[:, None] - samples[None, :]) ** 2) / (2 * h**2))
    weights /= weights.sum(1, keepdims=True)
    return weights @ samples - x


shift = kds_ref.mean_shift(points, particles, bandwidth=0.4)
assert np.allclose(shift[:, 0], shift_by_hand(x, samples, h=0.4))

# %%
# **Predict:** where does it point on the left of a hilltop, and where on the right? At
# how many places is it zero?

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
p = np.exp(kds_ref.log_density(points, particles, bandwidth=0.4))
ax.fill_between(x, p, color="#9ecae1", label="density")
every = slice(60, None, 40)
ax.quiver(
    x[every],
    p[every],
    shift[every, 0],
    np.zeros_like(x[every]),
    angles="xy",
    scale_units="xy",
    scale=1,
    width=4e-3,
)
ax.plot(samples, np.zeros_like(samples), "|", color="black", markersize=14)
ax.set(xlabel="x", ylabel="density", title="the mean shift on the density, h = 0.4")
still = np.flatnonzero(np.sign(shift[1:, 0]) != np.sign(shift[:-1, 0]))
assert len(still) == 3

# %%
# Always uphill: on the left of a hilltop it points right, and on the right it points
# left. It is zero at three places: at the two tops, and at the pass, the lowest point
# between them, where both hills pull equally.
#
# It climbs because it is the gradient of the log-density in disguise. For the
# Gaussian kernel
#
# \[ m(x) = h^2 \, \nabla \log \hat p(x), \]
#
# with no approximation anywhere. The [next page](2_gradients.md) proves it and shows
# what breaks when it is done wrong; here is the check.

gradient = kds_ref.log_density_gradient(points, particles, bandwidth=0.4)
assert np.allclose(shift, 0.4**2 * gradient)

# %%
# ## All the way up
#
# One mean shift goes part of the way. Repeat it, and every point ends on the hill
# above it: this is mode seeking, the mean-shift algorithm of Fukunaga and
# Hostetler (1975).

ends = kds_ref.seek_modes(points, particles, bandwidth=0.4)
assert bool(ends.converged.all())
merged = kds_ref.merge_modes(ends.points, bandwidth=0.4)
modes = np.sort(merged.modes[:, 0])
assert len(modes) == 2
assert abs(modes[0] + 1.0) < 0.4
assert abs(modes[1] - 1.5) < 0.3

# %%
# KDS does *not* go all the way. It takes a part \(\delta\) of one mean shift at every
# step of a diffusion sampler. At the next step the density is estimated again, from
# where the particles are then.
#
# **Predict:** after one step with \(\delta = 0.3\), is each of the two groups narrower?
# Have the groups moved towards each other?

steered, info = kds_ref.steer(
    particles, bandwidth=0.4, strength=0.3, patch_size=None
)
assert np.allclose(
    steered,
    particles + 0.3 * kds_ref.mean_shift(particles, particles, bandwidth=0.4),
)
groups = particles[:8], particles[8:]
closer = steered[:8], steered[8:]
for before, after in zip(groups, closer, strict=True):
    assert after.std() < before.std()  # each group has moved together
apart = [abs(pair[1].mean() - pair[0].mean()) for pair in (groups, closer)]
print(f"distance of the groups: {apart[0]:.3f} before, {apart[1]:.3f} after")
assert abs(apart[1] / apart[0] - 1) < 0.01

# %%
# They are narrower. Their distance stays the same to within a hundredth: at \(h = 0.4\)
# a particle of one group hardly sees the other, which is more than five bandwidths
# away.
#
# `info` says how much the particles saw of each other. `effective_particles` is
# \(1/\sum_k w_k^2\): 1 if a particle sees only itself, \(N\) if all weights are equal.
# It is the first number to look at when you choose a bandwidth.
#
# **Predict:** its mean over the twelve particles for \(h\) = 0.01, 0.4 and 100.

for h in (0.01, 0.4, 100.0):
    _, info = kds_ref.steer(particles, bandwidth=h, patch_size=None)
    print(
        f"h = {h:6}: {info.effective_particles.mean():5.2f} of {len(particles)} particles"
    )
assert abs(info.effective_particles.mean() - 12) < 0.01

# %%
# ## Other kernels
#
# The Gaussian is the paper's kernel and the default. Others weigh distance differently:
# a compact one ignores what is farther away than \(h\); `"l2"` gives all particles the
# same weight, so that its shift leads to the plain mean. Which density each of these
# shifts climbs is on the page about [kernels](../../reference/kernels.md).

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for kernel in ("gaussian", "laplacian", "epanechnikov", "flat", "l2"):
    m = kds_ref.mean_shift(points, particles, bandwidth=1.0, kernel=kernel)
    ax.plot(x, m[:, 0], label=kernel)
ax.axhline(0.0, color="black", linewidth=0.5)
ax.set(
    xlabel="x",
    ylabel="m(x)",
    title="mean shift of five kernels, h = 1",
    ylim=(-3, 3),
)
ax.legend(ncols=5, fontsize=8)
to_mean = kds_ref.mean_shift(points, particles, bandwidth=1.0, kernel="l2")
assert np.allclose(points + to_mean, samples.mean())

# %%
# ## Exercises
#
# Guess first, then run. Each solution continues the page's own code.
#
# **1.** With one sample and a Gaussian kernel, where is the shift largest? The density
# is practically zero at 30 bandwidths: is the shift zero there, too?
#
# ??? success "Solution"
#     It grows without limit: \(m(x) = x_1 - x\), however far away you are. The weights
#     are divided by their sum, so that a single sample has a weight of 1.
#
#     ```python
#     one = kds_ref.mean_shift(points, np.array([[2.0]]), bandwidth=0.1)
#     assert np.allclose(one, 2.0 - points)
#     ```
#
# **2.** Twelve normal samples in 100 dimensions, \(h = 0.4\) as before. What are the
# effective particles? What would help?
#
# ??? success "Solution"
#     One: every particle is alone. Distances grow like the square root of the
#     dimension, and the bandwidth must grow with them. [Page 5](5_patches.md) is about
#     this.
#
#     ```python
#     cloud = np.random.default_rng(1).normal(0.0, 0.4, (12, 100))
#     _, info = kds_ref.steer(cloud, bandwidth=0.4, patch_size=None)
#     _, wide = kds_ref.steer(cloud, bandwidth=0.4 * 100**0.5, patch_size=None)
#     assert info.effective_particles.max() < 1.01
#     assert 9 < wide.effective_particles.min() < 12
#     ```
#
# **3.** Full shifts, one after the other, from \(x = 0\): how many bring the point to
# within 0.001 of its hilltop? Is each shorter than the one before? And from a point just
# beside the pass?
#
# ??? success "Solution"
#     Six, each about a third of the one before. Beside the pass the slope is small: the
#     first steps are tiny, then they grow, and it takes more of them.
#
#     ```python
#     def climb(start: float) -> list[float]:
#         place, lengths = np.array([[start]]), []
#         while abs(modes - place[0, 0]).min() > 0.001:
#             m = kds_ref.mean_shift(place, particles, bandwidth=0.4)
#             place = place + m
#             lengths.append(abs(m[0, 0]))
#         return lengths
#
#     from_zero = climb(0.0)
#     assert len(from_zero) == 6
#     assert from_zero == sorted(from_zero, reverse=True)
#     beside = climb(x[still[1]] - 0.01)
#     print(np.round(beside, 3))
#     assert len(beside) > 6
#     assert max(beside) > 2 * beside[0]
#     ```
#
# **4.** Where is the pass, the point at which neither hill wins? Do the twelve samples
# end on the hill of the group that they were drawn from?
#
# ??? success "Solution"
#     The pass is where the shift changes its sign from left-pointing to right-pointing.
#     Here every sample stays with its group.
#
#     ```python
#     rising = (shift[:-1, 0] < 0) & (shift[1:, 0] > 0)
#     (watershed,) = x[:-1][rising]
#     assert modes[0] < watershed < modes[1]
#     assert (samples[:8] < watershed).all()
#     assert (samples[8:] > watershed).all()
#     ```

plt.show()
