"""One GET of a host that means well, and where its redirects may lead."""

import gzip
import socket
import threading
from pathlib import Path

import pytest

from common.config import Settings
from common.errors import AddressRefused, AnswerRefused, HostIll
from common.outbound.fetcher import Answer, Fetcher
from common.services import Services
from tests.integration.outbound.conftest import fetcher_for
from tests.integration.outbound.host import Host, Visit, hosting, page, redirect

SECRETS = {"Authorization": "Bearer hush-hush"}


def test_an_answer_is_what_the_host_said(host: Host, fetcher: Fetcher) -> None:
    host.replies["/a?b=c"] = page(b"[1]", "X-One: 1", "LINK: <a>; rel=next", "Link: <b>; rel=last")

    answer = fetcher.get(f"{host.url}/a?b=c", headers={"X-Asked": "yes"}, secret_headers=SECRETS)

    assert answer == Answer(
        200,
        {"content-length": "3", "x-one": "1", "link": "<a>; rel=next, <b>; rel=last"},
        b"[1]",
        f"{host.url}/a?b=c",
    )
    assert host.asked[0].headers == {
        "host": f"127.0.0.1:{host.port}",
        "accept-encoding": "gzip, deflate",
        "user-agent": "fairway",
        "accept": "application/json, */*;q=0.5",
        "x-asked": "yes",
        "authorization": "Bearer hush-hush",
    }


@pytest.mark.parametrize(
    "status", ["204 No Content", "304 Not Modified", "300 Many", "404 Gone", "429 Wait", "503 Ill"]
)
def test_every_status_is_an_answer(host: Host, fetcher: Fetcher, status: str) -> None:
    host.replies["/"] = page(b"", "Retry-After: 7", status=status)

    answer = fetcher.get(f"{host.url}/")

    assert (answer.status, answer.headers["retry-after"]) == (int(status[:3]), "7")


def test_a_connection_is_kept_for_the_next_call(host: Host, fetcher: Fetcher) -> None:
    host.replies |= {
        "/plain": page(b"x" * 200_000),
        "/packed": page(gzip.compress(b"y"), "Content-Encoding: gzip"),
    }
    host.replies |= {"/moved": redirect("/plain"), "/ill": page(b"", status="503 Ill")}

    for target in ("/plain", "/packed", "/moved", "/ill", "/plain"):
        fetcher.get(f"{host.url}{target}")

    assert [asked.target for asked in host.asked] == ["/plain", "/packed", "/moved", "/plain", "/ill", "/plain"]
    assert host.connections == 1


def test_each_thread_has_a_connection_of_its_own(host: Host, fetcher: Fetcher) -> None:
    meeting = threading.Barrier(2)

    def met(visit: Visit) -> None:
        meeting.wait(10)
        visit.send(page(b"%d" % visit.number))

    host.replies["/"] = met
    bodies: list[bytes] = []
    threads = [threading.Thread(target=lambda: bodies.append(fetcher.get(f"{host.url}/").body)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(bodies) == [b"1", b"2"]


def test_a_kept_connection_that_the_host_gives_up_meanwhile_is_nobodys_fault(host: Host, fetcher: Fetcher) -> None:
    def gives_up_kept_ones(visit: Visit) -> None:
        if visit.number > 1:
            visit.send(page(b"[]"))

    host.replies |= {"/first": page(), "/": gives_up_kept_ones}
    fetcher.get(f"{host.url}/first")

    answer = fetcher.get(f"{host.url}/")

    assert answer.body == b"[]"
    assert [asked.connection for asked in host.asked] == [1, 1, 2]


def test_a_host_that_gives_up_each_new_connection_is_asked_once(host: Host, fetcher: Fetcher) -> None:
    host.replies["/"] = lambda _: None

    with pytest.raises(HostIll, match="broke off"):
        fetcher.get(f"{host.url}/")

    assert len(host.asked) == 1


def test_a_body_without_a_length_ends_with_its_connection(host: Host, fetcher: Fetcher) -> None:
    host.replies["/"] = b"HTTP/1.0 200 OK\r\n\r\n[1]"

    assert fetcher.get(f"{host.url}/").body == b"[1]"


def test_a_body_of_chunks_is_put_together(host: Host, fetcher: Fetcher) -> None:
    chunks = b"2\r\n[1\r\n1;why=so\r\n]\r\n0\r\nX-Trailer: yes\r\n\r\n"
    host.replies["/"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks

    assert fetcher.get(f"{host.url}/").body == b"[1]"


def test_text_in_any_charset_comes_as_its_bytes(host: Host, fetcher: Fetcher) -> None:
    host.replies["/"] = page(b"\xff\xfe\x00\xd8", "Content-Type: application/json; charset=utf-99")

    assert fetcher.get(f"{host.url}/").body == b"\xff\xfe\x00\xd8"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_the_same_origin_told_the_secrets_again(
    host: Host, fetcher: Fetcher, status: int
) -> None:
    host.replies |= {"/a/b": redirect("../c?d", f"{status} Moved"), "/c?d": page(b"here")}

    answer = fetcher.get(f"{host.url}/a/b", headers={"X-Asked": "yes"}, secret_headers=SECRETS)

    assert (answer.body, answer.url) == (b"here", f"{host.url}/c?d")
    assert [asked.headers.get("authorization") for asked in host.asked] == ["Bearer hush-hush"] * 2
    assert host.asked[1].headers["x-asked"] == "yes"


def test_another_origin_is_told_no_secrets_nor_is_the_first_again(
    host: Host, other: Host, fetcher: Fetcher
) -> None:
    host.replies |= {"/": redirect(f"{other.url}/"), "/back": page(b"back")}
    other.replies["/"] = redirect(f"{host.url}/back")

    answer = fetcher.get(f"{host.url}/", headers={"X-Asked": "yes"}, secret_headers=SECRETS)

    assert answer.body == b"back"
    assert [asked.headers.get("authorization") for asked in host.asked] == ["Bearer hush-hush", None]
    assert [asked.headers.get("authorization") for asked in other.asked] == [None]
    assert other.asked[0].headers["x-asked"] == "yes"
    assert other.asked[0].headers["host"] == f"127.0.0.1:{other.port}"


def test_another_name_of_the_same_host_is_another_origin(host: Host, fetcher: Fetcher) -> None:
    host.replies |= {"/": redirect(f"http://localhost:{host.port}/x"), "/x": page()}

    fetcher.get(f"{host.url}/", secret_headers=SECRETS)

    assert [asked.headers.get("authorization") for asked in host.asked] == ["Bearer hush-hush", None]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{inside}/",
        "https://127.0.0.1:{inside}/",
        "//127.0.0.1:{inside}/",
        "http://localhost:{inside}/",
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:169.254.169.254]/",
        "https://2130706433/",
        "http://api.example/",
        "https://api.example:22/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{inside}/_x",
        "dict://127.0.0.1:{inside}/",
        "ftp://127.0.0.1:{inside}/",
        "data:application/json,[]",
        "jar:http://127.0.0.1:{inside}/!/",
        "javascript:x",
        "http://good@127.0.0.1:{inside}/",
        "http://127.0.0.1:{allowed}@127.0.0.1:{inside}/",
        "http://127.0.0.1:{inside}#@127.0.0.1:{allowed}/",
        "http://127.0.0.1:{inside}\\@127.0.0.1:{allowed}/",
        "http://127.0.0.1:{allowed}\\.inside/",
        "http://user:word@127.0.0.1:{allowed}/",
        "\\\\127.0.0.1:{inside}/",
        "/\t/127.0.0.1:{inside}/",
        "http://127.0.0.1:{inside}\xe3\x80\x82example/",
    ],
)
def test_no_redirect_leads_inside(host: Host, other: Host, location: str) -> None:
    host.replies["/"] = redirect(location.format(inside=other.port, allowed=host.port))
    fetcher = fetcher_for(host)

    with pytest.raises(AddressRefused, match=r"^127\.0\.0\.1 redirects to where nothing may be called"):
        fetcher.get(f"{host.url}/", secret_headers=SECRETS)

    assert (len(host.asked), other.connections) == (1, 0)


