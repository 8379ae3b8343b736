#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""5,000 idle SMTP sessions are held in under 100 MB of proportional memory over all processes, and mail still passes."""
import resource
from postern_testing import *

SESSIONS, MOST_BYTES = 5000, 100 * 10**6
least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
if most < SESSIONS + 200:
    no_cases_here("only %d open files are allowed" % most)
site = Site(settings={"listeners": {"smtp": {"maximum_connections": SESSIONS + 100}}})


@case
def five_thousand_idle_sessions_fit_in_100_megabytes():
    before = proportional_bytes(site.server.pids())
    sessions = []
    for number in range(SESSIONS):
        sessions.append(Smtp(site.smtp, "127.0.0.%d" % (number % 200 + 1)))
        sessions[-1].hello()
    time.sleep(0.5)
    held = proportional_bytes(site.server.pids())
    print("       %d processes: %.1f MB without sessions, %.1f MB with %d, %.1f KB a session" % (
        len(site.server.pids()), before / 1e6, held / 1e6, SESSIONS, (held - before) / SESSIONS / 1024))
    site.find_message("anna@example.com", deliver(site))
    if slow_build() == 1:
        check(held < MOST_BYTES, "%.1f MB" % (held / 1e6))
    close_all(sessions)
    wait_until(lambda: not site.ctl_json("sessions").get("sessions", []), 10, "all sessions ended")


with site.running():
    run_cases()
