#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server kills itself at every named point of journal and delivery (doc/design/fault-plan.md); after a restart every message
that got "250" is in its mailbox exactly once. Needs a build with --enable-kill-points.
"""
from postern_load import *

PLAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "doc", "design", "fault-plan.md")


def built_with_kill_points():
    with open(program("posternd"), "rb") as file:
        return b"POSTERN_KILL_POINT" in file.read()


def points():
    """The names in the first column of the plan's tables, in backticks."""
    with open(PLAN) as file:
        return sorted(set(re.findall(r"(?m)^\| *`([a-z0-9-]+)`", file.read())))


if not os.path.exists(PLAN) or not built_with_kill_points():
    no_cases_here("built without --enable-kill-points")


@cases_of([("%s, time %d" % (name, time_), name, time_) for name in points() for time_ in (1, 7)])
def killed_at(name, time_):
    site = Site(settings={"spool": {"segment_bytes": 1024 * 1024, "large_message_bytes": 64 * 1024}, "children": {"smtp": 1, "delivery": 1},
                          "delivery": {"retry_first": 1, "retry_most": 1}})
    waits = name in ("deferred-written", "after-requeue")  # reached only if messages must wait
    try:
        mailbox = os.path.join(site.base, "mail", "example.com")
        if waits:
            with site.running():
                site.find_message("anna@example.com", deliver(site))
            os.chmod(mailbox, 0)  # the delivery child may not enter it
        # The child that has been killed is started again and may be killed again.
        site.start(environment={"POSTERN_KILL_POINT": "%s:%d" % (name, time_)}, wait=False)
        load = Load(site, threads=3, per_session=4, largest=200000 if "large" in name else 60000, patience=1)
        load.start()
        enough = 400 if "recycle" in name else 60
        wait_until(lambda: len(load.accepted) >= enough or killed(site) or not site.server.alive(), 20 * slow_build(), "the point is reached")
        if waits:
            wait_until(lambda: killed(site), 4 * slow_build(), "the point is reached")
            os.chmod(mailbox, 0o700)
        time.sleep(0.3)
        load.stop()
        reached = killed(site) or not site.server.alive()
        site.server.kill()
        site.start()
        load.verify()
        Load(site, threads=1, per_session=4).run_for(0.3)  # and it still takes mail
        site.server.stop()
        if not reached:
            raise Skip("not reached by this load")
    finally:
        site.remove()


def killed(site):
    return bool(site.log_lines("child-died", "signal 9"))


run_cases()
