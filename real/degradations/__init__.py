"""From a photo to a low-resolution one, to train with and to test with: called by `train`, `bench` and the commands."""
