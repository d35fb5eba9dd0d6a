"""The parts of an ingestion: where it stands, how a page is asked for, and what makes it stop."""
