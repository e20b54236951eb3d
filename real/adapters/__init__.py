"""KDS in other libraries' samplers, by a denoiser that steers what it returns: `kds_ref.SteeredDenoiser`.

One module per library: `deepinv`, `smalldiffusion`, `k_diffusion`. Each takes a model of that library and `kds`, a
function from a denoiser D(x, sigma) to the steered one, such as `functools.partial(kds_ref.SteeredDenoiser,
num_particles=8, cutoff_sigma=0.1, bandwidth=0.2)`. The rows of the sampler's batch are the particles. At strength 0 the
samples are those of the library, bit for bit.
"""
