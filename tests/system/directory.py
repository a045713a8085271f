"""Stores and settings for logins that a Windows domain judges: what the tests of them share.

The store is a Dovecot that knows the domain's users by name, whatever their password is there: it lets popgate in as a
master user, or with the passwords that are popgate's own towards it.  `Member` is one that judges NTLM itself, by the
same domain controller, through a winbind helper of its own.
"""

import shlex
from pathlib import Path
from typing import Any

import mail
from certs import Certificates
from popgate import Config, site
from samba import USERS, Samba
from stores import give_away
from test_store_logins import Versatile

# What real clients fetch: lines that begin with dots, no end of line, bytes above 127, one larger than a TLS record.
MAILBOX = [*mail.sample_messages()[2:9], mail.sample_messages()[12]]
LOGIN = ["basic", "ntlm"]
STORE_PASSWORD = "the store's own"  # by which it knows each of the domain's users


class Store(Versatile):
    """Each of the domain's users has the same mail."""

    def __init__(self, directory: Path, certificates: Certificates):
        super().__init__(directory, certificates, MAILBOX)
        for user in USERS:
            mail.fill_maildir(directory / "mail" / user, MAILBOX)
        give_away(directory / "mail")
        with open(directory / "users", "a", encoding="utf-8") as users:
            users.writelines(f"{user}:{{PLAIN}}{STORE_PASSWORD}\n" for user in USERS)

    def more(self) -> str:
        return f"{super().more()}\nauth_username_chars =\n"


class Member(Store):
    """It takes NTLM alone, which the domain controller judges."""

    def __init__(self, directory: Path, certificates: Certificates, samba: Samba):
        super().__init__(directory, certificates)
        self._helper = directory / "ntlm_auth"
        self._helper.write_text(f"#!/bin/sh\nexec {shlex.join(samba.ntlm_auth)} \"$@\"\n")
        self._helper.chmod(0o755)

    def more(self) -> str:
        return f"""
{super().more()}
auth_mechanisms = ntlm
auth_use_winbind = yes
auth_winbind_helper_path = {self._helper}
auth_username_format = %Ln
service auth {{
  user = root
}}
"""


def config_of(certificates: Certificates, samba: Samba, port: int, backend: Config, *, winbind: Config | None = None,
              login: list[str] | None = None, **defaults: Any) -> Config:
    """Listeners that take passwords and NTLM, with TLS or without, and have winbind judge them."""
    config = site(certificates, port, backend=backend, defaults={"verify": ["winbind"], **defaults},
                  winbind=samba.section(**{"helpers": 2, **(winbind or {})}))
    for listener in config["listeners"].values():
        listener["login"] = login or LOGIN
    return config
