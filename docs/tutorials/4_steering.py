r"""
# 4. Kernel Density Steering on the toy

[Page 1](1_densities.md) has the shift, [page 3](3_diffusion.md) the sampler. Together
they are KDS. On this page you type all of it, in some forty lines of NumPy, and check
it against `kds_ref`. Then you turn each knob once and keep two lists: what is gained,
and what is lost. Before each result there is a question. Write your answer down before
you read on: a guess that turns out wrong teaches more than a number that you have only
read.

![One steered step in six columns, from left to right: a small photo; noisy particles; the clean estimate of each; the
values of all particles at one place with their density and mean shifts; the steered estimates; the particles of the
next noise level](../../assets/one_step.png){ .figure }
"""

import matplotlib.pyplot as plt
import numpy as np

import kds_ref
from toy.experiment import Run, Settings, initial_noise, run_method
from toy.mixture import three_modes
from toy.statistics import ensemble_statistics

mixture = three_modes()
PURPLE, GREEN = "#6a2c91", "#2fae48"
ticks = np.linspace(-2.6, 2.6, 161)
grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)


def panel(ax: plt.Axes, density: np.ndarray, title: str) -> None:
    """A density in grey."""
    ax.contourf(ticks, ticks, density, levels=8, cmap="Greys", alpha=0.6)
    ax.set(
        title=title,
        aspect="equal",
        xlim=(-2.6, 2.6),
        ylim=(-2.6, 2.6),
        xticks=[],
        yticks=[],
    )


# %%
# ## KDS in forty lines
#
# ### The schedule
#
# It says how much of the data is left at each of the \(T = 1000\) training
# timesteps. The toy uses the cosine schedule (Nichol and Dhariwal, 2021): with
# \(f(u) = \cos^2\big(\tfrac{\pi}{2} \cdot \tfrac{u + 0.008}{1.008}\big)\),
#
# \[ \beta_t = \min\Big(1 - \frac{f((t + 1)/T)}{f(t/T)},\; 0.999\Big), \qquad
# \bar\alpha_t = \prod_{i \le t} (1 - \beta_i). \]
#
# The minimum matters at one timestep only, the last, where \(f = 0\) would leave
# nothing to divide by.

T = 1000
f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
beta = np.minimum(1 - f[1:] / f[:-1], 0.999)
alpha_bar = np.cumprod(1 - beta)

schedule = kds_ref.cosine_schedule()
assert np.allclose(alpha_bar, schedule.alphas_cumprod, rtol=1e-12)

# %%
# Latent diffusion models use another one, the "scaled linear" schedule: the square
# roots of \(\beta\) lie on a straight line. The two ends are those of Stable Diffusion.

scaled = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, T) ** 2)
assert np.allclose(scaled, kds_ref.scaled_linear_schedule().alphas_cumprod)

# %%
# ### The grid
#
# A sampler visits only some of the timesteps, here 50. There are two ways to space
# them evenly. *Leading* takes the first of every 20 and never sees \(t = 999\).
# *Trailing* takes the last of every 20: it starts at the noisiest level, where your
# initial noise belongs (Lin et al., 2023).
#
# **Predict:** on which of the two grids is there a step at \(t/T = 0.3\) exactly?

leading = [20 * k for k in reversed(range(50))]
trailing = [1000 - 20 * k - 1 for k in range(50)]
print("leading: ", leading[:3], "...", leading[-3:])
print("trailing:", trailing[:3], "...", trailing[-3:])
assert tuple(leading) == kds_ref.time_grid(50)
assert tuple(trailing) == kds_ref.time_grid(50, spacing="trailing")

# %%
# On the leading one. The trailing grid steps from 319 to 299, so there it makes no
# difference whether the cut-off is meant as \(\ge\) or \(>\). On the leading grid it
# makes a difference of one step, and Eq. 10 says \(\ge\).

assert 300 in leading
assert [t for t in trailing if 290 < t < 330] == [319, 299]

# %%
# ### The shift
#
# As on page 1, now for \(N\) points at once, each of which is shifted by all of them,
# itself included. The largest exponent is subtracted first, so that the weights of an
# isolated point are not 0/0. Leading axes are separate ensembles.


def mean_shift(points, h):
    """m of each of N points; (..., N, d) -> (..., N, d). KDS Eq. 5 and 7 (v1)."""
    difference = points[..., :, None, :] - points[..., None, :, :]
    exponent = -(difference**2).sum(-1) / (2 * h**2)
    weight = np.exp(exponent - exponent.max(-1, keepdims=True))
    weight /= weight.sum(-1, keepdims=True)
    return weight @ points - points


