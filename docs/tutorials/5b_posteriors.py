r"""
# 5b. Posteriors that are known

Does steering make samples *better*? To answer that, one has to know what good means.
The standard is the posterior: the distribution of what the truth can be, given a
measurement. With a network nobody knows it. With a mixture of Gaussians as prior and a
linear measurement it is a mixture of Gaussians again, exactly. This page measures what
KDS, choosing and averaging are worth there. Before you read a result, predict it: write
the number down. You need [page 4](4_steering.md); [page 5](5_patches.md) helps.

![A prior with three modes, the likelihood of a measurement, and their product, a posterior with two
modes](images/5b_posteriors_1.webp){ .figure }
"""

import matplotlib.pyplot as plt
import numpy as np

from toy.mixture import three_modes
from toy.posterior import plane
from toy.posterior.answers import choose
from toy.posterior.conditioning import condition
from toy.posterior.degradations import degradations
from toy.posterior.methods import Method, Steering, run
from toy.posterior.patches import measure_photos
from toy.posterior.photos import from_patches, load_photos
from toy.posterior.prior import load_prior
from toy.posterior.scores import psnr

PURPLE, GREEN, ORANGE = "#6a2c91", "#2fae48", "#c4561a"

# %%
# ## A measurement
#
# The toy's three modes are the prior. Somebody measures the second coordinate of a
# point, with a little noise: \(y = 0.53\). By Bayes' rule the posterior is the prior
# times the likelihood of the measurement, divided by what makes it integrate to 1.
#
# **Predict:** how many modes are left? And is the mean of the posterior a likely
# point?

operator, y = np.array([[0.0, 1.0]]), np.array([0.53])
posterior = condition(three_modes(), operator, y, noise_covariance=0.01 * np.eye(1))

ticks = np.linspace(-2.5, 2.5, 301)
grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
likelihood = np.exp(-((y - grid @ operator.T)[..., 0] ** 2) / (2 * 0.01))
product = three_modes().density(grid) * likelihood
by_hand = product / (product.sum() * (ticks[1] - ticks[0]) ** 2)
assert np.allclose(by_hand, posterior.density(grid), atol=1e-3)

figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, values, title in zip(
    axes,
    (three_modes().density(grid), likelihood, posterior.density(grid)),
    ("prior", "likelihood", "posterior"),
    strict=True,
):
    ax.contourf(ticks, ticks, values, levels=8, cmap="Purples")
    ax.set(title=title, xticks=[], yticks=[], aspect="equal")
axes[2].plot(*posterior.mean(), "kx")
at_mean = float(posterior.log_density(posterior.mean()[None])[0])
print("log density at the mean:", round(at_mean, 2))

# %%
# Two modes are left, and the mean lies between them, where the truth practically never
# is: the log density there is -2.7, that of a random sample 0.1 on average. Even so,
# the mean has the least expected *squared error*.

samples = posterior.sample(20_000, np.random.default_rng(0))
assert (posterior.weights > 0.01).sum() == 2
assert -2.8 < at_mean < -2.6
assert 0.05 < posterior.log_density(samples).mean() < 0.15

# %%
# ## Ten particles
#
# Now sample with DDIM and the exact score: plain, with the paper's KDS (h = 0.3
# while \(t/T \ge 0.3\)), with h = 0.3 to the end, and with h = 3 to the end; 300
# ensembles of ten.
#
# **Predict:** which of the four has particles between the modes? Which has the highest
# log density?

