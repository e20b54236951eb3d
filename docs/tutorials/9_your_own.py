r"""
# 9. Write your own kernel, bandwidth rule or sampler

The parts of this project meet in three places, and at each you can put something
of your own. A kernel is a function of the squared distance. A bandwidth is a number
or an array, however you came by it. A sampler calls a denoiser and a steering
function. So a new idea is a function of yours, and no line of `kds_ref` has to
change. This page writes one of each, and the test that each needs.

![The toy steered with two bandwidth rules: between the modes with one, on them with the
other](images/9_your_own_2.webp){ .figure }
"""

import matplotlib.pyplot as plt
import numpy as np
from array_api_compat import array_namespace
from scipy.integrate import quad, solve_ivp

import kds_ref
from toy.mixture import three_modes
from toy.statistics import ensemble_statistics

rng = np.random.default_rng(0)
PURPLE, GREEN = "#6a2c91", "#2fae48"

# %%
# ## A kernel
#
# Ten particles agree about a value, and one is far off. A Gaussian forgets the outlier
# at once; equal weights follow it. A kernel with heavy tails lies between the two:
# Student's profile with \(\nu\) degrees of freedom,
#
# \[ G(u) = \Big(1 + \frac{u}{\nu}\Big)^{-(\nu + 1)/2}, \qquad u = \frac{\lVert x - x_k \rVert^2}{h^2} . \]
#
# A `Kernel` takes the *logarithm* of the profile. That is all that `mean_shift`
# and `steer` need. Write it with the array library of its argument, and it serves
# NumPy and torch alike.
#
# **Predict:** ten values lie around 0 and one at 4. Which of three kernels pulls a point
# at \(x = 2\) to the right?


def student(nu: float) -> kds_ref.Kernel:
    """Kernel with Student's profile."""

    def log_profile(u):
        return -0.5 * (nu + 1.0) * array_namespace(u).log1p(u / nu)

    return kds_ref.Kernel(f"student{nu:g}", log_profile=log_profile)


values = np.append(rng.normal(0.0, 0.3, 10), 4.0)[:, None]
query = np.linspace(-2.0, 6.0, 401)[:, None]
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for kernel, name in (
    ("gaussian", "Gaussian"),
    (student(1.0), "Student, ν = 1"),
    ("l2", "equal weights"),
):
    ax.plot(
        query,
        kds_ref.mean_shift(query, values, bandwidth=0.5, kernel=kernel),
        label=name,
    )
ax.plot(values, np.zeros_like(values), "|", color="black", markersize=14)
ax.axhline(0.0, color="black", linewidth=0.5)
ax.set(
    title="mean shift of three kernels, h = 0.5",
    xlabel="x",
    ylabel="m(x)",
    ylim=(-6, 3),
)
ax.legend(fontsize=8)

# %%
# None: the ten are about as near as the one, and there are more of them. At \(x = 3\),
# however, the Gaussian no longer sees them, and Student's kernel still does.

at = np.array([[2.0], [3.0]])
for kernel, signs in (("gaussian", [-1, 1]), (student(1.0), [-1, -1]), ("l2", [-1, -1])):
    m = kds_ref.mean_shift(at, values, bandwidth=0.5, kernel=kernel)
    assert np.sign(m[:, 0]).tolist() == signs

# %%
# Test 1 is the formula in another form: a weighted mean, written with a loop. Test 2 is
# a limit: \(\nu \to \infty\) is the Gaussian. Test 3 is the other array library.


def by_hand(x: float, nu: float, h: float) -> float:
    """Eq. 5 for one point, with Python's own arithmetic."""
    weights = [
        (1 + (x - v) ** 2 / h**2 / nu) ** (-(nu + 1) / 2) for v in values[:, 0]
    ]
    return sum(
        w * (v - x) for w, v in zip(weights, values[:, 0], strict=True)
    ) / sum(weights)


ours = kds_ref.mean_shift(query, values, bandwidth=0.5, kernel=student(1.0))
assert np.allclose(ours[:, 0], [by_hand(float(x), 1.0, 0.5) for x in query[:, 0]])
gaussian = kds_ref.mean_shift(query, values, bandwidth=0.5)
near = np.abs(query[:, 0]) < 1.0
assert np.allclose(
    kds_ref.mean_shift(query, values, bandwidth=0.5, kernel=student(1e8))[near],
    gaussian[near],
    atol=1e-5,
)

# %%
# The third test needs torch; the same kernel serves it.

try:
    import torch
except ModuleNotFoundError:
    print("torch is not installed: this block is skipped")
else:
    in_torch = kds_ref.mean_shift(
        torch.asarray(query),
        torch.asarray(values),
        bandwidth=0.5,
        kernel=student(1.0),
    )
    assert np.allclose(in_torch.numpy(), ours)

