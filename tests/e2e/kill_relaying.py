#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of relay, queue and master while mail goes on to another host, some of it at the second or third attempt only: what got "250" arrives there at
least once, and more than once only where a kill fell between that host's 250 and our record of it. For that the journal is read at each kill, when whoever
is killed does nothing any more: what came again must stand in it as not done with at a kill that lies between the two. How many came twice is counted.

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


ID = re.compile(rb"\bid ([0-9a-v]{20,})")


def arrived():
    """The copies of each message that came, in their order."""
    copies = collections.defaultdict(list)
    for one in list(sink.messages):
        found = MARK.search(one.data)
        if found:
            copies[found[1].decode()].append(one)
    return copies


LONGEST = 5  # seconds: by far longer than a record of a 250 may take
Kill = collections.namedtuple("Kill", "role time end unfinished")
kills = []


def note_kill(role, began):
    """What the outgoing journal has no end of now: ids of messages."""
    unfinished = {one["id"] for one in site.ctl_json("queue", "list", "--state", "outgoing")}
    kills.append(Kill(role, began, time.monotonic(), unfinished))


def kill_one():
    role = chance.choice(ROLES)
    if role == "master":
        workers = site.server.children("relay")
        os.kill(site.server.pid, signal.SIGKILL)
        began = time.monotonic()
        site.server.process.wait()
        site.server.log_handle.close()
        site.server = None
        # They end because their master has; what they note until then counts.
        wait_until(lambda: not any(pid in process_table() and process_table()[pid][2] != "Z" for pid in workers), 10 * slow_build(), "no relay child of the old master")
        note_kill(role, began)
        site.start(wait=False)  # other children of the old one may still be about
        site.server.wait_ready(30)
        return
    victims = site.server.children(role)[:1 if chance.random() < 0.5 else None]
    for signal_ in (signal.SIGSTOP, signal.SIGKILL):
        for child in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal_)
        if signal_ == signal.SIGSTOP:
            note_kill(role, time.monotonic())


def judge(name, copies):
    """Between each two copies a kill at which the first one's record had no end: how long after the 250 the kill came (below 0: before it), for each; text: what
    else was the case."""
    gaps = []
    for first, second in zip(copies, copies[1:]):
        found = ID.search(first.data.split(b"\r\n\r\n")[0])
        message_id = found[1].decode() if found else "?"
        # What was in the host's buffers is taken a moment after the kill.
        between = [one for one in kills if first.begun <= one.end and one.time <= second.begun]
        fitting = [one for one in between if message_id in one.unfinished]
        if not fitting:
            return "%s (id %s) came at %.3f and again at %.3f; kills between: %s" % (
                name, message_id, first.begun, second.begun, ["%s at %.3f, its record had its end" % (one.role, one.time) for one in between] or "none")
        gap = fitting[0].time - first.answered if first.answered else -0.001
        if gap > LONGEST * slow_build():
            return "%s (id %s): %.1f s after the 250 its record still had no end when the %s was killed" % (name, message_id, gap, fitting[0].role)
        gaps.append(gap)
    return gaps


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
    copies = arrived()
    judged = [judge(one, copies[one]) for one in load.accepted]
    gaps = sorted(gap for one in judged if not isinstance(one, str) for gap in one)
    wrong = [one for one in judged if isinstance(one, str)]
    # Before its 250 the host had the whole text already: nobody can tell whether it will say 250 (RFC 1047).
    before = sum(gap < 0 for gap in gaps)
    print("       %d kills, %d messages: 0 missing, %d came twice: %d because a kill fell between the host's 250 and our record of it, %d because it fell between\n"
          "       the end of the text and the host's 250 (%s), %d for another reason" % (
              options.kills, len(load.accepted), len(gaps) + len(wrong), len(gaps) - before, before,
              "%.0f to %.0f ms before it" % (-1000 * gaps[before - 1], -1000 * gaps[0]) if before else "none", len(wrong)))
    check(load.accepted, "some mail was taken")
    check(not wrong, "%d came again for another reason:\n%s" % (len(wrong), "\n".join(wrong[:10])))


site.start()
try:
    run_cases()
finally:
    if site.server:
        site.server.stop()