case = plane.exact_cases()["two modes"]
noise = plane.initial_noise(300, 10, seed=0)
wanted = {
    "plain": None,
    "h = 0.3 to 0.3": Steering(),
    "h = 0.3 to the end": Steering(cutoff=0.0),
    "h = 3 to the end": Steering(bandwidth=3.0, cutoff=0.0),
}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
density, error = {}, {}
for ax, (name, steering) in zip(axes, wanted.items(), strict=True):
    particles = run(Method(name=name, steering=steering), case.model, noise, channels=2)
    ax.contourf(ticks, ticks, posterior.density(grid), levels=8, cmap="Greys")
    ax.plot(*particles[:12].reshape(-1, 2).T, ".", color=GREEN, markersize=4)
    ax.plot(*particles[:12].mean(1).T, "kx", markersize=5)
    ax.set(title=name, xticks=[], yticks=[], ylim=(-1, 2), aspect="equal")
    least = np.trace(posterior.covariance())
    error[name] = 1 + float(((particles - posterior.mean()) ** 2).sum(-1).mean() / least)
    density[name] = float(posterior.log_density(particles).mean())
    print(f"{name:18}: error {error[name]:.2f}, log density {density[name]:.2f}")

# %%
# The errors are in units of the least possible; a perfect sample has 2. With the
# paper's cut-off next to nothing happens. A narrow kernel to the end makes likelier
# samples and leaves the error as it was. The wide kernel is the average (crosses) in
# slow motion: the error falls to 1.3, and the particles end where the density is close
# to zero.

assert abs(density["h = 0.3 to 0.3"] - density["plain"]) < 0.05
assert density["h = 0.3 to the end"] > density["plain"] + 0.2
assert density["h = 3 to the end"] < density["plain"] - 1
assert error["h = 3 to the end"] < 1.4 < 1.9 < error["h = 0.3 to the end"]

# %%
# ## A mode that is not there
#
# The paper expects KDS to free particles from spurious modes. So let the truth have one
# mode, and let the model believe in another one, 2.5 away, with a weight of 0.2. Plain
# sampling puts a fifth of the particles there.
#
# **Predict:** what part is left with KDS at h = 0.3? At h = 3 to the end? And how
# often does the *chosen* particle, the one nearest to the ensemble mean, lie in the
# spurious mode, without any steering?

wrong = plane.spurious(0.2, 2.5)
share = {}
for name, steering in wanted.items():
    particles = run(Method(name=name, steering=steering), wrong.model, noise, channels=2)
    share[name] = [
        float(wrong.believed.responsibilities(x)[..., -1].mean())
        for x in (particles, choose(particles))
    ]
    print(f"{name:18}: {share[name][0]:.3f} of all, {share[name][1]:.3f} of the chosen")

# %%
# At the bandwidth of a mode hardly any particle leaves: once the modes have separated,
# a kernel of that width no longer reaches from one to the other. The wide kernel takes
# away more than half. Choosing alone is right in 98 of 100 cases, because the majority
# is right.

assert share["h = 0.3 to 0.3"][0] > 0.9 * share["plain"][0]
assert share["h = 0.3 to the end"][0] > 0.9 * share["plain"][0]
assert share["h = 3 to the end"][0] < 0.5 * share["plain"][0]
assert 0.015 < share["plain"][1] < 0.025

# %%
# ## Photos
#
# Now the same with patches of 8×8 pixels. Their prior, 30 Gaussians in 64 dimensions,
# was fitted to 20,000 patches of photos and comes with the package. Photos are cut into
# pictures of 32×32 pixels; what is measured are the means of 4×4 blocks. Each of the 16
# patches of a picture has its own exact posterior.
#
# **Predict:** how much PSNR lies between one sample and the exact mean? (As above,
# a perfect sample has twice the least error.)

prior = load_prior()
measured = measure_photos(
    prior, load_photos(None), degradations()["average"], pictures=12, seed=0
)
exact = measured.posterior.sample(1, np.random.default_rng(1))
least_error = measured.posterior.total_variance().mean() / 64


def decibels(answers: np.ndarray) -> float:
    """PSNR of the expected squared error, over all that the truth can be."""
    rest = ((answers - measured.posterior.mean()[:, None]) ** 2).sum(-1).mean() / 64
    return psnr(float(rest + least_error), prior.scale)


at_least = decibels(measured.posterior.mean()[:, None])
gap = at_least - decibels(exact)
print(f"the mean: {at_least:.2f} dB; a sample: {gap:.2f} dB less")
assert abs(gap - 10 * np.log10(2)) < 0.2

