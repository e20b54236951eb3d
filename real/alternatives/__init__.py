"""What a user would pick instead of KDS: ways to enlarge a photo and to fill a hole that need no ensemble.

`upscaling` has interpolation and Real-ESRGAN, `holes` the classical fillings. Each is a function from pixels to pixels;
`named` finds it by the name that the command line takes.
"""
