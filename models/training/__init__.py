"""Training a base from scratch: what it reads, how it learns, what survives a kill."""
