"""Run a script of this environment, and end it where it asks for an address beyond this machine.

    python no_network.py SCRIPT ARGUMENTS ...

Connections to the loopback, by which the ranks of a training find each other, are let through.
"""

import ipaddress
import os
import runpy
import socket
import sys

STATUS = 99
ASKING = {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"}


def is_local(host: object) -> bool:
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return host in (None, "", "localhost", socket.gethostname())


def listen(event: str, given: tuple) -> None:
    """An audit hook; it ends the process, since an error in it could be caught by what asked."""
    if event not in ASKING:
        return
    asked = given[1] if event in ("socket.connect", "socket.sendto") else given[0]
    if event in ("socket.connect", "socket.sendto") and not isinstance(asked, tuple):
        return  # a file of this machine
    host = asked[0] if isinstance(asked, tuple) else asked
    if not is_local(host):
        os.write(2, f"no_network: {event} {host}\n".encode())
        os._exit(STATUS)


if __name__ == "__main__":
    sys.addaudithook(listen)
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
