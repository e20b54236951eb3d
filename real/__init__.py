"""kds-ref on real photos: latent diffusion super-resolution, and Kernel Density Steering in any diffusers pipeline.

What it offers is listed in `__init__.pyi`. Each name is imported, and torch with it, only when it is asked for, so that
the command line answers at once.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
