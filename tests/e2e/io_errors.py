#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ENOSPC and EIO at the n-th write, sync and rename of the installed server (injected by strace): no loss, and recovery without restart.

For each row n goes from 1 to 12 or for five seconds; POSTERN_DEEPEST and POSTERN_SECONDS make it a long run.
"""
from postern_load import *

if not program("strace", required=False):
    no_cases_here("strace is not installed")
site = Site(settings={"spool": {"segment_bytes": 1024 * 1024, "large_message_bytes": 128 * 1024}, "children": {"smtp": 1, "delivery": 1}, "delivery": {"retry_first": 1, "retry_most": 2}})


@contextlib.contextmanager
def injected(pids, calls, error, when):
    """The calls of these processes fail while the `with` lasts. Where tracing is not possible the case is skipped."""
    notes = os.path.join(site.directory, "strace")
    command = ["strace", "-f", "-o", notes, "-e", "trace=" + calls, "-e", "inject=%s:error=%s:when=%s" % (calls, error, when)]
    for pid in pids:
        command += ["-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for _ in pids:
        line = tracer.stderr.readline()
        if "attached" not in line:
            tracer.kill()
            tracer.wait()
            raise Skip("strace: " + line.strip())
    threading.Thread(target=tracer.stderr.read, daemon=True).start()
    try:
        yield notes
    finally:
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(10)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.wait()


WRITES = "write,pwrite64,writev,pwritev"
JOURNAL_WRITES = "pwrite64,pwritev,pwritev2"
SYNCS = "fsync,fdatasync,syncfs"
NAMES = "rename,renameat,renameat2,link,linkat"
DEEPEST = int(os.environ.get("POSTERN_DEEPEST", "12"))  # the n-th call fails, for n from 1 to this …
SECONDS = float(os.environ.get("POSTERN_SECONDS", "5")) * slow_build()  # … or until so much time has passed, for each row


def injections(notes):
    with open(notes) as file:
        return file.read().count("(INJECTED)")


def taken_again(load):
    before = len(load.accepted)
    wait_until(lambda: len(load.accepted) > before + 3, 20 * slow_build(), "mail is taken again without a restart; refused %r" % dict(load.refused))


# The n-th call of each thread fails, and `more` behind it (a disk that stays full for a while).
@cases_of([
    ("smtp, ENOSPC at a sync", "smtp", SYNCS, "ENOSPC", 4),
    ("smtp, EIO at a sync", "smtp", SYNCS, "EIO", 0),
    ("smtp, ENOSPC at a write to the journal", "smtp", JOURNAL_WRITES, "ENOSPC", 4),
    ("smtp, EIO at a write to the journal", "smtp", JOURNAL_WRITES, "EIO", 0),
    ("delivery, ENOSPC at a write", "delivery", WRITES, "ENOSPC", 6),
    ("delivery, EIO at a sync", "delivery", SYNCS, "EIO", 0),
    ("delivery, ENOSPC at a rename or link", "delivery", NAMES, "ENOSPC", 4),
    ("delivery, EIO at the marker", "delivery", "utimensat", "EIO", 2),
])
def errors_at(role, calls, error, more):
    load = Load(site, threads=3, per_session=5)
    load.start()
    hits, number, end = 0, 0, time.monotonic() + SECONDS
    while number < DEEPEST and time.monotonic() < end:
        number += 1
        with injected(site.server.children(role), calls, error, "%d..%d" % (number, number + more)) as notes:
            patience = time.monotonic() + 2 * slow_build()
            while not injections(notes) and time.monotonic() < patience:
                time.sleep(0.02)
        hit = injections(notes)
        hits += hit
        taken_again(load)
        if not hit:
            break  # so many calls are not made
    load.stop()
    print("       the first %d calls, %d injected; %s" % (number, hits, load.verify(40)))
    for reply in load.refused:
        check(reply[0] == "4", "only temporary refusals: %r" % dict(load.refused))
    if not hits:
        raise Skip("the server made no such call")


with site.running():
    run_cases()
