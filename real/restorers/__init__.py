"""One photo and a model that can restore it: what an ensemble is for each family, the choice, the comparison."""
