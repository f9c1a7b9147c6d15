"""The parts shared by the evaluation harnesses: documents, sides, answers on disk, scores."""