# %%
# ### The step
#
# Algorithm 2. The model predicts the noise. Here the model is an exact formula, which
# [page 3](3_diffusion.md#the-score) has in fifteen lines of NumPy: the noise is
# \(-\sqrt{1 - \bar\alpha_t}\) times the score. Elsewhere it is your network. The noise
# gives the model's estimate of the clean point. KDS moves the estimates, and then
# **derives the noise again** from them:
#
# \[ \epsilon' = \frac{z_t - \sqrt{\bar\alpha_t}\; \hat z_0^{\,\text{KDS}}}{\sqrt{1 - \bar\alpha_t}}. \]
#
# This line is easy to forget. A noisy point is a mixture of one clean point and
# one noise. If you change the clean point and keep the noise, the two no longer
# make the point \(z_t\) that you stand on.


def step(x, here, there, delta, h=0.3):
    """From noise level here to noise level there. KDS Algorithm 2."""
    eps = mixture.eps(x, alpha_bar=here)  # the model
    x0 = (x - np.sqrt(1 - here) * eps) / np.sqrt(here)  # Eq. 6
    x0 = x0 + delta * mean_shift(x0, h)  # Eq. 8
    eps = (x - np.sqrt(here) * x0) / np.sqrt(1 - here)  # eps'
    return np.sqrt(there) * x0 + np.sqrt(1 - there) * eps  # Eq. 4


# %%
# ### The loop and the choice
#
# The strength is \(\delta = 0.3\) while \(t/T \ge 0.3\) and 0 after that (Eq. 10).
# The last step ends at \(\bar\alpha = 1\), without noise. At the end one particle
# is chosen, the one nearest to the mean of the ensemble (Eq. 9).


def kds(x, timesteps, cutoff=0.3, delta=0.3, h=0.3):
    """DDIM steered by KDS; x is noise, (..., N, d)."""
    levels = [alpha_bar[t] for t in timesteps] + [1.0]
    for t, here, there in zip(timesteps, levels, levels[1:], strict=False):
        x = step(x, here, there, delta if t / T >= cutoff else 0.0, h)
    return x


def choose(x):
    """The particle nearest to the ensemble mean; (N, d) -> (d,)."""
    return x[((x - x.mean(0)) ** 2).sum(-1).argmin()]


# %%
# That is the whole method. Here are 20 ensembles of 50 particles, each from its own
# standard normal noise:

start = np.stack(
    [np.random.default_rng(seed).standard_normal((50, 2)) for seed in range(20)]
)
assert np.array_equal(start, initial_noise(Settings(n_seeds=20), mixture.dimension))
plain_x = kds(start, trailing, delta=0.0)
steered_x = kds(start, trailing)
one = choose(steered_x[0])

# %%
# And it is `kds_ref.ddim`, to the last few bits. `kds_ref` adds what a library
# needs: torch, float16, checks of what you pass, other samplers, and steering that
# changes nothing, bit for bit, where the shift is zero.


def denoiser(x_t, t):
    """The exact model, as a sampler calls it."""
    return mixture.eps(x_t, alpha_bar=alpha_bar[t])


steering = kds_ref.KernelDensitySteering(
    bandwidth=0.3, strength=0.3, cutoff=0.3, patch_size=None, sample_ndim=1
)
library = kds_ref.ddim(
    denoiser,
    start,
    schedule=schedule,
    timesteps=kds_ref.time_grid(50, spacing="trailing"),
    steering=steering,
)
assert np.abs(library.x0 - steered_x).max() < 1e-12
chosen = kds_ref.select_particle(library.x0[0], sample_ndim=1)
assert np.array_equal(one, steered_x[0][chosen])

# %%
# ### An experiment: forget the new noise
#
# Delete one line, and the program still runs and draws plausible pictures.
#
# The number to look at is the *variance within a mode*: of the particles around the mean
# of those that end in the same mode, per axis. The data has 0.090.
#
# **Predict:** are the particles of a mode then tighter than they should be, wider,
# or about the same? By how much?


