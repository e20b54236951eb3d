# Copyright 2026 The kds-ref contributors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Super-resolution by latent diffusion with Kernel Density Steering (Hu et al., NeurIPS 2025, arXiv 2507.05604).

A community pipeline of diffusers: one file that needs torch and diffusers only.
"""

import PIL.Image
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, ImagePipelineOutput, UNet2DModel, VQModel
from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion_superresolution import preprocess
from diffusers.utils.torch_utils import randn_tensor

EXAMPLE_DOC_STRING = """
    Examples:
        ```py
        >>> import torch
        >>> from diffusers import DDIMScheduler, DiffusionPipeline
        >>> from diffusers.utils import load_image

        >>> pipeline = DiffusionPipeline.from_pretrained(
        ...     "CompVis/ldm-super-resolution-4x-openimages",
        ...     custom_pipeline="pipeline_ldm_super_resolution_kds",
        ... ).to("cuda")
        >>> pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)

        >>> low_resolution = load_image("photo.png").resize((128, 128))
        >>> generator = torch.Generator("cuda").manual_seed(0)
        >>> image = pipeline(low_resolution, num_particles=10, num_inference_steps=50, generator=generator).images[0]
        ```
"""


def kernel_density_steering(x0: torch.Tensor, bandwidth: float, strength: float) -> torch.Tensor:
    """Move every latent pixel of every particle along the mean shift of its ensemble: Eq. 5, 7 and 8, patch size 1.

    Args:
        x0 (`torch.Tensor`): Predicted clean latents, `(images, particles, channels, height, width)`.
        bandwidth (`float`): Standard deviation of the Gaussian kernel, in the units of the latents.
        strength (`float`): Fraction of the shift to apply, between 0 and 1.

    Returns:
        `torch.Tensor`: The steered latents, in the shape and dtype of `x0`.
    """
    z = x0.float()
    squared_distance = (z[:, :, None] - z[:, None]).square().sum(dim=3)  # images, particles, particles, height, width
    weights = torch.softmax(-squared_distance / (2.0 * bandwidth**2), dim=2)  # over all particles
    mean = torch.einsum("bikhw,bkchw->bichw", weights, z)
    return (z + strength * (mean - z)).to(x0.dtype)


def nearest_to_mean(latents: torch.Tensor) -> torch.Tensor:
    """Index of the particle of each image that is nearest to the ensemble's mean (Eq. 9)."""
    z = latents.float()
    return (z - z.mean(dim=1, keepdim=True)).flatten(2).norm(dim=2).argmin(dim=1)


