#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ENOSPC and EIO at writes, syncs and renames of the installed server (injected by strace): no loss, and recovery without restart."""
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
SYNCS = "fsync,fdatasync,syncfs"
NAMES = "rename,renameat,renameat2,link,linkat"


@cases_of([
    ("smtp, ENOSPC at a sync", "smtp", SYNCS, "ENOSPC", "3+5"),
    ("smtp, EIO at a sync", "smtp", SYNCS, "EIO", "4"),
    ("smtp, ENOSPC at a write to the journal", "smtp", "pwrite64,pwritev,pwritev2", "ENOSPC", "3+5"),
    ("smtp, EIO at a write to the journal", "smtp", "pwrite64,pwritev,pwritev2", "EIO", "4"),
    ("delivery, ENOSPC at a write", "delivery", WRITES, "ENOSPC", "5+7"),
    ("delivery, EIO at a sync", "delivery", SYNCS, "EIO", "2+5"),
    ("delivery, ENOSPC at a rename or link", "delivery", NAMES, "ENOSPC", "3+5"),
    ("delivery, EIO at the marker", "delivery", "utimensat", "EIO", "2+3"),
])
def errors_at(role, calls, error, when):
    load = Load(site, threads=3, per_session=5)
    with injected(site.server.children(role), calls, error, when) as notes:
        load.start()
        time.sleep(2 * slow_build())
    before = len(load.accepted)
    wait_until(lambda: len(load.accepted) > before + 5, 20 * slow_build(), "mail is taken again without a restart; refused %r" % dict(load.refused))
    load.stop()
    with open(notes) as file:
        hits = file.read().count("(INJECTED)")
    print("       %d injected; %s" % (hits, load.verify(40)))
    for reply in load.refused:
        check(reply[0] == "4", "only temporary refusals: %r" % dict(load.refused))
    if not hits:
        raise Skip("the server made no such call")


with site.running():
    run_cases()