def forgetful(x, timesteps, cutoff=0.3):
    """WRONG: the noise of the model goes on beside the steered clean point."""
    levels = [alpha_bar[t] for t in timesteps] + [1.0]
    for t, here, there in zip(timesteps, levels, levels[1:], strict=False):
        eps = mixture.eps(x, alpha_bar=here)
        x0 = (x - np.sqrt(1 - here) * eps) / np.sqrt(here)
        if t / T >= cutoff:
            x0 = x0 + 0.3 * mean_shift(x0, 0.3)
        x = np.sqrt(there) * x0 + np.sqrt(1 - there) * eps
    return x


def spread(x):
    """Variance within a mode, mean over the ensembles."""
    return float(ensemble_statistics(x, mixture)["within_mode_variance"].mean())


data = mixture.weights @ np.trace(mixture.covariances, axis1=1, axis2=2) / 2
assert round(float(data), 3) == 0.09
wrong_x = forgetful(start, trailing)
figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
for ax, x, name, colour in (
    (axes[0], plain_x, "DDIM", PURPLE),
    (axes[1], steered_x, "KDS", GREEN),
    (axes[2], wrong_x, "without ε′", "#c4561a"),
):
    panel(ax, mixture.density(grid), f"{name}: variance {spread(x):.3f}")
    ax.plot(*x[0].T, "o", color=colour, markersize=3)
figure.suptitle("one line forgotten")

# %%
# Nearly seven times as tight. It looks like a success, but it is another method. The
# reason is one line of algebra. Put \(\epsilon'\) into the step, and ask how far a
# shift of the clean point by 1 moves \(z_s\):
#
# \[ \sqrt{\bar\alpha_s} - \sqrt{\bar\alpha_t}\,\sqrt{\frac{1 - \bar\alpha_s}{1 - \bar\alpha_t}}
# \quad\text{with } \epsilon', \qquad \sqrt{\bar\alpha_s} \quad\text{without.} \]
#
# Halfway, from \(t = 499\) to 479, that is 0.04 against 0.72. Without \(\epsilon'\) the
# point takes the whole shift at once, in every step. With it the point takes the share
# of the shift that belongs to this step.

here, there = alpha_bar[499], alpha_bar[479]
right = np.sqrt(there) - np.sqrt(here) * np.sqrt((1 - there) / (1 - here))
assert round(float(right), 2) == 0.04
assert round(float(np.sqrt(there)), 2) == 0.72
variances = [round(spread(x), 3) for x in (plain_x, steered_x, wrong_x)]
assert variances == [0.083, 0.073, 0.011]

# %%
# ### From points to latents
#
# For latents of shape (N, C, H, W) the paper shifts each pixel's vector of C
# channels on its own: the same function, with the pixels as leading axis. The toy
# has one patch, the whole point.


def shift_of_latents(x0, h):
    """Patches of 1×1; (N, C, H, W) -> (N, C, H, W)."""
    n, c, height, width = x0.shape
    pixels = x0.reshape(n, c, height * width).transpose(2, 0, 1)  # (HW, N, C)
    return mean_shift(pixels, h).transpose(1, 2, 0).reshape(x0.shape)


latents = np.random.default_rng(0).standard_normal((10, 3, 8, 8))
moved, _ = kds_ref.steer(latents, bandwidth=0.3, strength=0.3)
assert np.allclose(latents + 0.3 * shift_of_latents(latents, 0.3), moved)

# %%
# ## Fig. 1: one step in detail
#
# Stop in the middle, at \(t = 499\). Each of 50 particles predicts a clean point.
# KDS takes the kernel density of these *predictions*, not of the noisy points and
# not of the data, and moves each prediction along its mean shift (KDS Eq. 7 and 8,
# v1). The arrows are full shifts; KDS goes a part \(\delta = 0.3\) of each.
#
# **Predict:** where will the arrows be long: in the crowd or at its edge?

seen: dict[int, np.ndarray] = {}
kds_ref.ddim(
    denoiser,
    start[0],
    schedule=schedule,
    timesteps=tuple(trailing),
    callback=lambda state: seen.update({state.t: state.x0_pred}),
)
x0_pred = seen[499]
shift = mean_shift(x0_pred, 0.3)
steered, info = kds_ref.steer(x0_pred, bandwidth=0.3, strength=0.3, patch_size=None)
assert np.allclose(steered, x0_pred + 0.3 * shift)

