"""Training of the bundled models, from any folders of photos: `python -m real.train`."""
