"""The paper's own backbones, DiffBIR and SeeSR, in diffusers' classes.

`diffbir` and `seesr` build and load the networks, `diffbir_keys` and `seesr_keys` know the names in the authors'
files, `weights` reads those files. `control` is one evaluation of a UNet with its control net; `guidance`, `tiling`,
`starts`, `grids` and `colour` are what the authors' samplers do around it, `loop` runs it with any scheduler of
diffusers, steered or not. Nothing is imported here: the networks load large parts of diffusers.
"""
