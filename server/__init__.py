"""The FastAPI retrieval service over a knowledge base."""
