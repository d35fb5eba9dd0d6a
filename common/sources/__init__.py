"""Sources: the outside APIs that tickets are ingested from, who runs them and when, and what came of it."""
