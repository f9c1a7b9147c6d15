"""A run to look at: one HTML file with everything in it, made from the run's results."""