estimate = np.exp(
    kds_ref.log_density(grid.reshape(-1, 2), x0_pred, bandwidth=0.3)
).reshape(161, 161)
figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
panel(axes[0], mixture.density(grid), "the data and 50 predictions at t = 499")
axes[0].plot(*x0_pred.T, "o", color=PURPLE, markersize=4)
panel(axes[1], estimate, "their own density and mean shift, h = 0.3")
axes[1].plot(*x0_pred.T, "o", color=PURPLE, markersize=4)
axes[1].quiver(
    *x0_pred.T,
    *shift.T,
    angles="xy",
    scale_units="xy",
    scale=1,
    width=3e-3,
    color=GREEN,
)

# %%
# At the edge of a crowd. In its middle the neighbours pull in all directions, and an
# isolated point sees nobody but itself. The panel on the right is all that KDS knows:
# no model, no data, no degradation.
#
# `info` says how many particles share the weight of a prediction: 1 if it sees only
# itself, \(N\) if all weights are equal.
#
# **Predict:** of 50 particles in three modes, how many does a prediction see?

effective = info.effective_particles[:, 0]
lowest, highest = effective.min(), effective.max()
print(
    f"effective particles: {lowest:.1f} to {highest:.1f}, mean {effective.mean():.1f}"
)
assert effective.min() > 1.0
assert effective.max() < 50.0

# %%
# ## Fig. 2: from noise to data
#
# Now in every step. `toy.experiment.run_method` is the `ddim` call from above with
# snapshots on the way; 20 ensembles of 50 particles, the same noise in all rows.
# Steering stops at \(t/T = 0.3\) (Eq. 10) in the middle row, and never in the
# bottom row. The paper does not say which of the two its figure shows.
#
# **Predict:** half of the way is over at \(t/T = 0.5\), and the particles of the
# lower rows have been steered in 25 steps by then. Do you see it in the middle
# column? And how much smaller is the variance within a mode at the end: by a
# tenth, a half, nine tenths?

settings = Settings(n_seeds=20)
plain, paper, to_the_end = (
    run_method(mixture, settings, cutoff=cutoff) for cutoff in (None, 0.3, 0.0)
)

figure, axes = plt.subplots(3, 3, figsize=(8, 8.4), layout="constrained")
rows = (
    (plain, "DDIM", PURPLE),
    (paper, "KDS, t/T ≥ 0.3", GREEN),
    (to_the_end, "KDS to the end", GREEN),
)
for row, (run, name, colour) in zip(axes, rows, strict=True):
    row[0].set_ylabel(name)
    for ax, snapshot in zip(row, run.snapshots, strict=True):
        panel(
            ax,
            mixture.density(grid, alpha_bar=snapshot.alpha_bar),
            f"t/T = {snapshot.fraction:.2g}" if run is plain else "",
        )
        ax.plot(*snapshot.x[0].T, "o", color=colour, markersize=3)
figure.suptitle("DDIM, KDS with the paper's cut-off, and KDS to the end")

# %%
# In numbers, over all 20 ensembles. The paper's cut-off takes 11% off the variance
# within a mode; steering to the end leaves 37% of it. The middle column shows hardly
# any of this: there a point is still mostly noise.


def measure(run: Run) -> dict[str, np.ndarray]:
    """Statistics of the final particles, mean over the ensembles."""
    return {
        name: values.mean(0)
        for name, values in ensemble_statistics(
            run.snapshots[-1].x, mixture
        ).items()
    }


numbers = {name: measure(run) for run, name, _ in rows}
for name, values in numbers.items():
    shares = " / ".join(f"{100 * share:.1f}" for share in values["mode_shares"])
    print(f"{name:15} variance {values['within_mode_variance']:.4f}", end="   ")
    print(f"log-likelihood {values['mean_log_likelihood']:.3f}   shares {shares} %")
assert np.allclose(paper.snapshots[-1].x, steered_x)  # the loop from above
base = numbers["DDIM"]["within_mode_variance"]
assert (
    round(100 * (1 - numbers["KDS, t/T ≥ 0.3"]["within_mode_variance"] / base))
    == 11
)
assert round(100 * numbers["KDS to the end"]["within_mode_variance"] / base) == 37

# %%
# Why so little with the cut-off? Nothing is undone afterwards: there was little to
# take. While the noise is large, the predictions of a mode hardly differ; most of their
# spread arises in the last 30% of the way, with or without steering. [The linear
# theory](../../explanation/linear-theory.md) has the formula.
#
# ## The knobs
#
# Four settings, one at a time, the others as above. Full lines steer to the end,
# dashed ones with the paper's cut-off; the dotted line is DDIM.
#
# **Predict:** which of the four curves rise, and which fall? What is left of the
# variance with a strength of 1?


