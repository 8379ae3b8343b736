#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A full disk: 4xx to the client, nothing lost, and all is well by itself when there is room again. Needs root, for a small tmpfs."""
import sys
from postern_load import *

if os.geteuid() != 0:
    no_cases_here("only root can mount a small file system")
if "--inside" not in sys.argv:  # in a mount namespace of our own: it is gone when we are
    # In a root directory that is no mount point nothing can be made private; what is mounted goes when we go, all the same.
    ways = [way for way in ("private", "unchanged") if run("unshare", "--mount", "--propagation", way, "true", expect=None).returncode == 0]
    if not ways:
        no_cases_here("no mount namespace can be made here")
    os.execvp("unshare", ["unshare", "--mount", "--propagation", ways[0], sys.executable, os.path.abspath(sys.argv[0]), "--inside"])

MEGABYTE = 1024 * 1024
disk = tempfile.mkdtemp(prefix="postern-disk-")
atexit.register(lambda: (subprocess.run(["umount", "-l", disk]), os.rmdir(disk)))
run("mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "tmpfs", disk)
os.mkdir(os.path.join(disk, "state"))
site = Site(base=os.path.join(disk, "state"),
            settings={"spool": {"segment_bytes": MEGABYTE, "minimum_free_bytes": 16 * MEGABYTE, "large_message_bytes": 256 * 1024},
                      "children": {"smtp": 2, "delivery": 1}, "delivery": {"retry_first": 1, "retry_most": 2}})
filler = os.path.join(disk, "filler")


def fill(leave):
    """Takes all but `leave` bytes; the server may be taking them at the same moment."""
    with open(filler, "ab") as file:
        piece = 16 * MEGABYTE
        while piece >= 4096:
            vfs = os.statvfs(disk)
            piece = min(piece, vfs.f_bavail * vfs.f_frsize - leave)
            try:
                if piece >= 4096:
                    os.posix_fallocate(file.fileno(), file.seek(0, 2), piece)
            except OSError:
                piece //= 2


def mail_code(text=None):
    """The first code of 400 or more in a transaction, or 250."""
    with Smtp(site.smtp) as session:
        session.hello()
        for command in ("MAIL FROM:<a@sender.example>", "RCPT TO:<anna@example.com>", "DATA"):
            code, texts = session.command(command)
            if code >= 400:
                return code, texts[0]
        code, texts = session.command(stuffed(text or message()) + b".\r\n")
        return code, texts[0]


@case
def below_the_minimum_mail_from_is_answered_452():
    equal(mail_code()[0], 250)
    fill(leave=8 * MEGABYTE)
    # Each child looks at the free space once a second, so one may still take mail when another refuses it.
    wait_until(lambda: all(code == 452 and "4.3.1" in text for code, text in [mail_code() for _ in range(6)]), 10,
               "452 4.3.1 six times, got %r" % (mail_code(),))


@case
def with_room_again_mail_is_taken_without_a_restart():
    pids = site.server.pids()
    os.unlink(filler)
    wait_until(lambda: mail_code()[0] == 250, 5, "250, got %r" % (mail_code(),))
    equal(site.server.pids(), pids, "the same processes")


@case
def what_was_promised_survives_a_disk_that_fills_under_load():
    site.write_configuration({"spool": {"minimum_free_bytes": 0}})
    site.server.stop()
    site.start()
    load = Load(site, threads=4, largest=400000, pause=0.01).start()
    load.wait_accepted(20)
    for leave in (0, 300 * 1024, 0):
        fill(leave)
        time.sleep(1.5)
        os.unlink(filler)
        load.wait_accepted(10)
    load.stop()
    print("       " + load.verify(60))
    for reply in load.refused:
        check(reply[0] == "4", "only temporary refusals: %r" % dict(load.refused))
    check(load.refused, "the full disk was seen by clients")


with site.running():
    run_cases()
