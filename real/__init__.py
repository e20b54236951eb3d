"""kds-ref on real photos: latent diffusion super-resolution with Kernel Density Steering."""