def variance(cutoff: float | None, **options: float) -> float:
    """Variance within a mode after a run with other settings."""
    return float(
        measure(
            run_method(mixture, Settings(n_seeds=10, **options), cutoff=cutoff)
        )["within_mode_variance"]
    )


sweeps = {
    "strength": (0.05, 0.1, 0.3, 0.5, 1.0),
    "bandwidth": (0.03, 0.1, 0.2, 0.3, 0.6, 1.0),
    "n_particles": (5, 10, 20, 50, 100),
}
full: dict[str, list[float]] = {}
early: dict[str, list[float]] = {}
for name, values in sweeps.items():
    full[name] = [variance(0.0, **{name: value}) for value in values]
    early[name] = [variance(0.3, **{name: value}) for value in values]
unsteered = [variance(None, n_particles=n) for n in sweeps["n_particles"]]
cutoffs = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
by_cutoff = [variance(cutoff) for cutoff in cutoffs]
ddim = unsteered[3]

labels = {
    "strength": "strength δ",
    "bandwidth": "bandwidth h",
    "n_particles": "particles N",
}
figure, axes = plt.subplots(
    2, 2, figsize=(8, 6.2), sharey=True, layout="constrained"
)
for ax, (name, values) in zip(axes.flat, sweeps.items(), strict=False):
    ax.semilogx(values, full[name], "o-", color=GREEN, label="KDS to the end")
    ax.semilogx(values, early[name], "o--", color=GREEN, label="KDS, t/T ≥ 0.3")
    lines = unsteered if name == "n_particles" else [ddim] * len(values)
    ax.semilogx(values, lines, ":", color=PURPLE, label="DDIM")
    ax.set(title=labels[name], ylim=(0, 0.11))
    ax.set_xticks(values, labels=[f"{value:g}" for value in values])
    ax.minorticks_off()
axes[0, 0].legend(fontsize=9)
axes[1, 1].plot(cutoffs, by_cutoff, "o-", color=GREEN)
axes[1, 1].axhline(ddim, linestyle=":", color=PURPLE)
axes[1, 1].set(title="cut-off in t/T")
for ax in axes[:, 0]:
    ax.set_ylabel("variance within a mode")
figure.suptitle("variance within a mode against four settings")

# %%
# - **Strength**: more is tighter. A strength of 1 ends with almost no variance at
#   all.
# - **Bandwidth**: with \(h = 0.03\) the particles do not see each other, and KDS
#   is DDIM. Around the width of the modes, 0.3, and above, it acts.
# - **Particles**: the density estimate gets better with \(N\). With the same
#   \(h\), steering to the end leaves a larger part of DDIM's variance with 5
#   particles than with 100.
# - **Cut-off**: most of the effect comes from the last steps, where the
#   predictions are already inside the modes.

assert full["strength"] == sorted(full["strength"], reverse=True)
assert full["strength"][-1] < 0.05 * ddim
assert abs(full["bandwidth"][0] / ddim - 1) < 0.02
assert full["bandwidth"][3] < 0.5 * ddim
assert (
    full["n_particles"][0] / unsteered[0] > full["n_particles"][-1] / unsteered[-1]
)
assert by_cutoff == sorted(by_cutoff)

# %%
# ## Steering late instead of early
#
# One known mistake is to invert the schedule: nothing early, everything late.
#
# **Predict:** are the clusters then tighter or wider than with Eq. 10?


def upside_down(x0_pred: np.ndarray, t: float) -> tuple[np.ndarray, object]:
    """WRONG: steers where t/T < 0.3."""
    if t / 1000 >= 0.3:
        return x0_pred, None
    return kds_ref.steer(
        x0_pred, bandwidth=0.3, strength=0.3, patch_size=None, sample_ndim=1
    )


late = kds_ref.ddim(
    lambda x_t, t: mixture.eps(x_t, alpha_bar=schedule.alpha_bar(t)),
    initial_noise(settings, 2),
    schedule=schedule,
    timesteps=kds_ref.time_grid(50, spacing="trailing"),
    steering=upside_down,
)
late_variance = ensemble_statistics(late.x0, mixture)["within_mode_variance"].mean()
assert late_variance < 0.6 * numbers["KDS, t/T ≥ 0.3"]["within_mode_variance"]

