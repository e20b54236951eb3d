"""The numbers that an image, or a set of images, gets."""
