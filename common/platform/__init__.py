"""The platform's own work, asked for by operators."""