# %%
# Tighter. On the toy it looks like a success, since late steering is what makes
# tight clusters. It is another method all the same: compare the strengths, not the
# pictures.

assert [kds_ref.steering_strength(t, 1000) for t in (999, 300, 299)] == [0.3, 0.3, 0.0]

# %%
# ## What is gained
#
# **Predict:** perfect samples of the mixture have a mean log-likelihood of about
# −1.4. Can a sampler be better than perfect?

likelihoods = [values["mean_log_likelihood"] for values in numbers.values()]
assert [round(float(value), 2) for value in likelihoods] == [-1.34, -1.24, -0.78]
perfect = mixture.sample(100_000, np.random.default_rng(0))
assert round(float(mixture.log_density(perfect).mean()), 1) == -1.4

# %%
# By this number, yes. The particles lie where the density is high: the
# log-likelihood rises from −1.34 with DDIM to −1.24 with the cut-off and −0.78 to
# the end. For restoration, where one answer is wanted and not a distribution, this
# is the point.
#
# ## What is lost: diversity
#
# The same number says what is lost. −0.78 is *too good*. Particles steered to the
# end are no longer samples of the data, and averages over them are wrong. If you
# need error bars, do not steer.

# %%
# ## What is kept, and when it is lost: the modes
#
# **Predict:** the first mode has 40% of the data, the third 25%. Do particles leave
# the small mode for the large one?

for name in ("KDS, t/T ≥ 0.3", "KDS to the end"):
    change = numbers[name]["mode_shares"] - numbers["DDIM"]["mode_shares"]
    assert np.abs(change).max() < 0.01

# %%
# They stay. The shares change by less than one point: a particle in a mode is
# pulled to the middle of this mode, not into another one.
#
# This changes when the bandwidth is as large as the distances between the modes. Then
# the kernel density has a single hill, in the empty space between them, and steering to
# the end drags the particles towards it. They end close together, and in the wrong
# place: with \(h = 1.5\) the likelihood is far below that of plain DDIM.

wide = run_method(mixture, Settings(n_seeds=20, bandwidth=1.5), cutoff=0.0)
wide_numbers = measure(wide)
assert wide_numbers["within_mode_variance"] < 0.3 * base
assert wide_numbers["mean_log_likelihood"] < -4.0
figure, axes = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained")
for ax, run, title in (
    (axes[0], to_the_end, "h = 0.3: on the modes"),
    (axes[1], wide, "h = 1.5: between them"),
):
    panel(ax, mixture.density(grid), title)
    ax.plot(*run.snapshots[-1].x[0].T, "o", color=GREEN, markersize=4)

# %%
# ## The choice at the end
#
# One particle is chosen: the one nearest to the mean of the ensemble (Eq. 9). With
# a single mode it is a good representative. With three, the mean lies between them.
#
# **Predict:** in how many of 20 ensembles does the choice fall on the first mode,
# whose share is 40%? Is it the same without steering?


def chosen_mode(x: np.ndarray) -> np.ndarray:
    """Index of the mode of each ensemble's chosen particle; x is (S, N, 2)."""
    index = kds_ref.select_particle(x, sample_ndim=1)
    chosen = np.take_along_axis(x, index[:, None, None], axis=1)[:, 0]
    return mixture.responsibilities(chosen).argmax(-1)


for run in (plain, paper):
    assert (chosen_mode(run.snapshots[-1].x) == 0).sum() == 16
assert mixture.weights[0] == 0.4

# %%
# In 16 of 20, with and without steering: the choice falls on whichever mode happens
# to lie nearest to the mean. So steering and choosing are two ingredients, and they
# should be measured apart.
#
# A mistake in public code is to compare each particle with the mean of *its own*
# values, "the pixel mean". That looks at one particle at a time and so knows nothing of
# agreement: move the whole ensemble, and the choice changes.

x = paper.snapshots[-1].x
own_mean = ((x - x.mean(-1, keepdims=True)) ** 2).sum(-1).argmin(-1)  # WRONG
moved = x + np.array([1.0, 0.0])
own_mean_moved = ((moved - moved.mean(-1, keepdims=True)) ** 2).sum(-1).argmin(-1)
assert (own_mean != own_mean_moved).any()
ours, ours_moved = (
    kds_ref.select_particle(particles, sample_ndim=1) for particles in (x, moved)
)
assert np.array_equal(ours, ours_moved)

