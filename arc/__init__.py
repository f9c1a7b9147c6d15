"""ARC itself, without torch: grids, tasks, augmentations, token formats, votes and generators."""
