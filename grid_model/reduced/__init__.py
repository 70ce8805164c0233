"""Reduced model of the grid: groups of machines, and no power flow."""
