"""How files are imported: verified, examined in a process of their own, and linked into a room."""
