"""What the evaluation harnesses share: documents, sides, answers on disk, scores with intervals."""
