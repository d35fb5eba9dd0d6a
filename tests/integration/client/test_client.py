"""The client and the command line against the real application."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from common.probe.be_quick import BeQuick
from fairway import Fairway, NotInTime, Problem, Progress, Unreachable, cli, credentials
from fairway.terminal import cell

from common.ids import OrgId
from common.services import Services
from tests.integration.client.conftest import Run, Working, printed
from tests.integration.conftest import Slot, caller_of, make_person, token_of

PASSWORD = "a good password"
ROWS = b"message,external_id\nhello,1\n,2\n"

ABSENT = "01920f3c-8a4e-7c1d-9b7a-2f6d5e4c3b2a"


def test_a_person_signs_up_signs_in_and_imports(
    wire: httpx.WSGITransport, working: Working, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(ROWS)
    with Fairway("http://test", transport=wire) as nobody:
        made = nobody.sign_up("Acme", email="ada@acme.example", password=PASSWORD)
    with Fairway("http://test", token=made.job_token, transport=wire) as reader:
        slug = reader.wait(made.job.id, within_s=20).result["slug"]

    login = {"organization": slug, "email": "ada@acme.example", "password": PASSWORD}
    with Fairway.signed_in("http://test", **login, transport=wire) as fairway:
        job = fairway.wait(fairway.import_tickets(file, source="desk").id, within_s=20)
        assert (job.state, job.result["new"], job.result["refused"]) == ("succeeded", 1, 1)
        assert [row.column for row in fairway.refused_rows(job.id)] == ["message"]
        (ticket,) = fairway.tickets(source_id="desk")
        assert fairway.ticket(ticket.id).message == "hello"
    del working


def test_a_job_is_followed_to_its_end(fairway: Fairway, working: Working) -> None:
    job = fairway.submit("jobs.rehearse", {"steps": 3, "pause_s": 0.1}, tags=["a"], priority=7)

    events = list(fairway.follow(job.id, within_s=20))

    assert (job.tags, job.priority) == (["a"], 7)
    assert events[-1].job is not None
    assert (events[-1].job.state, events[-1].job.result) == ("succeeded", {"steps": 3})
    done = [event.progress.done for event in events if event.progress is not None]
    assert done == sorted(done)
    del working


def test_a_stream_that_breaks_is_taken_up_again(
    fairway: Fairway, services: Services, org_id: OrgId, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = services.submit(caller_of(org_id), BeQuick())
    real, broken = httpx.Response.iter_raw, threading.Event()

    def breaking(self: httpx.Response, chunk_size: int | None = None) -> Iterator[bytes]:
        for number, chunk in enumerate(real(self, chunk_size)):
            yield chunk
            if number == 1 and not broken.is_set():
                broken.set()
                services.submitter.cancel(org_id, job.id)
                raise httpx.ReadError("cut off")

    monkeypatch.setattr(httpx.Response, "iter_raw", breaking)
    states = [event.job.state for event in fairway.follow(job.id, within_s=20) if event.job is not None]

    assert broken.is_set()
    assert states == ["queued", "cancelled"]


def test_what_the_api_refuses_is_a_problem_that_names_each_fault(fairway: Fairway) -> None:
    with pytest.raises(Problem) as refused:
        fairway.submit("jobs.rehearse", {"steps": "many", "colour": 1})

    assert refused.value.status == 422
    assert {one["pointer"] for one in refused.value.errors} == {"/payload/steps", "/payload/colour"}
    assert "/payload/steps" in str(refused.value)


def test_the_same_key_starts_nothing_twice(fairway: Fairway) -> None:
    first, again = (fairway.submit("jobs.rehearse", {}, key="once") for _ in range(2))

    assert first.id == again.id
    assert len(list(fairway.jobs(kind="jobs.rehearse"))) == 1


def test_an_answer_that_never_came_is_asked_for_again_and_starts_nothing_twice(
    fairway: Fairway, wire: httpx.WSGITransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lost = wire.handle_request, threading.Event()

    def losing(request: httpx.Request) -> httpx.Response:
        answer = real(request)
        if not lost.is_set():
            lost.set()
            raise httpx.ReadTimeout("the answer was lost", request=request)
        return answer

    monkeypatch.setattr(wire, "handle_request", losing)
    job = fairway.submit("jobs.rehearse", {})

    assert lost.is_set()
    assert [one.id for one in fairway.jobs()] == [job.id]


def test_over_a_limit_it_waits_as_long_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [httpx.Response(429, json={"title": "Too many"}, headers={"Retry-After": "1"})] * 2
    answers.append(httpx.Response(200, json={"items": [], "next_cursor": None}))
    transport = httpx.MockTransport(lambda _: answers.pop(0))
    started = time.monotonic()

    with Fairway("http://test", token="t", transport=transport) as fairway:
        assert list(fairway.jobs()) == []

    assert time.monotonic() - started >= 2
    del monkeypatch


def test_who_is_to_come_back_in_an_hour_is_told_so_at_once() -> None:
    transport = httpx.MockTransport(
        lambda _: httpx.Response(429, json={"title": "Too many"}, headers={"Retry-After": "3000"})
    )

    with Fairway("http://test", token="t", transport=transport) as fairway, pytest.raises(Problem) as refused:
        list(fairway.jobs())

    assert refused.value.retry_after_s == 3000


def test_a_stream_that_is_refused_for_now_is_asked_for_when_it_may_be() -> None:
    answers = [httpx.Response(429, json={"title": "Too many"}, headers={"Retry-After": "2"}), httpx.Response(404)]
    started = time.monotonic()

    with (
        Fairway("http://test", token="t", transport=httpx.MockTransport(lambda _: answers.pop(0))) as fairway,
        pytest.raises(Problem) as refused,
    ):
        list(fairway.follow("x"))

    assert refused.value.status == 404
    assert time.monotonic() - started >= 2


def test_a_token_that_is_over_is_made_again(wire: httpx.WSGITransport, services: Services, org_id: OrgId) -> None:
    def renew() -> str:
        return token_of(services, org_id)

    job = services.submit(caller_of(org_id), BeQuick())
    services.submitter.cancel(org_id, job.id)
    with Fairway("http://test", token="over", renew=renew, transport=wire) as fairway:
        assert fairway.job(job.id).state == "cancelled"
    with Fairway("http://test", token="over", renew=renew, transport=wire) as fairway:
        assert [event.job.state for event in fairway.follow(job.id)] == ["cancelled"]
    with Fairway("http://test", token="over", transport=wire) as fairway, pytest.raises(Problem) as refused:
        fairway.job(job.id)
    assert refused.value.status == 401


def test_who_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairway.transport.ATTEMPTS", 2)

    with Fairway("http://127.0.0.1:1", token="t") as fairway, pytest.raises(Unreachable, match="does not answer"):
        fairway.job("x")


def test_a_job_that_takes_too_long_is_said_so(fairway: Fairway) -> None:
    job = fairway.submit("jobs.rehearse", {})

    with pytest.raises(NotInTime):
        fairway.wait(job.id, within_s=0.2)


def test_many_are_counted_and_changed(fairway: Fairway) -> None:
    for _ in range(3):
        fairway.cancel(fairway.submit("jobs.rehearse", {}).id)

    counted = fairway.count_many("retry", {"state": "cancelled"})
    job = fairway.change_many("retry", {"state": "cancelled"})

    assert (counted.count, counted.more) == (3, False)
    assert job.kind == "jobs.retry_many"


def test_the_command_line_submits_and_tails(run: Run, working: Working) -> None:
    done = run("submit", "jobs.rehearse", '{"steps": 2}', "--tail", "--timeout", "20")

    assert (done.exit_code, "succeeded" in done.output) == (0, True), done.output
    del working


def test_the_command_line_waits_retries_and_says_how_it_ended_by_its_status(
    run: Run, services: Services, org_id: OrgId
) -> None:
    job = services.submit(caller_of(org_id), BeQuick())
    assert run("cancel", job.id).exit_code == 0
    assert run("wait", job.id).exit_code == 1
    assert run("retry", job.id).exit_code == 0
    with Working(services):
        waited = run("wait", job.id, "--timeout", "20")
        again = run("tail", job.id)

    assert (waited.exit_code, again.exit_code) == (0, 0), waited.output + again.output


def test_the_command_line_prints_json(run: Run) -> None:
    (made,) = printed(run("--json", "submit", "jobs.rehearse", "-", input='{"steps": 2}'))
    (shown,) = printed(run("--json", "show", made["id"]))
    listed = printed(run("--json", "jobs"))
    kinds = [one["kind"] for one in printed(run("--json", "kinds"))]

    assert shown["id"] == made["id"] == listed[0]["id"]
    assert "jobs.rehearse" in kinds
    assert made["id"] in run("jobs", "--state", "queued").output


def test_the_command_line_imports_a_file(run: Run, working: Working, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(ROWS)

    done = run("--json", "import", str(file), "--wait", "--timeout", "20")

    assert printed(done)[0]["result"]["new"] == 1, done.output
    del working


def test_the_command_line_says_what_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = run("submit", "jobs.rehearse", '{"steps": 0}')
    assert (refused.exit_code, "/payload/steps" in refused.output) == (3, True), refused.output
    assert run("submit", "jobs.rehearse", "[1]").exit_code == 2
    assert run("submit", "nothing.such").exit_code == 3
    monkeypatch.undo()  # the wire to the application
    monkeypatch.setattr("fairway.transport.ATTEMPTS", 1)
    away = CliRunner().invoke(cli.main, ["--url", "http://127.0.0.1:1", "--token", "t", "wait", ABSENT])
    named = CliRunner().invoke(cli.main, ["--token", "t", "wait", "my job"])
    assert away.exit_code == 4, away.output
    assert (named.exit_code, "`fairway jobs` lists them" in named.output) == (2, True), named.output


def test_who_signs_in_keeps_the_token_where_nobody_else_reads(run: Run, working: Working, wire: Any) -> None:
    with Fairway("http://test", transport=wire) as nobody:
        made = nobody.sign_up("Acme", email="ada@acme.example", password=PASSWORD)
    with Fairway("http://test", token=made.job_token, transport=wire) as reader:
        reader.wait(made.job.id, within_s=20)

    done = run("sign-in", "--organization", "acme", "--email", "ada@acme.example", input=f"{PASSWORD}\n")

    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    assert credentials._file().stat().st_mode & 0o077 == 0
    assert run("jobs").exit_code == 0
    del working


def test_people_keys_and_organizations_from_a_program(
    fairway: Fairway, wire: httpx.WSGITransport, working: Working, tmp_path: Path, org_id: OrgId
) -> None:
    user, invitation = fairway.add_user("bob@acme.example", name="Bob")
    assert invitation is not None
    with Fairway("http://test", transport=wire) as nobody:
        tokens = nobody.set_password(invitation.token, PASSWORD)
        again = nobody.refresh(tokens.refresh_token)
        assert nobody.organization(org_id).tier is None
    with Fairway("http://test", token=again.access_token, transport=wire) as bob:
        bob.change_password(user.id, current=PASSWORD, new="another long password")
        assert bob.user(user.id).state == "active"
        assert [one.is_current for one in bob.sessions()] == [True]
        bob.end_session(next(bob.sessions()).id)
        with pytest.raises(Problem):
            list(bob.sessions())
    with Fairway("http://test", transport=wire) as nobody:
        slug = fairway.organization(org_id).slug
        tokens = nobody.sign_in(organization=slug, email="bob@acme.example", password="another long password")
    with Fairway("http://test", token=tokens.access_token, transport=wire) as bob:
        bob.sign_out()
        with pytest.raises(Problem):
            bob.user(user.id)
    assert fairway.change_user(user.id, role="admin").role == "admin"
    assert fairway.reset_password(user.id).token
    fairway.remove_user(user.id)
    assert user.id not in {one.id for one in fairway.users()}

    key, token = fairway.make_api_key("nightly", ["jobs:read"])
    with Fairway("http://test", token=token, transport=wire) as machine:
        assert list(machine.jobs()) == []
    assert fairway.api_key(key.id) in list(fairway.api_keys())
    fairway.revoke_api_key(key.id)

    changed = fairway.change_organization(org_id, name="Acme GmbH", slug="acme-gmbh")
    assert fairway.organization(slug="acme-gmbh") == changed
    archive = fairway.wait(fairway.export().id, within_s=20).result["archive_id"]
    file = tmp_path / "archive.zip"
    fairway.download_archive(archive, file)
    assert file.stat().st_size == fairway.archive(archive).size_bytes
    assert fairway.wait(fairway.restore_archive(file).id, within_s=20).state == "succeeded"
    assert [one.id for one in fairway.archives()] == [archive]
    fairway.delete_archive(archive)
    told = [one.type for one in fairway.happenings()]
    assert {"UserInvited", "UserRemoved", "ApiKeyCreated", "OrganizationUpdated"} <= set(told)

    deleted = fairway.delete_organization(org_id)
    with Fairway("http://test", token=deleted.job_token, transport=wire) as reader:
        assert reader.wait(deleted.job.id, within_s=30).state == "succeeded"
    with Fairway("http://test", transport=wire) as nobody, pytest.raises(Problem):
        nobody.restore_organization(org_id, email="x@acme.example", password=PASSWORD)
    del working


def test_the_command_line_renews_what_it_keeps_and_signs_out(
    run: Run, services: Services, org_id: OrgId, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = services.sessions.begin(make_person(services, org_id))
    credentials.keep(credentials.Credentials("http://test", "over", granted.refresh_token))

    assert run("users").exit_code == 0
    kept = credentials.load()
    assert kept is not None
    assert kept.refresh_token != granted.refresh_token
    invited = run("--json", "invite", "bob@acme.example")
    token = printed(invited)[0]["token"]
    assert run("api-key", "nightly", "--scope", "jobs:read").output.strip().splitlines()[-1].startswith("fwk_")
    assert run("sign-out").exit_code == 0
    assert run("users").exit_code == 3
    assert run("join", token, input=f"{PASSWORD}\n{PASSWORD}\n").exit_code == 0
    assert run("users").exit_code == 0
    del monkeypatch


def test_who_cancels_a_running_job_is_told_when_it_stops(run: Run, slot: Slot) -> None:
    (job,) = printed(run("--json", "submit", "jobs.rehearse"))
    member = slot.take("organizations")
    assert member is not None
    assert slot.claim(member) is not None

    assert "running; it stops at its next checkpoint" in run("cancel", job["id"]).output


def test_progress_without_a_total_is_what_is_done() -> None:
    far = Progress(done=7, total=None, stage=None, percent=None)

    assert [cell(one) for one in (far, replace(far, done=0), replace(far, total=9))] == ["7", "-", "7 of 9"]
