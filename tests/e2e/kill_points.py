#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""At every named point of journal, delivery and master (doc/design/fault-plan.md) the process that stands there kills itself, or
stands still while the delivery children or the master are killed; after a restart every message that got "250" is in its mailbox
exactly once. Needs a build with --enable-kill-points.

  kill_points.py [PART]      only the cases with this in their name ("the_master", "killed_at: before-mark")
"""
from postern_load import *

PLAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "doc", "design", "fault-plan.md")


def built_with_kill_points():
    with open(program("posternd"), "rb") as file:
        return b"POSTERN_KILL_POINT" in file.read()


def points():
    """(name, process): the first two columns of the plan's table, the names in backticks."""
    with open(PLAN) as file:
        return sorted(set(re.findall(r"(?m)^\| *`([a-z0-9-]+)` *\| *([a-z]+) *\|", file.read())))


if not os.path.exists(PLAN) or not built_with_kill_points():
    no_cases_here("built without --enable-kill-points")

# Without a delivery child that answers in time a message is taken, and refused by mail later: verdict-asked is in reject_before_reply.py.
CHILD_POINTS = [(name, process) for name, process in points() if process != "master" and name != "verdict-asked"]
MASTER_POINTS = [name for name, process in points() if process == "master"]


def new_site():
    return Site(settings={"spool": {"segment_bytes": 1024 * 1024, "large_message_bytes": 64 * 1024}, "children": {"smtp": 1, "delivery": 1},
                          "delivery": {"retry_first": 1, "retry_most": 1}})


# Refuses what is small: records with a verdict about them are pending until it is known (doc/design/journal.md).
REFUSES = 'require "reject"; if size :under 600 { reject "Too small."; }\n'


def waits_for_verdicts(name):
    return name.startswith(("verdict-", "pending-"))


def killed(site):
    return bool(site.log_lines("child-died", "signal 9")) or not site.server.alive()


def standing(site):
    """The children that stand at the point."""
    table = process_table()
    return [pid for pid in descendants(site.server.pid, table) if table[pid][2] == "T"]


def balance(site, load, mine):
    """Ends what is left of the server, starts it again without a kill point, and compares the mailboxes with what was promised."""
    load.stop()
    mine = mine + site.server._snapshot()
    site.server.kill()
    # Children that a killed master left behind or that stand at the point; those that finish do so meanwhile.
    for pid, _ in Server._left(mine):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    site.start()
    load.verify()
    Load(site, threads=1, per_session=4).run_for(0.3)  # and it still takes mail
    site.server.stop()


def load_until(name, setting, reached, then=lambda site: None):
    """A server with the kill point `setting` under load; `then` is called when the point is reached."""
    site = new_site()
    waits = name in ("deferred-written", "after-requeue")  # reached only if messages must wait
    try:
        mailbox = os.path.join(site.base, "mail", "example.com")
        if waits:
            with site.running():
                site.find_message("anna@example.com", deliver(site))
            os.chmod(mailbox, 0)  # the delivery child may not enter it
        if waits_for_verdicts(name):
            with site.running():
                script = os.path.join(site.directory, "script")
                with open(script, "w") as file:
                    file.write(REFUSES)
                for account in ACCOUNTS:  # all of them agree, so that nobody is told by mail
                    site.ctl("account", "filter", account, script)
        # The child that has been killed is started again and may be killed again.
        site.start(environment={"POSTERN_KILL_POINT": setting}, wait=False)
        load = Load(site, threads=3, per_session=4, largest=200000 if "large" in name else 60000, patience=1)
        load.start()
        try:
            wait_until(lambda: reached(site), 40 * slow_build(), "the point is reached")
        except BaseException:
            load.stop()
            raise
        mine = site.server._snapshot()
        then(site)
        if waits:
            os.chmod(mailbox, 0o700)
        time.sleep(0.3)
        balance(site, load, mine)
    finally:
        site.remove()


@cases_of([("%s, time %d" % (name, time_), name, time_) for name, _ in CHILD_POINTS for time_ in (1, 7) if time_ == 7 or not waits_for_verdicts(name)])
def killed_at(name, time_):
    load_until(name, "%s:%d" % (name, time_), killed)


@cases_of([("%s, the %s is killed" % (name, victim), name, victim)
           for name, process in CHILD_POINTS for victim in ("delivery", "master") if victim != process
           and not (victim == "delivery" and waits_for_verdicts(name) and name != "pending-appended")])
def while_one_stands_at(name, victim):
    def kill_other(site):
        stands = standing(site)
        for pid in [site.server.pid] if victim == "master" else site.server.children("delivery"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        for pid in stands:  # goes on as if nothing had happened
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    load_until(name, "%s:2:stop" % name, standing, kill_other)


def end_children(site):
    for role in ("smtp", "delivery", "queue"):
        for pid in site.server.children(role):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def change_sockets(site):
    """A socket more, and one that overlaps with its predecessor, so that that one must go first."""
    address = site.settings["listeners"]["smtp"]["sockets"][0]["address"]
    rows = [{"port": site.smtp, "address": "0.0.0.0" if address != "0.0.0.0" else "127.0.0.1"}, {"port": free_port(), "address": "127.0.0.1"}]
    site.write_configuration({"listeners": {"smtp": {"sockets": rows}}})
    os.kill(site.server.pid, signal.SIGHUP)


def change_tables(site):
    site.write_mappings(MAPPINGS + "\n! %d\n" % time.monotonic_ns())


# What leads to the point, and when it is passed for the first time after the start, which passes some of them itself.
WAYS = {"before-fork": (end_children, 9), "after-fork": (end_children, 9), "before-begin": (end_children, 8), "after-reap": (end_children, 3),
        "after-release": (end_children, 3), "after-opening": (change_sockets, 1), "after-letting-go": (change_sockets, 1),
        "before-configuration": (change_sockets, 1), "before-sockets": (change_sockets, 1), "before-tables": (change_tables, 2),
        "after-tables": (change_tables, 2)}


@cases_of([(name, name) for name in MASTER_POINTS])
def the_master_is_killed_at(name):
    lead_there, passed = WAYS[name]
    site = new_site()
    try:
        site.start(environment={"POSTERN_KILL_POINT": "%s:%d" % (name, passed)})
        load = Load(site, threads=3, per_session=4, patience=1).start()
        load.wait_accepted(20)
        mine = site.server._snapshot()
        end = time.monotonic() + 30 * slow_build()
        while site.server.alive() and time.monotonic() < end:
            with contextlib.suppress(ProcessLookupError):
                mine += site.server._snapshot()
                lead_there(site)
            time.sleep(0.5)
        check(not site.server.alive(), "the point is reached")
        equal(site.server.process.wait(), -signal.SIGKILL, "how the master ended")
        time.sleep(0.3)
        balance(site, load, mine)
    finally:
        site.remove()


run_cases("".join(sys.argv[1:]))