def test_three_redirects_are_followed_and_no_more(host: Host, fetcher: Fetcher) -> None:
    host.replies |= {f"/{number}": redirect(f"/{number + 1}") for number in range(50)} | {"/50": page(b"here")}

    assert fetcher.get(f"{host.url}/47").body == b"here"
    with pytest.raises(AnswerRefused, match="more than 3 times"):
        fetcher.get(f"{host.url}/0")

    assert len(host.asked) == 4 + 4


@pytest.mark.parametrize("location", ["/loop", "?", "http://127.0.0.1:{port}/loop"])
def test_a_host_that_redirects_to_itself_is_left(host: Host, fetcher: Fetcher, location: str) -> None:
    host.replies |= dict.fromkeys(("/loop", "/loop?"), redirect(location.format(port=host.port)))

    with pytest.raises(AnswerRefused, match="more than 3 times"):
        fetcher.get(f"{host.url}/loop")

    assert len(host.asked) == 4


def test_a_redirect_that_leads_nowhere_is_an_answer(host: Host, fetcher: Fetcher) -> None:
    host.replies |= {"/": page(b"moved", status="302 Found"), "/empty": redirect("")}

    statuses = [fetcher.get(f"{host.url}{target}").status for target in ("/", "/empty")]

    assert statuses == [302, 302]


def test_what_may_not_be_called_is_not_even_looked_up(host: Host, fetcher: Fetcher) -> None:
    for url in ("http://127.0.0.1/", f"http://127.1:{host.port}/", f"http://a@127.0.0.1:{host.port}/"):
        with pytest.raises(AddressRefused):
            fetcher.get(url)
    with pytest.raises(AddressRefused, match="host"):
        fetcher.get(f"{host.url}/", headers={"Host": "inside.example"})

    assert host.connections == 0


def test_ipv6_is_called_like_ipv4() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with hosting(address="::1") as host:
        host.replies["/"] = page(b"six")

        answer = fetcher_for(host).get(f"http://[::1]:{host.port}/")

        assert answer.body == b"six"
        assert host.asked[0].headers["host"] == f"[::1]:{host.port}"


def test_proxies_and_credentials_of_the_environment_are_not_looked_at(
    host: Host, other: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, other.url)
        monkeypatch.setenv(name.upper(), other.url)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password hush")
    monkeypatch.setenv("HOME", str(tmp_path))
    host.replies["/"] = page(b"direct")

    answer = fetcher_for(host).get(f"{host.url}/")

    assert (answer.body, other.connections) == (b"direct", 0)
    assert "authorization" not in host.asked[0].headers


def test_a_process_calls_what_its_settings_allow(host: Host, other: Host, settings: Settings) -> None:
    host.replies["/"] = page(b"allowed")
    services = Services(settings.model_copy(update={"ingest_allowed_hosts": (f"127.0.0.1:{host.port}",)}))

    answer = services.fetcher.get(f"{host.url}/")

    assert answer.body == b"allowed"
    with pytest.raises(AddressRefused):
        services.fetcher.get(f"{other.url}/")
    services.close()
