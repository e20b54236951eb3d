r"""
# 4. Kernel Density Steering on the toy

[Page 1](1_densities.md) has the step, [page 3](3_diffusion.md) the sampler.
Together they are KDS. This page repeats the paper's Fig. 1 and 2 in the plane,
turns each knob once, and keeps two lists: what is gained, and what is lost.
"""

import matplotlib.pyplot as plt
import numpy as np

import kds_ref
from toy.experiment import Run, Settings, initial_noise, run_method
from toy.mixture import three_modes
from toy.statistics import ensemble_statistics

mixture = three_modes()
schedule = kds_ref.cosine_schedule()
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
# ## Fig. 1: one step
#
# Stop a sampler in the middle, at \(t = 499\). Each of 50 particles predicts a
# clean point. KDS takes the kernel density of these *predictions*, not of the
# noisy points and not of the data, and moves each prediction along its mean shift
# (KDS Eq. 7 and 8, v1). The arrows are full shifts; KDS goes a part
# \(\delta = 0.3\) of each.

start = initial_noise(Settings(n_seeds=1), mixture.dimension)[0]
seen: dict[int, np.ndarray] = {}
kds_ref.ddim(
    lambda x_t, t: mixture.eps(x_t, alpha_bar=schedule.alpha_bar(t)),
    start,
    schedule=schedule,
    timesteps=kds_ref.time_grid(50, spacing="trailing"),
    callback=lambda state: seen.update({state.t: state.x0_pred}),
)
x0_pred = seen[499]
shift = kds_ref.mean_shift(x0_pred, x0_pred, bandwidth=0.3)
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
# On the right is all that KDS knows: no model, no data, no degradation. Between 1
# and \(N\) particles share the weight of each prediction.

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
# Now in every step. `toy.experiment.run_method` is `kds_ref.ddim` with the
# mixture's score and `KernelDensitySteering`; 20 ensembles of 50 particles, the
# same noise in all rows. Steering stops at \(t/T = 0.3\) (Eq. 10) in the middle
# row, and never in the bottom row. The paper does not say which of the two its
# figure shows.

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
# within a mode; steering to the end leaves 37% of it.


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
base = numbers["DDIM"]["within_mode_variance"]
assert (
    round(100 * (1 - numbers["KDS, t/T ≥ 0.3"]["within_mode_variance"] / base))
    == 11
)
assert round(100 * numbers["KDS to the end"]["within_mode_variance"] / base) == 37

# %%
# Why so little with the cut-off? After it the sampler has 30% of the way left, and
# the exact score spreads the particles out again. What steering did early is
# partly undone.
#
# ## The knobs
#
# Four settings, one at a time, the others as above. Full lines steer to the end,
# dashed ones with the paper's cut-off; the dotted line is DDIM.


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
    1, 4, figsize=(12, 3.5), sharey=True, layout="constrained"
)
for ax, (name, values) in zip(axes, sweeps.items(), strict=False):
    ax.semilogx(values, full[name], "o-", color=GREEN, label="KDS to the end")
    ax.semilogx(values, early[name], "o--", color=GREEN, label="KDS, t/T ≥ 0.3")
    lines = unsteered if name == "n_particles" else [ddim] * len(values)
    ax.semilogx(values, lines, ":", color=PURPLE, label="DDIM")
    ax.set(title=labels[name], ylim=(0, 0.11))
    ax.set_xticks(values, labels=[f"{value:g}" for value in values])
    ax.minorticks_off()
axes[0].legend(fontsize=8)
axes[0].set_ylabel("variance within a mode")
axes[3].plot(cutoffs, by_cutoff, "o-", color=GREEN)
axes[3].axhline(ddim, linestyle=":", color=PURPLE)
axes[3].set(title="cut-off in t/T")
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
# ## The schedule, and two ways to get it wrong
#
# Steering acts *early*: \(\delta_t = 0.3\) while \(t/T \ge 0.3\), else 0 (Eq. 10).
# Of 50 evenly spaced steps one falls on \(t/T = 0.3\) exactly, and it is steered.

grid_of_50 = kds_ref.time_grid(50)
assert 300 in grid_of_50
assert [kds_ref.steering_strength(t, 1000) for t in (999, 300, 299)] == [
    0.3,
    0.3,
    0.0,
]
strictly_above = [
    0.3 if t / 1000 > 0.3 else 0.0 for t in (999, 300, 299)
]  # WRONG: ">" for "≥"
assert strictly_above == [0.3, 0.0, 0.0]

# %%
# The other mistake is the schedule upside down: nothing early, everything late. On
# the toy it looks like a success, since late steering is what makes tight
# clusters. It is another method all the same, so compare the strengths, not the
# pictures.


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
# ## What is gained
#
# The particles lie where the density is high. The mean log-likelihood rises from
# −1.34 with DDIM to −1.24 with the cut-off and −0.78 to the end. For restoration,
# where one answer is wanted and not a distribution, this is the point.

likelihoods = [values["mean_log_likelihood"] for values in numbers.values()]
assert [round(float(value), 2) for value in likelihoods] == [-1.34, -1.24, -0.78]

# %%
# ## What is lost: diversity
#
# A log-likelihood of −0.78 is *too good*. Perfect samples of the mixture have
# about −1.4. Particles steered to the end are not samples of the data any more,
# and averages over them are wrong: whoever needs error bars must not steer.

perfect = mixture.sample(100_000, np.random.default_rng(0))
assert round(float(mixture.log_density(perfect).mean()), 1) == -1.4

# %%
# ## What is kept, and when it is lost: the modes
#
# The shares of the three modes hardly change, by less than one point. A particle
# in a mode is pulled to the mode's middle, not into another mode.

for name in ("KDS, t/T ≥ 0.3", "KDS to the end"):
    change = numbers[name]["mode_shares"] - numbers["DDIM"]["mode_shares"]
    assert np.abs(change).max() < 0.01

# %%
# That ends when the bandwidth is as large as the distances between the modes. Then
# the kernel density has a single hill, in the empty space between them, and
# steering to the end drags the particles towards it. They are tight, and in the
# wrong place: with \(h = 1.5\) the likelihood is far below that of plain DDIM.

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
# a single mode it is a good representative. With three, the mean lies between
# them, and the choice falls on whichever mode happens to lie nearest to it: here
# on the first mode in 16 of 20 ensembles, although its share is 40%. Steering is
# not to blame: with plain DDIM it is 16 of 20, too.


def chosen_mode(x: np.ndarray) -> np.ndarray:
    """Index of the mode of each ensemble's chosen particle; x is (S, N, 2)."""
    index = kds_ref.select_particle(x, sample_ndim=1)
    chosen = np.take_along_axis(x, index[:, None, None], axis=1)[:, 0]
    return mixture.responsibilities(chosen).argmax(-1)


for run in (plain, paper):
    assert (chosen_mode(run.snapshots[-1].x) == 0).sum() == 16
assert mixture.weights[0] == 0.4

# %%
# So steering and choosing are two ingredients, and they should be measured apart.
#
# A mistake of public code is to compare each particle with the mean of *its own*
# values, "the pixel mean". That looks at one particle at a time and so knows
# nothing of agreement: move the whole ensemble, and the choice changes.

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
# 1. `python -m toy --help` runs this experiment with error bars and paired tests.
#    Does the change of the shares stay within its standard error?
# 2. Steer to the end with `bandwidth="median"`. The rule measures all distances,
#    those between the modes included. What do you expect, and what happens?

plt.show()
