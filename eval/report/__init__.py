"""A report on a run: one HTML file with everything in it, made from the run's results."""
