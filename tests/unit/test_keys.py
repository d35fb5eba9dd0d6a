"""Secrets at rest: a secret opens in its own place, under a key of the file, and nowhere else."""

import base64
import hashlib
import os
import secrets
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Misconfigured
from common.keys import KEY_BYTES, SecretKeys

PLACE = {"org_id": "o", "collection": "sources", "field": "credentials", "id": "s"}
FIRST, SECOND = (bytes([number]) * KEY_BYTES for number in (1, 2))


def write(file: Path, *keys: bytes) -> Path:
    """Write a file of keys."""
    file.write_bytes(b"\n".join(base64.b64encode(key) for key in keys) + b"\n")
    return file


@given(plain=st.binary(max_size=300))
def test_what_is_encrypted_can_be_read_back(plain: bytes) -> None:
    keys = SecretKeys([FIRST])

    sealed = keys.encrypt(plain, **PLACE)

    assert keys.decrypt(sealed, **PLACE) == plain
    assert len(plain) < 8 or plain not in sealed


@pytest.mark.parametrize("part", PLACE)
def test_a_secret_moved_to_another_place_does_not_open(part: str) -> None:
    keys = SecretKeys([FIRST])
    sealed = keys.encrypt(b"secret", **PLACE)

    with pytest.raises(Misconfigured):
        keys.decrypt(sealed, **{**PLACE, part: "other"})


def test_parts_of_a_place_do_not_run_together() -> None:
    keys = SecretKeys([FIRST])
    sealed = keys.encrypt(b"secret", org_id="ab", collection="c", field="d", id="e")

    with pytest.raises(Misconfigured):
        keys.decrypt(sealed, org_id="a", collection="bc", field="d", id="e")


def test_the_same_secret_is_never_sealed_twice_alike() -> None:
    keys = SecretKeys([FIRST])

    assert len({keys.encrypt(b"secret", **PLACE) for _ in range(100)}) == 100


@given(place=st.integers(0, 33), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed(place: int, bit: int) -> None:
    keys = SecretKeys([FIRST])
    sealed = bytearray(keys.encrypt(b"secret", **PLACE))
    sealed[place] ^= 1 << bit

    with pytest.raises(Misconfigured):
        keys.decrypt(bytes(sealed), **PLACE)


@pytest.mark.parametrize("size_bytes", [0, 1, 7, 12, 20, 27, 28])
def test_what_is_too_short_to_be_a_secret_is_refused(size_bytes: int) -> None:
    with pytest.raises(Misconfigured, match=r"sources\.credentials"):
        SecretKeys([FIRST]).decrypt(bytes(size_bytes), **PLACE)


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    old = SecretKeys([FIRST]).encrypt(b"secret", **PLACE)
    rotated = SecretKeys([SECOND, FIRST])

    assert rotated.decrypt(old, **PLACE) == b"secret"
    assert SecretKeys([SECOND]).decrypt(rotated.encrypt(b"new", **PLACE), **PLACE) == b"new"
    with pytest.raises(Misconfigured):
        SecretKeys([SECOND]).decrypt(old, **PLACE)


def test_a_file_holds_one_key_a_line(tmp_path: Path) -> None:
    sealed = SecretKeys([SECOND]).encrypt(b"secret", **PLACE)

    keys = SecretKeys.load(write(tmp_path / "keys", FIRST, SECOND), data_dir=tmp_path, production=True)

    assert keys.decrypt(sealed, **PLACE) == b"secret"


def test_development_makes_a_key_that_only_its_owner_reads_and_keeps_it(tmp_path: Path) -> None:
    old_mask = os.umask(0)
    try:
        made = SecretKeys.load(None, data_dir=tmp_path / "data", production=False)
    finally:
        os.umask(old_mask)

    again = SecretKeys.load(None, data_dir=tmp_path / "data", production=False)

    files = list((tmp_path / "data").iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]
    assert again.decrypt(made.encrypt(b"secret", **PLACE), **PLACE) == b"secret"


def test_processes_that_start_together_have_one_key(tmp_path: Path) -> None:
    made: list[SecretKeys] = []
    together = threading.Barrier(8)

    def load() -> None:
        together.wait()
        made.append(SecretKeys.load(None, data_dir=tmp_path, production=False))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sealed = made[0].encrypt(b"secret", **PLACE)
    assert [keys.decrypt(sealed, **PLACE) for keys in made] == [b"secret"] * 8
    assert [file.name for file in tmp_path.iterdir()] == ["secret_keys"]


def test_production_demands_a_file_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="FAIRWAY_SECRET_KEYS_FILE"):
        SecretKeys.load(None, data_dir=tmp_path, production=True)
    with pytest.raises(Misconfigured):
        SecretKeys.load(tmp_path / "missing", data_dir=tmp_path, production=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"\n\n",
            b"canary-not-base64!",
            b"Y2FuYXJ5",
            base64.b64encode(bytes(31)),
            base64.b64encode(bytes(33)),
        ),
        *(b"\xff\xfe", b"\x00" * 44, base64.b64encode(bytes(32)) + b"\ncanary", base64.b64encode(bytes(64))),
    ],
)
def test_a_file_that_holds_no_keys_is_named_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)

    with pytest.raises(Misconfigured) as caught:
        SecretKeys.load(file, data_dir=tmp_path, production=True)
    assert "canary" not in str(caught.value)
    assert "Y2Fu" not in str(caught.value)


def test_a_folder_in_the_files_place_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="can't be read"):
        SecretKeys.load(tmp_path, data_dir=tmp_path, production=True)


def test_keys_do_not_show_themselves() -> None:
    key = secrets.token_bytes(KEY_BYTES)

    assert key.hex() not in repr(SecretKeys([key])).lower()
    assert base64.b64encode(key).decode() not in repr(vars(SecretKeys([key])))


def test_a_fingerprint_tells_the_same_text_and_needs_the_key() -> None:
    keys, others = SecretKeys([FIRST, SECOND]), SecretKeys([SECOND])

    assert keys.fingerprint(b"a password") == keys.fingerprint(b"a password") != keys.fingerprint(b"another")
    assert keys.fingerprint(b"a password") != others.fingerprint(b"a password")
    assert keys.fingerprint(b"a password") != hashlib.sha256(b"a password").hexdigest()
