"""From a photo to a low-resolution one, to train with and to test with."""
