"""How kernels are compiled, kept and told of: the grid's and the learner's, of which this knows neither.

It stands below both, in the lowest package, because the learner imports no grid code and the grid no learner; of
`cases` it imports nothing, and of the rest of `cases` the learner imports `cases.processes` alone.
"""
