"""Organizations and their people: signing up, provisioning, signing in."""
