"""The door: an HTTP server with OpenAI's API, through which other programs send text queries."""
