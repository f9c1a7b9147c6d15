"""The knowledge base: sources -> records -> embeddings -> index -> selection."""