# %%
# Three decibels, which is \(10 \log_{10} 2\). Everything that follows happens between
# these two.
#
# **Predict:** where do the paper's KDS, KDS to the end, the chosen particle (one for
# the whole picture of 16 patches) and the average of ten lie? And high-density
# sampling (HDS), which doubles the score below \(t/T = 0.3\) and needs *one* particle?

lines = {
    "plain": {},
    "KDS to 0.3": {"steering": Steering()},
    "KDS to the end, h = 1": {"steering": Steering(bandwidth=1.0, cutoff=0.0)},
    "HDS": {"hds": 0.3},
}
found, kept = {}, {}
for name, options in lines.items():
    particles = run(
        Method(name=name, steps=25, **options), measured.posterior, measured.noise
    ).astype(float)
    kept[name] = particles
    found[name] = [
        decibels(x)
        for x in (particles, choose(particles, group=16), particles.mean(1)[:, None])
    ]
    likely = measured.posterior.log_density(particles).mean()
    one, chosen, average = found[name]
    print(
        f"{name:22} one {one:.2f}, chosen {chosen:.2f}, average {average:.2f} dB; "
        f"log density {likely:.0f}"
    )

# %%
# The paper's KDS gives a few tenths of a decibel, choosing more, the plain average
# nearly everything. KDS to the end brings *every* particle near the average. And a
# single particle of HDS comes just as near, and is likelier, with a tenth of the work.

plain, paper, full, hds = found.values()
assert 0.1 < paper[0] - plain[0] < 0.5 < plain[1] - plain[0]
assert plain[2] > at_least - 0.6
assert full[0] > plain[2] - 0.5
assert hds[0] > full[0] - 0.2

figure, axes = plt.subplots(1, 6, figsize=(11, 2.3), layout="constrained")
blocks = measured.truth.reshape(-1, 2, 4, 2, 4).mean((2, 4))
pictures = {
    "truth": measured.truth,
    "its blocks": blocks.repeat(4, 1).repeat(4, 2).reshape(-1, 64),
    "exact mean": measured.posterior.mean(),
    "plain, one": kept["plain"][:, 0],
    "KDS to the end": kept["KDS to the end, h = 1"][:, 0],
    "HDS, one": kept["HDS"][:, 0],
}
for ax, (title, patches) in zip(axes, pictures.items(), strict=True):
    picture = from_patches(prior.to_grey(patches).reshape(-1, 16, 64), 8)[1]
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set(title=title, xticks=[], yticks=[])

# %%
# ## What the ensemble itself is worth
#
# If you want only a small error, take the average. Samples can do more: they show *how
# far* the truth may lie from them. For calibrated particles the mean squared distance
# between two of them equals that between one of them and the truth.
#
# **Predict:** what is the ratio of the two for plain DDIM, KDS to 0.3, KDS to the end,
# and HDS?

spread = {}
for name, particles in kept.items():
    within = 2 * particles.var(axis=1, ddof=1).sum(-1).mean()
    rest = ((particles - measured.posterior.mean()[:, None]) ** 2).sum(-1).mean()
    spread[name] = float(within / (rest + measured.posterior.total_variance().mean()))
print({name: round(value, 2) for name, value in spread.items()})

# %%
# The particles of 25 steps of plain DDIM are already too sure of themselves. KDS to the
# end and HDS are not samples of the posterior at all: their particles agree, and are
# wrong by far more than they differ.

assert 0.6 < spread["plain"] < 0.9
assert spread["KDS to 0.3"] < spread["plain"]
assert spread["KDS to the end, h = 1"] < 0.35
assert spread["HDS"] < 0.35

# %%
# ## Choosing in large pictures
#
# Choosing takes one particle for the whole picture. With one place, one of the ten is
# nearly always right by luck. With many independent places no particle is right
# everywhere.
#
# **Predict:** what part of the way from a random particle to the average does choosing
# go with 1, 4, 16 and 64 places?

