"""The benchmarks' own family of jobs."""
