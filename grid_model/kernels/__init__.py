"""Compiled kernels of the step: structs of arrays in, arrays out."""
