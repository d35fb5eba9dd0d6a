"""Organizations and where their data lives: a query without an organization can't be written."""
