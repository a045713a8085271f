"""Real clients fetch a mailbox of a hundred messages from real stores through popgate, byte for byte.

The expectation is what was put into the store's Maildir, not what another run fetched.
"""

from collections.abc import Callable
from pathlib import Path

import clients
import mail
import pytest
from certs import Certificates
from popgate import LISTENERS, Popgate, site
from stores import Dovecot, RealStore


def fetch_from(gate: Popgate, client: str, mode: str, certificates: Certificates, count: int,
               directory: Path) -> list[bytes]:
    port = gate.port(LISTENERS[mode])
    if client == "poplib":
        return clients.fetch_with_poplib(port, mode, gate.context, count, directory)
    fetch = {"curl": clients.fetch_with_curl, "fetchmail": clients.fetch_with_fetchmail}[client]
    return fetch(port, mode, certificates.chain("ca"), count, directory)


def check_mailbox(client: str, got: list[bytes], stored: list[bytes]) -> None:
    if client == "fetchmail":
        by_id = {mail.message_id(message): message for message in got if mail.message_id(message)}
        wanted = {mail.message_id(message): mail.delivered_by_fetchmail(message) for message in stored
                  if mail.delivered_by_fetchmail(message)}
        assert len(wanted) > 95
        got, stored = [by_id[name] for name in wanted], list(wanted.values())
    assert len(got) == len(stored)
    wrong = [number for number, (mine, theirs) in enumerate(zip(got, stored, strict=True), 1) if mine != theirs]
    assert not wrong, f"messages {wrong} differ"


@pytest.mark.parametrize("client", ["curl", "fetchmail", "poplib"])
@pytest.mark.parametrize("mode", ["implicit", "stls"])
def test_a_client_gets_every_message_over_tls(start: Callable[..., Popgate], certificates: Certificates,
                                              real_store: RealStore, workdir: Path, client: str, mode: str) -> None:
    gate = start(site(certificates, real_store.port))
    got = fetch_from(gate, client, mode, certificates, len(real_store.messages), workdir)
    check_mailbox(client, got, real_store.messages)


@pytest.mark.parametrize("client", ["curl", "fetchmail", "poplib"])
def test_a_client_gets_every_message_in_clear_where_that_is_allowed(before_dovecot: Popgate, dovecot: Dovecot,
                                                                    certificates: Certificates, workdir: Path,
                                                                    client: str) -> None:
    got = fetch_from(before_dovecot, client, "none", certificates, len(dovecot.messages), workdir)
    check_mailbox(client, got, dovecot.messages)


def test_a_client_that_pipelines_gets_every_message_in_order(before_dovecot: Popgate, dovecot: Dovecot) -> None:
    count = len(dovecot.messages)
    with before_dovecot.connect("implicit") as client:
        client.login()
        client.send(b"".join(b"RETR %d\r\n" % number for number in range(1, count + 1)) + b"QUIT\r\n")
        answer = client.read_to_end()
    for number, message in enumerate(dovecot.messages, 1):
        status, _, answer = answer.partition(b"\r\n")
        assert status.startswith(b"+OK")
        stuffed = mail.stuffed(message)
        assert answer.startswith(stuffed), f"message {number}"
        answer = answer[len(stuffed):]
    assert answer.startswith(b"+OK")