class LDMSuperResolutionKDSPipeline(DiffusionPipeline):
    r"""Pipeline for image super-resolution by latent diffusion, with an ensemble that is steered towards its own modes.

    N particles of each image are sampled side by side. In every step down to `cutoff` the clean latents that they
    predict move towards where they agree, pixel by pixel. At the end the particle nearest to their mean is decoded.

    Parameters:
        vqvae ([`VQModel`]):
            Autoencoder of images and latents.
        unet ([`UNet2DModel`]):
            Denoiser that sees the noisy latents and the low-resolution image, and predicts noise.
        scheduler ([`DDIMScheduler`]):
            A DDIM scheduler with `prediction_type="epsilon"`.
    """

    def __init__(self, vqvae: VQModel, unet: UNet2DModel, scheduler: DDIMScheduler):
        super().__init__()
        self.register_modules(vqvae=vqvae, unet=unet, scheduler=scheduler)

    def check_inputs(self, image, num_particles, bandwidth, strength, cutoff):
        """Say which argument or which part of the scheduler cannot be used, and what to pass."""
        if not isinstance(image, (PIL.Image.Image, torch.Tensor)):
            raise ValueError(f"`image` has to be of type `PIL.Image.Image` or `torch.Tensor` but is {type(image)}")
        if num_particles < 1:
            raise ValueError(f"`num_particles` has to be at least 1 but is {num_particles}")
        if not bandwidth > 0.0:
            raise ValueError(f"`bandwidth` has to be positive but is {bandwidth}")
        for name, value in (("strength", strength), ("cutoff", cutoff)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"`{name}` has to be between 0 and 1 but is {value}")
        config = self.scheduler.config
        if not isinstance(self.scheduler, DDIMScheduler) or config.prediction_type != "epsilon":
            raise ValueError(
                "`scheduler` has to be a `DDIMScheduler` that predicts noise; make one with "
                "`DDIMScheduler.from_config(pipeline.scheduler.config)`"
            )
        if config.clip_sample or config.thresholding:
            raise ValueError("`scheduler` clips the predicted sample, which is for pixels; pass `clip_sample=False`")

    @torch.no_grad()
    def __call__(
        self,
        image: torch.Tensor | PIL.Image.Image,
        num_particles: int = 10,
        bandwidth: float = 0.3,
        strength: float = 0.3,
        cutoff: float = 0.3,
        num_inference_steps: int = 50,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: torch.Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> ImagePipelineOutput | tuple:
        r"""The call function to the pipeline for generation.

        Args:
            image (`PIL.Image.Image` or `torch.Tensor`):
                Low-resolution image, or a batch `(images, 3, height, width)` between -1 and 1.
            num_particles (`int`, *optional*, defaults to 10):
                Samples of each image. Time and memory of the denoiser grow with it; one image is decoded.
            bandwidth (`float`, *optional*, defaults to 0.3):
                Width of the kernel in the units of the latents. Far below the spread of the predicted latents nothing
                moves, far above it all particles move to their mean.
            strength (`float`, *optional*, defaults to 0.3):
                Part of the mean shift to go in each step; 0 samples without steering.
            cutoff (`float`, *optional*, defaults to 0.3):
                Steer while the timestep is at least this part of the training timesteps; 0 steers to the end.
            num_inference_steps (`int`, *optional*, defaults to 50):
                The number of denoising steps.
            generator (`torch.Generator` or `list[torch.Generator]`, *optional*):
                One, or one for each row of the latents.
            latents (`torch.Tensor`, *optional*):
                Noise to start from, `(images * num_particles, channels, height, width)`; particle `i` of image `b` is
                row `b * num_particles + i`.
            output_type (`str`, *optional*, defaults to `"pil"`):
                `"pil"`, `"np"`, `"pt"` or `"latent"`.
            return_dict (`bool`, *optional*, defaults to `True`):
                Whether or not to return a [`ImagePipelineOutput`] instead of a plain tuple.

        Returns:
            [`~pipelines.ImagePipelineOutput`] or `tuple`: one image for each input image, of the chosen particle.
        """
        self.check_inputs(image, num_particles, bandwidth, strength, cutoff)
        image = preprocess(image) if isinstance(image, PIL.Image.Image) else image
        image = image.to(device=self._execution_device, dtype=self.unet.dtype).repeat_interleave(num_particles, dim=0)

        channels = self.unet.config.in_channels // 2  # the other half is the low-resolution image
        if latents is None:
            shape = (image.shape[0], channels, *image.shape[-2:])
            latents = randn_tensor(shape, generator=generator, device=image.device, dtype=image.dtype)
        self.scheduler.set_timesteps(num_inference_steps, device=image.device)
        latents = latents * self.scheduler.init_noise_sigma

        for t in self.progress_bar(self.scheduler.timesteps):
            eps = self.unet(torch.cat([latents, image], dim=1), t).sample
            if strength > 0.0 and t >= cutoff * self.scheduler.config.num_train_timesteps:
                alpha_bar = self.scheduler.alphas_cumprod[int(t)].to(latents.device)
                x0 = (latents - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
                particles = x0.unflatten(0, (-1, num_particles))
                shift = kernel_density_steering(particles, bandwidth, strength).flatten(0, 1) - x0
                # The noise that goes with the steered prediction: where nothing moves it keeps its bits.
                eps = eps - (alpha_bar / (1 - alpha_bar)).sqrt() * shift
            latents = self.scheduler.step(eps, t, latents).prev_sample

        particles = latents.unflatten(0, (-1, num_particles))
        chosen = particles[torch.arange(particles.shape[0], device=latents.device), nearest_to_mean(particles)]
        if output_type == "latent":
            images = chosen
        else:
            images = (self.vqvae.decode(chosen).sample.clamp(-1.0, 1.0) / 2 + 0.5).float()
            if output_type != "pt":
                images = images.cpu().permute(0, 2, 3, 1).numpy()
            if output_type == "pil":
                images = self.numpy_to_pil(images)

        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)
