"""The learner: MAPPO for teams of unlike agents, and the adapters that present the grid to it.

Everything here except `environment`, `observation`, `reward` and `evaluation` knows environments only through
the protocol in `marl.protocol` and imports no grid code.
"""