# %%
# ### Which density does it climb?
#
# The density whose profile \(K\) has the slope \(-2K' = c\,G\); \(K\) is the shadow of
# \(G\) ([page 2](2_gradients.md)). Integrate: for \(\nu > 1\) it is \(K(u) = (1 +
# u/\nu)^{-(\nu - 1)/2}\). A kernel that is to have a density also needs the logarithm
# of its slope, \(-2K'\), and of its integral over space. In one dimension and for \(\nu
# = 4\) the integral is finite; take it numerically.

nu = 4.0


def log_volume(dimension: int) -> float:
    """Log of the integral of K over the line."""
    if dimension != 1:
        raise NotImplementedError("written for one dimension")
    return float(
        np.log(
            quad(lambda r: (1 + r * r / nu) ** (-(nu - 1) / 2), -np.inf, np.inf)[0]
        )
    )


shadow = kds_ref.Kernel(
    "student4-shadow",
    log_profile=lambda u: -0.5 * (nu - 1.0) * array_namespace(u).log1p(u / nu),
    log_slope=lambda u: (
        np.log((nu - 1.0) / nu)
        - 0.5 * (nu + 1.0) * array_namespace(u).log1p(u / nu)
    ),
    log_volume=log_volume,
)
kernel = student(nu)._replace(shadow=shadow)

shift = kds_ref.mean_shift(query, values, bandwidth=0.5, kernel=kernel)
gradient = kds_ref.log_density_gradient(
    query, values, bandwidth=0.5, kernel=kds_ref.shadow_kernel(kernel)
)
assert (np.sign(shift) == np.sign(gradient)).all()  # it climbs
fine = np.linspace(-400.0, 400.0, 400_001)
log_p = kds_ref.log_density(fine[:, None], values, bandwidth=0.5, kernel=shadow)
assert abs(np.trapezoid(np.exp(log_p), fine) - 1.0) < 1e-3  # it is a density
numeric = np.gradient(
    kds_ref.log_density(query, values, bandwidth=0.5, kernel=shadow), query[:, 0]
)
# and this is its gradient
assert np.allclose(gradient[1:-1, 0], numeric[1:-1], atol=0.01)

# %%
# ## A bandwidth rule
#
# A rule reads \(h\) off the particles. Yours is a function from patches to an
# array, one number for each location, and `steer` takes the array. Here: \(h\) is
# the distance to the third-nearest particle, the median over the particles. It
# looks at neighbours only, so that far modes do not widen it.


def third_neighbour(locations: np.ndarray) -> np.ndarray:
    """Bandwidth of every location from (..., L, N, D) patches: (..., L)."""
    distance = np.linalg.norm(
        locations[..., :, None, :] - locations[..., None, :, :], axis=-1
    )
    return np.median(np.sort(distance, axis=-1)[..., 3], axis=-1)


locations = rng.standard_normal((16, 10, 3))
h = third_neighbour(locations)
assert h.shape == (16,)
# test: in the units of the particles
assert np.allclose(third_neighbour(10.0 * locations), 10.0 * h)
assert np.allclose(third_neighbour(locations[:, ::-1]), h)  # test: no order
assert (
    third_neighbour(np.ones((16, 10, 3))) == 0.0
).all()  # equal particles have no scale

# %%
# A sampler calls its steering as `steering(x0_pred, t)` and goes on with what
# comes back. So the rule goes into a function, and the function into `ddim`.
# Compare it with the built-in median of *all* distances, on the toy, steered to
# the end.
#
# **Predict:** the modes are further apart than they are wide. Which of the two rules
# ends on the modes?

mixture = three_modes()
schedule = kds_ref.cosine_schedule()
timesteps = kds_ref.time_grid(50, spacing="trailing")
start = np.random.default_rng(1).standard_normal((20, 50, 2))


def denoiser(x_t: np.ndarray, t: float) -> np.ndarray:
    """The exact model of page 3."""
    return mixture.eps(x_t, alpha_bar=schedule.continuous_alpha_bar(t))


def neighbour_steering(
    x0_pred: np.ndarray, t: float
) -> tuple[np.ndarray, kds_ref.SteeringInfo]:
    """KDS with our rule, in every step."""
    h = third_neighbour(
        x0_pred
    )  # (20,): the whole point is one patch, one h per ensemble
    return kds_ref.steer(
        x0_pred, bandwidth=h, strength=0.3, patch_size=None, sample_ndim=1
    )


