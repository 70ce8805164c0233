"""Learning algorithms: one a file, with the losses and advantages they share."""
