"""One photo and a model that can restore it: what an ensemble is for each family, the choice, the comparison.

Called by `api` for one photo, and by `bench` for many.
"""
