"""More than one machine: the connection to a Ray cluster, and work that is given out there."""
