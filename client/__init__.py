"""The client: retrieves samples for a query, reuses or trains an adapter, and answers with it."""
