"""Training a base from scratch: what it reads, how it learns, and what survives when it is killed."""
