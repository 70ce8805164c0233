"""Controllers of the plants, from doing nothing to model-predictive control; one law a file."""