median_steering = kds_ref.KernelDensitySteering(
    bandwidth="median", cutoff=0.0, patch_size=None, sample_ndim=1
)
ends, likelihood, variance = {}, {}, {}
for name, steering in (
    ("none", None),
    ("third neighbour", neighbour_steering),
    ("median", median_steering),
):
    ends[name] = kds_ref.ddim(
        denoiser, start, schedule=schedule, timesteps=timesteps, steering=steering
    ).x0
    statistics = ensemble_statistics(ends[name], mixture)
    likelihood[name] = float(statistics["mean_log_likelihood"].mean())
    variance[name] = float(statistics["within_mode_variance"].mean())
    print(
        f"{name:16} variance within a mode {variance[name]:.4f}, log-likelihood {likelihood[name]:.2f}"
    )

# %%
# The median of all distances is as large as the distance of the modes, and drags
# the particles between them. The rule of neighbours stays inside the modes.

assert likelihood["median"] < likelihood["none"] < likelihood["third neighbour"]
assert variance["third neighbour"] < variance["none"]
figure, axes = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained")
ticks = np.linspace(-2.6, 2.6, 161)
density = mixture.density(np.stack(np.meshgrid(ticks, ticks), axis=-1))
for ax, name in zip(axes, ("median", "third neighbour"), strict=True):
    ax.contourf(ticks, ticks, density, levels=8, cmap="Greys", alpha=0.6)
    ax.plot(*ends[name][0].T, "o", color=GREEN, markersize=4)
    ax.set(title=f"bandwidth: {name}", aspect="equal", xticks=[], yticks=[])

# %%
# ## A sampler
#
# Heun's method takes an Euler step, asks the model again at its end, and repeats
# the step with the average of the two slopes. In the variables
# \(\sigma = \sqrt{(1 - \bar\alpha)/\bar\alpha}\) and \(y = z/\sqrt{\bar\alpha}\)
# the probability-flow ODE is \(dy/d\sigma = \epsilon\) (Karras et al., 2022), and
# an Euler step of it is exactly DDIM. KDS enters at one place: where the model has
# predicted, steer \(\hat z_0\), and let \(\epsilon\) follow (Algorithm 2).


def heun(
    denoiser,
    x_T,
    *,
    schedule,
    timesteps,
    steering=None,
) -> kds_ref.SamplerResult:
    """Heun's method; the last step, to clean data, is Euler's."""
    calls = 0

    def predict(x_t: np.ndarray, t: int) -> np.ndarray:
        nonlocal calls
        calls += 1
        eps, alpha_bar = denoiser(x_t, t), schedule.alpha_bar(t)
        if steering is None:
            return eps
        x0_pred = kds_ref.predict_x0(x_t, eps, alpha_bar)
        x0_steered, _ = steering(x0_pred, t)
        return eps - np.sqrt(alpha_bar / (1 - alpha_bar)) * (x0_steered - x0_pred)

    levels = [schedule.alpha_bar(t) for t in timesteps] + [1.0]
    sigmas = [np.sqrt((1 - level) / level) for level in levels]
    y = x_T / np.sqrt(levels[0])
    for i, t in enumerate(timesteps):
        eps = predict(np.sqrt(levels[i]) * y, t)
        step = sigmas[i + 1] - sigmas[i]
        end = y + step * eps
        if i + 1 < len(timesteps):
            eps_at_end = predict(np.sqrt(levels[i + 1]) * end, timesteps[i + 1])
            end = y + step * (eps + eps_at_end) / 2
        y = end
    return kds_ref.SamplerResult(y, calls)


# %%
# The correction of \(\epsilon\) is written as a *change*, not as \((z_t -
# \sqrt{\bar\alpha}\, \hat z_0)/\sqrt{1 - \bar\alpha}\). The two are the same on paper.
# But in this form a shift of zero changes nothing, bit for bit, and the first test can
# ask for equality.

noise = np.random.default_rng(2).standard_normal((200, 2))
grid = kds_ref.time_grid(20, spacing="linspace")[
    1:
]  # from t = 946: at t = 999 sigma is 20000
options = {"schedule": schedule, "timesteps": grid}
plain = heun(denoiser, noise, **options)
unmoved = heun(
    denoiser, noise, **options, steering=kds_ref.KernelDensitySteering(strength=0.0)
)
assert np.array_equal(plain.x0, unmoved.x0)
# two calls a step, one in the last
assert plain.num_model_evaluations == 2 * len(grid) - 1

# %%
# Test 2: with one step there is no second slope, and the sampler must be DDIM.
# Test 3: the order, against the exact solution.
#
# **Predict:** by which factor must the error of a method of second order fall when the
# steps double?

one = {"schedule": schedule, "timesteps": (600,)}
assert np.allclose(
    heun(denoiser, noise, **one).x0, kds_ref.ddim(denoiser, noise, **one).x0
)

