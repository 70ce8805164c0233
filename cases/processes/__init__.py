"""Processes beside the one that a user has started: the grid's and the learner's, of which this knows neither.

It stands in the lowest package for the reason that the compiler does: the learner imports no grid code and the grid no
learner. It imports nothing of this project.
"""
