"""The numbers that an image, or a set of images, gets: called by `restorers`, `bench` and the commands."""