error_of = {
    name: ((x - measured.posterior.mean()[:, None]) ** 2).sum(-1).mean()
    for name, x in (
        ("one", kept["plain"]),
        ("average", kept["plain"].mean(1)[:, None]),
        *((group, choose(kept["plain"], group=group)) for group in (1, 4, 16, 64)),
    )
}
way = {
    group: float((error_of["one"] - error_of[group]) / (error_of["one"] - error_of["average"]))
    for group in (1, 4, 16, 64)
}
print({group: round(part, 2) for group, part in way.items()})
figure, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
ax.semilogx(list(way), list(way.values()), "o-", color=ORANGE)
ax.set(
    title="what choosing is worth",
    xlabel="independent places in a picture",
    ylabel="part of the way to the average",
    ylim=(0, 1),
)
ax.set_xticks(list(way), labels=[str(group) for group in way])
ax.minorticks_off()
assert sorted(way.values(), reverse=True) == list(way.values())
assert way[1] > 0.7 > 0.55 > way[64]

# %%
# A photo has thousands of places. That choosing still helps with latent diffusion
# models shows that their particles differ in something that all places share, such as
# brightness or sharpness. [What replicates](../../replication/index.md) says how much of
# the gain comes from choosing there.
#
# [When does KDS help?](../../posterior/index.md) has all of this for many more cases,
# with intervals, other degradations and the known bound. [The linear
# theory](../../explanation/linear-theory.md) says why steering to the cut-off does so
# little.
#
# ## Exercises
#
# Guess first, then run. Each solution continues the page's own code.
#
# **1.** Move the spurious mode nearer: `plane.spurious(0.2, 0.8)`. Does the kernel of
# \(h = 0.3\), to the end, now take particles out of it?
#
# ??? success "Solution"
#     Some: at this distance the modes overlap, and the kernel reaches from one to the
#     other. The wide kernel still takes more.
#
#     ```python
#     near = plane.spurious(0.2, 0.8)
#     part = {}
#     for name in ("plain", "h = 0.3 to the end", "h = 3 to the end"):
#         x = run(Method(name=name, steering=wanted[name]), near.model, noise, channels=2)
#         part[name] = float(near.believed.responsibilities(x)[..., -1].mean())
#     print({name: round(value, 3) for name, value in part.items()})
#     assert part["h = 3 to the end"] < part["h = 0.3 to the end"] < 0.95 * part["plain"]
#     ```
#
# **2.** `Method(renoise=0.3)` averages the ensemble at \(t/T = 0.3\), adds noise again
# and continues with one particle. Is it nearer to a plain sample or to the average?
#
# ??? success "Solution"
#     It lies about half way. The average of the *predictions* at \(t/T = 0.3\) is a good
#     one, but the noise that is added again is as large as the picture, and from there
#     the particle decides on its own.
#
#     ```python
#     renoised = run(
#         Method(name="renoise", steps=25, renoise=0.3), measured.posterior, measured.noise
#     )
#     found_there = decibels(renoised.astype(float))
#     part_of_the_way = (found_there - plain[0]) / (plain[2] - plain[0])
#     print(f"{found_there:.2f} dB, {part_of_the_way:.0%} of the way to the average")
#     assert 0.3 < part_of_the_way < 0.6
#     ```
#
# **3.** Derive that a perfect sample has twice the squared error of the exact mean, and the
# average of \(N\) samples \(1 + 1/N\) times.
#
# ??? success "Solution"
#     Truth and samples are independent draws from one posterior with variance \(v\). The
#     mean has the error \(v\). A sample adds its own \(v\), the average of \(N\) adds
#     \(v/N\).
#
#     ```python
#     draws = measured.posterior.sample(11, np.random.default_rng(2))
#     truth_of_each, ten = draws[:, :1], draws[:, 1:]
#     mean = measured.posterior.mean()[:, None]
#     v = ((truth_of_each - mean) ** 2).sum(-1).mean()
#     sample_error = ((truth_of_each - ten) ** 2).sum(-1).mean()
#     average_error = ((truth_of_each - ten.mean(1, keepdims=True)) ** 2).sum(-1).mean()
#     assert abs(sample_error / v - 2) < 0.15
#     assert abs(average_error / v - 1.1) < 0.1
#     ```

plt.show()
