#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any child at any moment, and of the master, under load: what got "250" is in its mailbox exactly once.

  kill_children.py [--kills N] [--seed S]      (12 kills; tests/fault/long_kill does 200)
"""
import argparse
from postern_load import *

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--kills", type=int, default=12)
parser.add_argument("--seed", type=int, default=random.randrange(10**9))
options = parser.parse_args()
chance = random.Random(options.seed)
site = Site(settings={"spool": {"segment_bytes": 1024 * 1024, "large_message_bytes": 128 * 1024}})
ROLES = ["smtp", "delivery", "smtp", "delivery", "queue", "directory", "resolver", "pop3"]


def kill_one(number):
    """Kills the master at every fifth time, else a child of some role; returns what it killed."""
    if number % 5 == 4:
        os.kill(site.server.pid, signal.SIGKILL)
        site.server.process.wait()
        site.server.log_handle.close()
        site.server = None
        site.start(wait=False)  # the children of the old one may still be about
        return "master"
    role = chance.choice(ROLES)
    children = site.server.children(role)
    if not children:
        return "no %s" % role
    with contextlib.suppress(ProcessLookupError):
        os.kill(chance.choice(children), signal.SIGKILL)
    return role


@case
def what_was_promised_survives_every_kill():
    print("       seed %d" % options.seed)
    for account in ACCOUNTS:
        site.ctl("account", "change", account, "--quota", "1 GiB", "--quota-messages", "1000000")
    load = Load(site, seed=options.seed).start()
    load.wait_accepted(20)
    killed = collections.Counter()
    for number in range(options.kills):
        time.sleep(chance.uniform(0, 0.5) * slow_build())
        killed[kill_one(number)] += 1
        if number % 5 == 4:
            site.server.wait_ready(30)
        load.wait_accepted(5, 60)
        if options.kills > 50 and number % 20 == 19:
            print("       %d kills, %d messages accepted" % (number + 1, len(load.accepted)), flush=True)
    load.stop()
    print("       killed %r\n       %s" % (dict(killed), load.verify(60)))
    site.load = load


@case
def replaying_everything_once_more_changes_nothing():
    site.server.kill()
    site.start()
    time.sleep(1)
    site.load.verify()


@case
def the_sums_of_quotas_are_what_is_there():
    for account in ACCOUNTS:
        with open(os.path.join(site.account_directory(account), "maildirsize")) as file:
            lines = [line.split() for line in file.read().splitlines()[1:]]
        there = [os.path.getsize(path) for path in site.files(account)]
        equal([sum(int(line[column]) for line in lines) for column in (0, 1)], [sum(there), len(there)], account)


@case
def the_counts_are_back_at_zero():
    wait_until(lambda: not site.ctl_json("sessions").get("sessions", []), 5, "no sessions")


with site.running():
    run_cases()