# %%
# ## Exercises
#
# Guess first, then run. Each solution continues the page's own code.
#
# **1.** Write `>` instead of `>=` in the loop. On which of the two grids does the
# result change?
#
# ??? success "Solution"
#     On the leading grid, by the one step at \(t = 300\).
#
#     ```python
#     just_above = 0.3 + 1e-9  # t / T >= this is t / T > 0.3 on both grids
#     same = kds(start, trailing, cutoff=just_above)
#     other = kds(start, leading, cutoff=just_above)
#     assert np.array_equal(same, kds(start, trailing))
#     assert not np.allclose(other, kds(start, leading))
#     ```
#
# **2.** Shift the noisy points instead of the clean ones: `x + delta * mean_shift(x, h)`
# before each step while \(t/T \ge 0.3\), and the plain step after that. Early, how many
# others does a noisy point see, compared with its prediction?
#
# ??? success "Solution"
#     At the noisy end the points have a standard deviation of 1, while their
#     predictions all lie near the mean of the data. So \(h = 0.3\) sees a few
#     neighbours among the points and nearly all of the predictions. The shift then
#     pulls at the noise, which the model expects at full strength: the clusters come
#     out tight, and beside the centres of the modes.
#
#     ```python
#     here = alpha_bar[trailing[1]]
#     eps = mixture.eps(start[0], alpha_bar=here)
#     clean = kds_ref.predict_x0(start[0], eps, here)
#     heard = {}
#     for name, points in (("noisy", start[0]), ("clean", clean)):
#         _, info = kds_ref.steer(points, bandwidth=0.3, patch_size=None)
#         heard[name] = float(info.effective_particles.mean())
#     print({name: round(value, 1) for name, value in heard.items()})
#     assert heard["noisy"] < 10 < 40 < heard["clean"]
#
#     x = start
#     levels = [alpha_bar[t] for t in trailing] + [1.0]
#     for t, here, there in zip(trailing, levels, levels[1:], strict=False):
#         if t / T >= 0.3:
#             x = x + 0.3 * mean_shift(x, 0.3)
#         x = step(x, here, there, 0.0)
#     statistics = ensemble_statistics(x, mixture)
#     around_own_centre = statistics["within_mode_variance"].mean()
#     around_true_centre = statistics["distance_to_mode_mean"].mean()
#     assert around_own_centre < 0.8 * spread(steered_x)
#     assert around_true_centre > 1.3 * around_own_centre  # KDS: 1.01
#     right = ensemble_statistics(steered_x, mixture)["distance_to_mode_mean"].mean()
#     assert round(right / spread(steered_x), 2) == 1.01
#     ```
#
# **3.** Which three settings turn `kds` into plain DDIM? Name them before you try.
#
# ??? success "Solution"
#     One particle, a strength of 0, and a bandwidth so small that no particle sees
#     another.
#
#     ```python
#     alone = kds(start[:, :1], trailing)
#     assert np.allclose(alone, plain_x[:, :1])
#     assert np.allclose(kds(start, trailing, delta=0.0), plain_x)
#     assert np.allclose(kds(start, trailing, h=1e-6), plain_x)
#     ```
#
# **4.** Steer to the end with `bandwidth="median"`. The rule measures all distances,
# those between the modes included. Where do the particles end?
#
# ??? success "Solution"
#     Between the modes, as with \(h = 1.5\): the median distance is one between
#     modes. [Page 9](9_your_own.md) has a rule that looks at neighbours only.
#
#     ```python
#     by_rule = kds_ref.ddim(
#         denoiser,
#         start,
#         schedule=schedule,
#         timesteps=tuple(trailing),
#         steering=kds_ref.KernelDensitySteering(
#             bandwidth="median", cutoff=0.0, patch_size=None, sample_ndim=1
#         ),
#     ).x0
#     assert mixture.log_density(by_rule).mean() < mixture.log_density(plain_x).mean()
#     ```
#
# **5.** Does the change of the modes' shares lie within its standard error?
# `python -m toy` measures it; from Python:
#
# ??? success "Solution"
#     ```python
#     from toy.experiment import run_experiment
#
#     results, _ = run_experiment(Settings(n_seeds=20))
#     change = results["methods"]["kds_cutoff_0.3"]["difference_to_ddim"]
#     for share in change["mode_shares"]:
#         print(f"{share['mean']:+.4f} ± {share['standard_error']:.4f}")
#     ```

plt.show()
