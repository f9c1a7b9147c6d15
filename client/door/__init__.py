"""A door for other programs: OpenAI's API before the one-shot client's own way of a query."""
