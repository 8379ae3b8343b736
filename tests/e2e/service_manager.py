#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a service manager sees: the unit file is one that systemd takes, and the server tells when it serves, reloads and stops."""
from postern_testing import *

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
site = Site(accounts={})
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.settimeout(20 * slow_build())
manager.bind(os.path.join(site.directory, "notify"))
site.extra_environment["NOTIFY_SOCKET"] = os.path.join(site.directory, "notify")


def told():
    """The variables of the next message."""
    return dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())


@case
def the_unit_file_is_one_that_systemd_takes():
    analyze = foreign("systemd-analyze")
    with open(os.path.join(ROOT, "init", "postern.service.in")) as file:
        unit = file.read()
    for name in ("posternd", "posternctl"):
        unit = unit.replace("@sbindir@/" + name, program(name))
    unit = unit.replace("@pkgsysconfdir@", site.etc).replace("@localstatedir@", site.directory)
    check("\nReadWritePaths=-" + site.directory + "\n" in unit, "the default base directory can be written, also below /usr")
    check("@" not in unit, "nothing is left to be filled in")
    path = os.path.join(site.directory, "postern.service")
    with open(path, "w") as file:
        file.write(unit)
    # It looks at the units of this machine, too, some of which may be incomplete where systemd does not run.
    done = run(analyze, "verify", "--man=no", path, expect=None, env=dict(os.environ, SYSTEMD_LOG_LEVEL="warning"))
    equal([line for line in (done.stdout + done.stderr).splitlines() if "postern" in line], [], "complaints")
    with open(path, "w") as file:
        file.write(unit.replace("KillMode=mixed", "KillMode=gentle"))
    contains(run(analyze, "verify", "--man=no", path, expect=None).stderr, "postern.service")


@case
def it_is_told_when_the_server_serves_reloads_and_stops():
    with site.running():
        first = told()
        equal((first["READY"], first["STATUS"]), ("1", "3 sockets listening"))
        with Smtp(site.smtp) as session:
            equal(session.greeting[0], 220, "READY means that it serves")
        before = time.monotonic_ns() // 1000
        site.ctl("reload")
        reloading = told()
        equal(reloading["RELOADING"], "1")
        # Type=notify-reload of newer versions wants the time; it must not be older than the request.
        check(before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000, "the time of the reload")
        equal(told(), {"READY": "1"})
    equal(told(), {"STOPPING": "1"})


run_cases()
