"""AC power flow: the batched engine of the step, the oracle it is checked against, grids of one's own."""
