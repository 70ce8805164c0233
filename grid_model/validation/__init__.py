"""Models to check the simulator against, and the checks."""
