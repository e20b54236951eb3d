r"""
# 3. Diffusion in two dimensions

A diffusion model turns noise into data step by step. Usually a network says where
to step, and one cannot tell its errors from the method's. Here the data is a
mixture of three Gaussians in the plane, so everything that the network would have
to learn is a formula. You need NumPy and [page 1](1_densities.md).

![The paths of 80 particles from noise to three modes of data](images/3_diffusion_3.webp){ .figure }
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

import kds_ref
from toy.mixture import three_modes
from toy.statistics import ensemble_statistics

mixture = three_modes()
schedule = kds_ref.cosine_schedule()
PURPLE = "#6a2c91"

# %%
# ## Noise, added on purpose
#
# The forward process mixes a data point \(z_0\) with normal noise \(\epsilon\)
# (KDS Eq. 3, v1):
#
# \[ z_t = \sqrt{\bar\alpha_t}\; z_0 + \sqrt{1 - \bar\alpha_t}\; \epsilon . \]
#
# \(t\) counts the 1000 training timesteps, and the schedule says how much of the data
# is left: \(\bar\alpha\) falls from nearly 1 (clean) through a half in the middle to
# nearly 0 (noise alone).
#
# **Predict:** the data has three modes. Can you still tell them apart at \(t = 300\)?
# At 600?

assert schedule.num_train_timesteps == 1000
assert schedule.alpha_bar(0) > 0.9999
assert round(schedule.alpha_bar(499), 2) == 0.49
assert schedule.alpha_bar(999) < 1e-8

rng = np.random.default_rng(0)
clean = mixture.sample(300, rng)
noise = rng.standard_normal(clean.shape)
ticks = np.linspace(-3.2, 3.2, 161)
grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)


def panel(ax: plt.Axes, alpha_bar: float, title: str) -> None:
    """The exact density at a noise level."""
    ax.contourf(
        ticks,
        ticks,
        mixture.density(grid, alpha_bar=alpha_bar),
        levels=8,
        cmap="Greys",
        alpha=0.6,
    )
    ax.set(
        title=title,
        aspect="equal",
        xlim=(-3.2, 3.2),
        ylim=(-3.2, 3.2),
        xticks=[],
        yticks=[],
    )


figure, axes = plt.subplots(1, 4, figsize=(10, 3.0), layout="constrained")
for ax, t in zip(axes, (0, 300, 600, 999), strict=True):
    alpha_bar = schedule.alpha_bar(t)
    noisy = kds_ref.add_noise(clean, noise, alpha_bar)
    assert np.allclose(
        noisy, np.sqrt(alpha_bar) * clean + np.sqrt(1 - alpha_bar) * noise
    )
    panel(ax, alpha_bar, f"t = {t}")
    ax.plot(*noisy.T, ".", color=PURPLE, markersize=2)
figure.suptitle("data on its way to noise")

# %%
# At 300 yes, at 600 hardly. A Gaussian plus Gaussian noise is a Gaussian again. So the
# noised data is a mixture of three Gaussians at every \(t\), and its density, grey in
# the figure, is exact: the means are multiplied by \(\sqrt{\bar\alpha_t}\), the
# covariances by \(\bar\alpha_t\), and the noise adds \((1 - \bar\alpha_t) I\).
#
# ## The score
#
# To go back, one has to know in which direction the data lies. This is the score, the
# gradient of the log-density of the noised data. [Page 2](2_gradients.md) had such a
# gradient, too: there it belonged to a kernel density estimate, here it belongs to the
# data itself. As there, check it against differences.

points = rng.uniform(-2.5, 2.5, (500, 2))
alpha_bar, step = schedule.alpha_bar(500), 1e-5
score = mixture.score(points, alpha_bar=alpha_bar)
for axis, direction in enumerate(np.eye(2)):
    ahead, behind = (
        mixture.log_density(points + s * step * direction, alpha_bar=alpha_bar)
        for s in (1, -1)
    )
    assert np.allclose(score[:, axis], (ahead - behind) / (2 * step), atol=1e-6)

# %%
# In case you want to type the toy yourself, here is its score without the library. Each
# Gaussian pulls towards its own mean, and the likelier it is to have produced the
# point, the harder it pulls. The weights, means and covariances of the three are
# printed below.


def score_by_hand(z: np.ndarray, alpha_bar: float) -> np.ndarray:
    """Score of three noised Gaussians; (n, 2) -> (n, 2)."""
    log_share, pull = [], []
    for weight, mean, covariance in zip(
        mixture.weights, mixture.means, mixture.covariances, strict=True
    ):
        noised = alpha_bar * covariance + (1 - alpha_bar) * np.eye(2)
        away = z - np.sqrt(alpha_bar) * mean
        back = -away @ np.linalg.inv(noised)
        pull.append(back)
        log_density = (away * back).sum(1) / 2 - np.log(np.linalg.det(noised)) / 2
        log_share.append(np.log(weight) + log_density)
    share = np.exp(log_share - np.max(log_share, axis=0))
    share /= share.sum(0)
    return (share[..., None] * np.array(pull)).sum(0)


assert np.allclose(score_by_hand(points, alpha_bar), score)
print(mixture.weights, mixture.means.tolist(), mixture.covariances.tolist())

# %%
# A diffusion model predicts the noise instead,
# \(\epsilon = -\sqrt{1 - \bar\alpha_t}\; \nabla \log p_t(z_t)\), which says the
# same. The noise gives the model's estimate of the clean point (KDS Eq. 6):
#
# \[ \hat z_{0 \mid t} = \frac{z_t - \sqrt{1 - \bar\alpha_t}\; \epsilon}{\sqrt{\bar\alpha_t}} . \]

eps = mixture.eps(points, alpha_bar=alpha_bar)
x0_pred = kds_ref.predict_x0(points, eps, alpha_bar)
assert np.allclose(eps, -np.sqrt(1 - alpha_bar) * score)
assert np.allclose(
    x0_pred, (points - np.sqrt(1 - alpha_bar) * eps) / np.sqrt(alpha_bar)
)

# %%
# ## What the predicted clean point is, and is not
#
# It is not a sample. It is the *mean* of all clean points from which \(z_t\) may have
# been made. This can be checked without any score: draw many clean points, weigh each
# with the probability that noise takes it to \(z_t\), and average.

many = mixture.sample(200_000, rng)
for point, predicted in zip(points[:3], x0_pred[:3], strict=True):
    log_weight = -((point - np.sqrt(alpha_bar) * many) ** 2).sum(1) / (
        2 * (1 - alpha_bar)
    )
    weight = np.exp(log_weight - log_weight.max())
    average = weight @ many / weight.sum()
    assert np.allclose(average, predicted, atol=0.03)

# %%
# **Predict:** where do 300 particles predict their clean points at \(t = 900\): all over
# the plane, in the three modes, or somewhere else? From which \(t\) on are they in the
# modes?

figure, axes = plt.subplots(1, 4, figsize=(10, 3.0), layout="constrained")
spread = []
for ax, t in zip(axes, (900, 600, 300, 100), strict=True):
    alpha_bar = schedule.alpha_bar(t)
    noisy = kds_ref.add_noise(clean, noise, alpha_bar)
    predicted = kds_ref.predict_x0(
        noisy, mixture.eps(noisy, alpha_bar=alpha_bar), alpha_bar
    )
    panel(ax, 1.0, f"t = {t}")
    ax.plot(*predicted.T, ".", color=PURPLE, markersize=3)
    spread.append(predicted.std(0).mean())
figure.suptitle("predicted clean points")
assert spread == sorted(spread)
assert spread[0] < 0.2 < 0.9 < spread[-1]

# %%
# At the noisy end \(z_t\) says next to nothing, and all particles predict nearly the
# same point, the mean of the data. It lies between the modes, where the data never is.
# Later the predictions separate, and in the end each lies inside a mode. KDS acts on
# these predictions. Remember the pictures on the left and in the middle when you ask
# what their kernel density can show.
#
# ## DDIM is four lines
#
# A step of DDIM (KDS Eq. 4, Algorithm 1) takes the prediction apart into clean
# point and noise, and mixes the two again with a little less noise:
#
# \[ z_s = \sqrt{\bar\alpha_s}\; \hat z_{0 \mid t} + \sqrt{1 - \bar\alpha_s}\; \epsilon . \]

timesteps = kds_ref.time_grid(50, spacing="trailing")
assert timesteps[:3] == (999, 979, 959)
start = np.random.default_rng(1).standard_normal((200, 2))

x = start
levels = [schedule.alpha_bar(t) for t in timesteps] + [1.0]
way = [x]
for here, there in pairwise(levels):
    eps = mixture.eps(x, alpha_bar=here)
    x0_pred = (x - np.sqrt(1 - here) * eps) / np.sqrt(here)
    x = np.sqrt(there) * x0_pred + np.sqrt(1 - there) * eps
    way.append(x)


def denoiser(x_t: np.ndarray, t: float) -> np.ndarray:
    """The ideal model; the ODE below also asks between the timesteps."""
    return mixture.eps(x_t, alpha_bar=schedule.continuous_alpha_bar(t))


result = kds_ref.ddim(denoiser, start, schedule=schedule, timesteps=timesteps)
assert np.allclose(result.x0, x)
assert result.num_model_evaluations == 50

# %%
# The figure shows the paths of the particles from noise (light) to data (dark). There
# is no randomness in them: the initial noise decides where each one ends.

figure, ax = plt.subplots(figsize=(4.6, 4.6), layout="constrained")
panel(ax, 1.0, "50 steps of DDIM")
for path in np.stack(way, axis=1)[:80]:
    ax.plot(*path.T, color=PURPLE, linewidth=0.4, alpha=0.5)
ax.plot(*x[:80].T, ".", color=PURPLE, markersize=4)

# %%
# Two mistakes are easy to make here. **The last step** must end at
# \(\bar\alpha = 1\), clean. Code that ends at the first training level instead
# returns a point with noise in it. With the schedule of latent diffusion
# (`scaled_linear_schedule`) that level is 0.99915, and the noise left has a
# standard deviation of 0.029.

first_level = kds_ref.scaled_linear_schedule().alpha_bar(0)
assert round(first_level, 5) == 0.99915
assert round(np.sqrt(1 - first_level), 3) == 0.029

# %%
# **Fresh noise** may be added in every step (\(\eta = 1\)), and this changes the
# result by itself. A comparison of plain DDIM with \(\eta = 1\) against KDS with
# \(\eta = 0\) measures the noise, not the steering. From the same start:

fresh = np.random.default_rng(2)
stochastic = kds_ref.ddim(
    denoiser,
    start,
    schedule=schedule,
    timesteps=timesteps,
    eta=1.0,
    noise=lambda x_t, step: fresh.standard_normal(x_t.shape),
)
# other points altogether
assert np.linalg.norm(stochastic.x0 - result.x0, axis=1).mean() > 0.5

# %%
# ## The equation behind it
#
# Make the steps smaller and smaller, and DDIM follows a curve, the solution of the
# probability-flow ODE (KDS Eq. 3, CR, without steering)
#
# \[ \frac{dz}{dt} = f(t)\, z - \frac{g(t)^2}{2} \nabla \log p_t(z) . \]
#
# `ProbabilityFlowODE` is its right-hand side in the form that SciPy's solvers
# take. Solved to a tolerance of \(10^{-7}\), it is the truth that a sampler can be
# held against.
#
# **Predict:** by how much does the error fall with twice as many steps? DPM-Solver++
# (2M) also uses the previous prediction: by how much does its error fall?

ode = kds_ref.ProbabilityFlowODE(denoiser, start, schedule=schedule)
solution = solve_ivp(ode, (999.0, 0.0), ode.flatten(start), rtol=1e-7, atol=1e-7)
assert solution.success
truth = ode.predict_x0(0.0, solution.y[:, -1])

step_counts = (10, 25, 50, 100, 200)
errors: dict[str, list[float]] = {"DDIM": [], "DPM-Solver++ 2M": []}
for count in step_counts:
    even = kds_ref.time_grid(count, spacing="linspace")
    for name, sampler in (
        ("DDIM", kds_ref.ddim),
        ("DPM-Solver++ 2M", kds_ref.dpm_solver_pp_2m),
    ):
        end = sampler(denoiser, start, schedule=schedule, timesteps=even).x0
        errors[name].append(float(np.median(np.linalg.norm(end - truth, axis=1))))

# %%
# DDIM is a method of first order: twice the steps, half the error. DPM-Solver++ (2M)
# also uses the previous prediction and is of second order: twice the steps, a quarter
# of the error. With few steps the order says little: with ten, DDIM is about as good
# here.

for name in errors:
    halvings = [
        errors[name][i] / errors[name][i + 1] for i in (2, 3)
    ]  # 50 -> 100 -> 200 steps
    print(
        f"{name}: doubling the steps divides the error by {halvings[0]:.2f} and {halvings[1]:.2f}"
    )
    low, high = (1.9, 2.1) if name == "DDIM" else (3.7, 4.3)
    assert all(low < factor < high for factor in halvings)
assert errors["DDIM"][0] < 1.2 * errors["DPM-Solver++ 2M"][0]

figure, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
for name, marker in (("DDIM", "o-"), ("DPM-Solver++ 2M", "s--")):
    ax.loglog(step_counts, errors[name], marker, label=name)
ax.set(
    title="distance to the ODE's solution",
    xlabel="number of steps",
    ylabel="median error",
)
ax.set_xticks(step_counts, labels=[str(count) for count in step_counts])
ax.minorticks_off()
ax.legend()

# %%
# ## Does it sample the right distribution?
#
# **Predict:** the variance within a mode is 0.090 for the data. With 10 steps of DDIM,
# is it larger, smaller, or the same? With 250?

ensembles = np.random.default_rng(3).standard_normal((20, 500, 2))
variance = {}
for count in (10, 50, 250):
    grid_of_steps = kds_ref.time_grid(count, spacing="trailing")
    end = kds_ref.ddim(
        denoiser, ensembles, schedule=schedule, timesteps=grid_of_steps
    ).x0
    statistics = ensemble_statistics(end, mixture)
    variance[count] = statistics["within_mode_variance"].mean()
    assert np.allclose(
        statistics["mode_shares"].mean(0), mixture.weights, atol=0.02
    )
    print(f"{count} steps: variance within a mode {variance[count]:.3f}")
target = mixture.weights @ np.trace(mixture.covariances, axis1=1, axis2=2) / 2
assert round(float(target), 3) == 0.09
assert [round(float(v), 3) for v in variance.values()] == [0.073, 0.086, 0.089]

# %%
# Smaller: DDIM is right in the limit, and with few steps it ends too close to the
# middle of each mode. The shares of the three modes are right from the start. Keep this
# in mind on the [next page](4_steering.md): KDS also pulls particles together, and has
# to be compared with DDIM at the same number of steps, not with the data.
#
# ## Exercises
#
# Guess first, then run. Each solution continues the page's own code.
#
# **1.** The data is one Gaussian with mean \(\mu\) and variance \(v\) in every
# direction. Derive \(\hat z_0\) from \(z_t\). What is it where \(\bar\alpha\) is 1, and
# what where it is 0?
#
# ??? success "Solution"
#     \(\hat z_0 = \mu + \frac{\sqrt{\bar\alpha}\, v}{\bar\alpha v + 1 - \bar\alpha}\,
#     (z_t - \sqrt{\bar\alpha}\, \mu)\): the point itself in the first case, the mean in
#     the second.
#
#     ```python
#     from toy.mixture import GaussianMixture
#
#     mean, v = np.array([1.0, -2.0]), 0.3
#     one = GaussianMixture([1.0], mean[None], [v * np.eye(2)])
#     for level in (0.9, 0.5, 0.1):
#         by_hand = mean + np.sqrt(level) * v / (level * v + 1 - level) * (
#             points - np.sqrt(level) * mean
#         )
#         eps = one.eps(points, alpha_bar=level)
#         assert np.allclose(kds_ref.predict_x0(points, eps, level), by_hand)
#     ```
#
# **2.** Take `linear_schedule()` for the cosine schedule. At \(t = 999\) a little of the
# data is left, and the sampler starts from pure noise. Does DDIM notice?
#
# ??? success "Solution"
#     Hardly: the noise is 157 times as large as the data there. With the schedule of
#     latent diffusion it is only 15 times.
#
#     ```python
#     linear = kds_ref.linear_schedule()
#     assert round(linear.noise_to_signal(999)) == 157
#     assert round(kds_ref.scaled_linear_schedule().noise_to_signal(999)) == 15
#     end = kds_ref.ddim(
#         lambda x_t, t: mixture.eps(x_t, alpha_bar=linear.alpha_bar(t)),
#         ensembles,
#         schedule=linear,
#         timesteps=kds_ref.time_grid(50, spacing="trailing"),
#     ).x0
#     shares = ensemble_statistics(end, mixture)["mode_shares"].mean(0)
#     assert np.allclose(shares, mixture.weights, atol=0.02)
#     ```
#
# **3.** Take the score of a narrow kernel density estimate of 300 data points instead of
# the exact one. Where do the particles end?
#
# ??? success "Solution"
#     On the 300 points: this is a model that has memorised its training set.
#
#     ```python
#     from toy.mixture import GaussianMixture
#
#     width = 0.02
#     memory = GaussianMixture(
#         np.full(300, 1 / 300), clean, np.broadcast_to(width**2 * np.eye(2), (300, 2, 2))
#     )
#     end = kds_ref.ddim(
#         lambda x_t, t: memory.eps(x_t, alpha_bar=schedule.alpha_bar(t)),
#         start,
#         schedule=schedule,
#         timesteps=timesteps,
#     ).x0
#     to_data = np.linalg.norm(end[:, None] - clean, axis=-1).min(1)
#     assert np.median(to_data) < 2 * width
#     ```
#
# **4.** Does DPM-Solver++ (2M) lose as much variance as DDIM, with 10, 20 and 40 steps?
#
# ??? success "Solution"
#     With 20 and 40 steps less, with 10 more. A higher order pays once the steps are
#     small enough.
#
#     ```python
#     lost = {}
#     for steps in (10, 20, 40):
#         for sampler in (kds_ref.ddim, kds_ref.dpm_solver_pp_2m):
#             grid = kds_ref.time_grid(steps, spacing="dpm")
#             end = sampler(denoiser, ensembles, schedule=schedule, timesteps=grid).x0
#             left = ensemble_statistics(end, mixture)["within_mode_variance"].mean()
#             lost[sampler.__name__, steps] = float(target - left)
#     print({key: round(value, 3) for key, value in lost.items()})
#     assert lost["dpm_solver_pp_2m", 10] > lost["ddim", 10] > 0
#     assert all(lost["ddim", n] > lost["dpm_solver_pp_2m", n] > 0 for n in (20, 40))
#     ```

plt.show()
