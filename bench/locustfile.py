"""What users do, for Locust: sign in once, submit, poll until it has ended, list, look at what there is.

    locust -f bench/locustfile.py --headless -u 20 -r 20 -t 30s -H http://127.0.0.1:8080

`python -m bench crowd` starts everything, finds how many users two cores carry, and prints the table.
"""

import os
import random

from locust import HttpUser, between, task

LOGINS = [login.split(",") for login in os.environ.get("CROWD_LOGINS", "").split(";") if login]
PASSWORD = os.environ.get("CROWD_PASSWORD", "")
KIND = os.environ.get("CROWD_KIND", "jobs.rehearse")


class Person(HttpUser):
    """One who works: some five requests a second."""

    wait_time = between(0.1, 0.4)

    def on_start(self) -> None:
        """Sign in."""
        slug, email = random.choice(LOGINS)
        body = {"organization": slug, "email": email, "password": PASSWORD}
        self.last = ""
        answer = self.client.post("/v1/auth/token", json=body, name="sign in")
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    @task(4)
    def submit_and_poll(self) -> None:
        """Submit a job, and look at it."""
        body = {"payload": {"steps": 1}}
        job = self.client.post(f"/v1/kinds/{KIND}/jobs", json=body, name="create").json()
        self.last = job["id"]
        self.client.get(f"/v1/jobs/{self.last}", name="look up")

    @task(4)
    def poll(self) -> None:
        """Look at the last job again."""
        if self.last:
            self.client.get(f"/v1/jobs/{self.last}", name="look up")

    @task(2)
    def list_jobs(self) -> None:
        """List the newest jobs."""
        self.client.get("/v1/jobs?limit=20", name="list")

    @task(1)
    def list_succeeded(self) -> None:
        """List the newest that have succeeded."""
        self.client.get("/v1/jobs?limit=20&state=succeeded", name="list by state")
