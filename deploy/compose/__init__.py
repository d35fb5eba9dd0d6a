"""What the production shape in `docker-compose.yml` stands on: users, rights and secrets."""