first = 900
ode = kds_ref.ProbabilityFlowODE(denoiser, noise, schedule=schedule)
solution = solve_ivp(
    ode, (float(first), 0.0), ode.flatten(noise), rtol=1e-7, atol=1e-7
)
truth = ode.predict_x0(0.0, solution.y[:, -1])
errors = []
for count in (30, 60, 120):
    even = tuple(int(t) for t in np.round(np.linspace(first, 0, count + 1)))
    end = heun(denoiser, noise, schedule=schedule, timesteps=even).x0
    errors.append(float(np.median(np.linalg.norm(end - truth, axis=1))))
factors = [errors[0] / errors[1], errors[1] / errors[2]]
print(
    "doubling the steps divides the error by",
    *(f"{factor:.2f}" for factor in factors),
)
assert all(3.0 < factor < 5.0 for factor in factors)

# %%
# About four. Test 4, with steering: particles in another order give the results in that order,
# and two ensembles do not mix.

steering = kds_ref.KernelDensitySteering(cutoff=0.0, patch_size=None, sample_ndim=1)
steered = heun(denoiser, noise[:50], **options, steering=steering).x0
backwards = heun(denoiser, noise[:50][::-1], **options, steering=steering).x0
assert np.allclose(backwards[::-1], steered)
both = heun(
    denoiser, np.stack([noise[:50], noise[50:100]]), **options, steering=steering
).x0
assert np.allclose(both[0], steered)
assert steered.var(0).mean() > 0.5  # all modes are there
assert (
    ensemble_statistics(steered[None], mixture)["within_mode_variance"]
    < ensemble_statistics(plain.x0[None, :50], mixture)["within_mode_variance"]
)

# %%
# ## What to test
#
# - **A kernel**: the formula by a loop; a limit that is known; NumPy equals torch;
#   it climbs its shadow's density.
# - **A bandwidth rule**: particles times \(c\) give \(h\) times \(c\); order does
#   not matter; equal particles give 0.
# - **A sampler**: a zero shift changes nothing, bit for bit; one step is a known
#   method; the order of convergence; the number of model calls; the order of
#   particles does not matter; ensembles do not mix.
#
# The tests of this project check the same statements: [what must
# hold](../../explanation/method.md#what-must-hold).
#
# ## Exercises
#
# Guess first, then run. Each solution continues the page's own code.
#
# **1.** Write the kernel that sees exactly the particles within \(h\), and compare it
# with the built-in one.
#
# ??? success "Solution"
#     The logarithm of 1 is 0, that of 0 is \(-\infty\).
#
#     ```python
#     def log_step(u):
#         xp = array_namespace(u)
#         return xp.where(u < 1.0, xp.zeros_like(u), xp.full_like(u, -np.inf))
#
#     mine = kds_ref.Kernel("mine", log_profile=log_step)
#     assert np.allclose(
#         kds_ref.mean_shift(values, values, bandwidth=0.5, kernel=mine),
#         kds_ref.mean_shift(values, values, bandwidth=0.5, kernel="flat"),
#     )
#     ```
#
# **2.** Write a steering whose strength falls linearly from 0.3 at \(t/T = 1\) to 0 at 0.
# Is the result tighter or wider than with the paper's cut-off?
#
# ??? success "Solution"
#     The same, to within a hundredth. The last steps count most on the toy, but the
#     strength is small in them; and the early steps, where it is large, hardly count.
#
#     ```python
#     def falling(x0_pred, t):
#         delta = 0.3 * t / 1000
#         return kds_ref.steer(
#             x0_pred, bandwidth=0.3, strength=delta, patch_size=None, sample_ndim=1
#         )
#
#     within = {}
#     for name, steering in (
#         ("falling", falling),
#         ("paper", kds_ref.KernelDensitySteering(patch_size=None, sample_ndim=1)),
#     ):
#         end = kds_ref.ddim(
#             denoiser, start, schedule=schedule, timesteps=timesteps, steering=steering
#         ).x0
#         within[name] = ensemble_statistics(end, mixture)["within_mode_variance"].mean()
#     print({name: round(float(value), 4) for name, value in within.items()})
#     assert abs(within["falling"] / within["paper"] - 1) < 0.01
#     ```
#
# **3.** In `heun`, steer \(\hat z_0\) and leave \(\epsilon\) as it was. Which of the
# tests of this page finds it?
#
# ??? success "Solution"
#     Only the last line of test 4, which says that steered clusters are tighter. In
#     this form \(\epsilon\) *is* the step, and a steering that does not change it
#     changes nothing.
#
#     ```python
#     def deaf(x0_pred, t):
#         steering(x0_pred, t)  # looked at, and forgotten
#         return x0_pred, None
#
#     without = heun(denoiser, noise[:50], **options, steering=deaf).x0
#     assert np.array_equal(without, heun(denoiser, noise[:50], **options).x0)
#     ```

plt.show()
