"""The learner: MAPPO for teams of unlike agents, and the adapters that present the grid to it.

Only the folder `environment` knows the grid. Everything else knows environments only through the protocol in
`marl.protocol` and imports no grid code.
"""
