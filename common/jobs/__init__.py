"""The life of a job: what is asked, its record, the lanes it waits in, and who heals what died."""
