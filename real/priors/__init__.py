"""KDS with a prior that nobody here trained: FFDNet, a denoiser for photos, as a sampler of posteriors.

`ffdnet` is the network, `measurements` what is known of a photo (noise on it, a part of its pixels, a small version),
`posterior` the loop that samples what the photo may have been. `study` measures with and without KDS on a folder of
photos, `report` says what came out. `python -m real.priors --help` runs it.
"""
