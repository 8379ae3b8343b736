#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of relay, queue and master while mail goes on to another host, some of it at the second or third attempt only: what got "250" arrives there at
least once; how many came twice is counted.

  kill_relaying.py [--kills N] [--seed S]      (6 kills; tests/fault/long_relay_kill does 200)
"""
import argparse
import collections
import random
import threading

from mail_sink import Sink
from postern_testing import *

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--kills", type=int, default=6)
parser.add_argument("--seed", type=int, default=random.randrange(10**9))
options = parser.parse_args()
chance = random.Random(options.seed)
sink = Sink()
site = Site(settings={
    "children": {"relay": 2},
    "queue": {"retry_first": "1 s", "retry_most": "2 s"},
    "relay": {"dead_time": 0, "dead_time_most": 0, "connections_per_destination": 5, "routes": ["* [127.0.0.1]:%d" % sink.port]}})
ROLES = ["relay", "queue", "relay", "master", "queue"]
MARK = re.compile(rb"Message-ID: <([^>]+)>", re.I)


class Load:
    """Messages for the other host from a few clients; half of them for recipients that are told to come later now and then."""

    def __init__(self):
        self.accepted, self.lock, self.stopping = [], threading.Lock(), False
        self.threads = [threading.Thread(target=self._send, args=(random.Random(options.seed + number),), daemon=True) for number in range(3)]
        for thread in self.threads:
            thread.start()

    def _send(self, own):
        while not self.stopping:
            try:
                with Smtp(site.smtp) as session:
                    session.hello()
                    for _ in range(5):
                        name, size = new_id(), own.choice((10, 1000, 200000 if own.random() < 0.1 else 20))
                        session.begin("sender@sender.example", own.choice(("soon", "later")) + "@dest%d.example" % own.randrange(4))
                        session.data(message(name, body=("y" * 70 + "\r\n") * (1 + size // 72)))
                        with self.lock:
                            self.accepted.append(name)
                        time.sleep(0.01)
            except (OSError, AssertionError, Closed):
                time.sleep(0.05)  # killed under us: nothing was promised

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def arrived():
    """How often each message came."""
    counts = collections.Counter()
    for one in list(sink.messages):
        found = MARK.search(one.data)
        if found:
            counts[found[1].decode()] += 1
    return counts


def kill_one():
    role = chance.choice(ROLES)
    if role == "master":
        os.kill(site.server.pid, signal.SIGKILL)
        site.server.process.wait()
        site.server.log_handle.close()
        site.server = None
        site.start(wait=False)  # the children of the old one may still be about
        site.server.wait_ready(30)
        return
    for child in site.server.children(role)[:1 if chance.random() < 0.5 else None]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


@case
def what_was_promised_arrives():
    print("       seed %d" % options.seed)
    load = Load()
    for number in range(options.kills):
        if number % 3 == 0:
            sink.answers["RCPT TO:<later"] = "450 4.2.0 not now"
        else:
            sink.answers.pop("RCPT TO:<later", None)
        time.sleep(chance.uniform(0.2, 0.7))
        kill_one()
    sink.answers.pop("RCPT TO:<later", None)
    time.sleep(0.3)
    load.stop()
    missing = set()

    def all_there():
        nonlocal missing
        missing = set(load.accepted) - set(arrived())
        return not missing
    began = time.monotonic()
    while not all_there() and time.monotonic() - began < 60 * slow_build():
        time.sleep(0.2)
    check(not missing, "%d of %d messages have not arrived: %s\n%s" % (len(missing), len(load.accepted), sorted(missing)[:5], "\n".join(site.log().splitlines()[-15:])))
    wait_until(lambda: not site.ctl_json("queue", "list"), 30 * slow_build(), "an empty queue")
    counts = arrived()
    twice = sum(counts[one] - 1 for one in load.accepted)
    print("       %d kills, %d messages: 0 missing, %d came twice" % (options.kills, len(load.accepted), twice))
    check(load.accepted, "some mail was taken")


site.start()
try:
    run_cases()
finally:
    if site.server:
        site.server.stop()
