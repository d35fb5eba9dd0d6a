"""How the jobs of analytics are done."""
