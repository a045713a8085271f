"""Load balancers in front of popgate: HAProxy, and PROXY protocol headers of our own making.

A header lets a test come from any address there is: `gate.connect(mode, preface=header_v1("203.0.113.7", 40000))`.
"""

import ipaddress
import socket
import struct
import subprocess
from pathlib import Path

from stores import required

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\0\0\0"
HERE = {4: "198.51.100.1", 6: "2001:db8::1"}


def header_v1(source: str, port: int) -> bytes:
    version = ipaddress.ip_address(source).version
    return f"PROXY TCP{version} {source} {HERE[version]} {port} 995\r\n".encode()


def header_v2(source: str, port: int) -> bytes:
    address = ipaddress.ip_address(source)
    block = address.packed + ipaddress.ip_address(HERE[address.version]).packed + struct.pack("!HH", port, 995)
    family = {4: 0x11, 6: 0x21}[address.version]
    return SIGNATURE + struct.pack("!BBH", 0x21, family, len(block)) + block


class HAProxy:
    """A running HAProxy with one server behind it, on a port that it inherits and therefore need not choose."""

    def __init__(self, directory: Path, server_port: int, options: str):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port: int = listening.getsockname()[1]
            config = directory / "haproxy.cfg"
            config.write_text(f"""
                defaults
                    mode tcp
                    timeout connect 30s
                    timeout client 60s
                    timeout server 60s
                listen pop
                    bind fd@{listening.fileno()}
                    server edge 127.0.0.1:{server_port} {options}\n""")
            self._process = subprocess.Popen(
                [required("haproxy", "haproxy"), "-db", "-f", str(config)], stdin=subprocess.DEVNULL,
                pass_fds=[listening.fileno()])

    def __enter__(self) -> "HAProxy":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.wait()
