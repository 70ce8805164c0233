"""Tasks that are not ours, on which the learner is proven beside published results."""
