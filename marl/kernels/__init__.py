"""Compiled kernels of the learner: plain perceptrons, their gradients and Adam's step, in blocks that stay in cache."""
