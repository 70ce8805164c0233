"""Physics of the grid; knows nothing of controllers or learners."""
