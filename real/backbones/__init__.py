"""The paper's own backbones, DiffBIR and SeeSR, in diffusers' classes.

A photo goes one way. `recipes` has the authors' settings and where parts are looked for, `sources` finds the parts,
`model` loads them. `hints` is what a user knows of a photo, `cleaner` DiffBIR's first stage; `restorer` puts photo,
hints and model together, with `pictures` between pixels and latents.

Below that, `diffbir` and `seesr` build and load the networks, `diffbir_keys` and `seesr_keys` know the names in the
authors' files, `weights` reads those files. `control` is one evaluation of a UNet with its control net; `guidance`,
`tiling`, `starts` and `grids` are what the authors' samplers do around it (colours: `real.images.colour`), `denoiser`
puts these together, `loop` runs it with any scheduler of diffusers, steered or not.

`python -m real.backbones` measures full-size networks with random weights (`real.bench.cost`). Nothing is imported
here: the networks load large parts of diffusers.
"""
