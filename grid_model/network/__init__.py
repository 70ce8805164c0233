"""What the grid is: admittances, topology, limits, and its pandapower network."""
