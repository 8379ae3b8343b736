#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""posternctl queue corrupt: what could not be read is set aside, does not hold up other mail, and comes back without loss or copy."""
from postern_testing import *

site = Site(settings={"children": {"smtp": 1, "delivery": 1}, "delivery": {"retry_first": 1, "retry_most": 1}})


def entries():
    return site.ctl_json("queue", "corrupt", "list")


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def copies(message_id):
    return sum(("<%s>" % message_id).encode() in text for text in site.messages("anna@example.com"))


def accept_undelivered(body):
    """Two messages that are in the journal when the server dies; their ids. What stands last may have been cut by the end."""
    site.start()
    delivery = site.server.children("delivery")[0]
    os.kill(delivery, signal.SIGSTOP)
    ids = [deliver(site, body=body), deliver(site)]
    site.server.kill()
    return ids


@case
def at_first_nothing_is_set_aside():
    with site.running():
        site.find_message("anna@example.com", deliver(site))
        equal(entries(), [], "entries")
        contains(site.ctl("queue", "corrupt", "list").stdout, "nothing was set aside")


@case
def a_damaged_record_is_set_aside_and_released():
    mark = "mark-" + new_id().split("@")[0]
    message_id, other = accept_undelivered(mark + "\r\n")
    journal = os.path.join(site.base, "spool", "journal")
    for name in os.listdir(journal):
        with open(os.path.join(journal, name), "rb") as file:
            at = file.read().find(mark.encode())
        if at >= 0:
            flip(os.path.join(journal, name), at + 2)
    with site.running():
        # Mail behind it is not held up.
        site.find_message("anna@example.com", other)
        found = wait_until(entries, 10 * slow_build(), "the record is set aside")
        equal(len(found), 1, "entries")
        entry = found[0]
        equal((entry["origin"], entry["trouble"], entry["recipients"]), ("journal", "wrong check sum", ["anna@example.com"]), "what is known")
        check(site.ctl_json("status")["spool"]["corrupt"] >= 1, "it is counted")
        contains(site.ctl("queue", "corrupt", "show", entry["name"]).stdout, "sender@sender.example")
        contains(site.ctl("queue", "corrupt", "show", "--message", entry["name"]).stdout, message_id)
        equal(copies(message_id), 0, "copies before")
        contains(site.ctl("queue", "corrupt", "release", entry["name"], expect=1).stderr, "wrong check sum")
        site.ctl("queue", "corrupt", "release", entry["name"], "--damaged")
        site.find_message("anna@example.com", message_id, seconds=15)
        equal(entries(), [], "entries afterwards")
        site.ctl("queue", "corrupt", "release", entry["name"], expect=1)
        time.sleep(1)
        equal(copies(message_id), 1, "copies")


@case
def a_deferred_message_comes_back_whole_once_it_is_mended():
    mailbox = os.path.join(site.base, "mail", "example.com")
    waiting = os.path.join(site.base, "spool", "deferred")
    os.chmod(mailbox, 0)  # the delivery child may not enter it: the message waits
    try:
        site.start()
        message_id = deliver(site)
        name = wait_until(lambda: [name for name in os.listdir(waiting) if name[0] != "."], 20 * slow_build(), "the message waits")[0]
        flip(os.path.join(waiting, name), os.path.getsize(os.path.join(waiting, name)) - 3)
        entry = wait_until(entries, 20 * slow_build(), "it is set aside")[0]
        equal((entry["origin"], entry["trouble"]), ("deferred", "wrong check sum"), "what is known")
        site.server.stop()
    finally:
        os.chmod(mailbox, 0o700)
        with contextlib.suppress(AttributeError):
            site.server.kill()
    path = os.path.join(site.base, "spool", "corrupt", entry["name"])
    flip(path, os.path.getsize(path) - 3)
    equal([one["trouble"] for one in entries()], [""], "trouble once it is mended")
    # While no server runs; and twice, as if the first had been cut short before the copy went.
    with open(path, "rb") as file:
        whole = file.read()
    site.ctl("queue", "corrupt", "release", entry["name"])
    with open(path, "wb") as file:
        file.write(whole)
    os.chmod(path, 0o666)
    with site.running():
        site.find_message("anna@example.com", message_id, seconds=15)
        site.ctl("queue", "corrupt", "release", entry["name"])
        time.sleep(7)  # the queue's longest pause between two looks, and more
        equal(os.listdir(waiting), [], "nothing waits any more")
        equal(copies(message_id), 1, "copies")


@case
def remove_and_mistakes():
    strange = os.path.join(site.base, "spool", "corrupt", "1-2-3")
    with open(strange, "wb") as file:
        file.write(b"\0" * 100)
    os.chmod(strange, 0o666)
    equal([(one["name"], one["releasable"]) for one in entries()], [("1-2-3", False)], "entries")
    site.ctl("queue", "corrupt", "release", "1-2-3", "--damaged", expect=1)
    site.ctl("queue", "corrupt", "remove", "1-2-3")
    equal(entries(), [], "entries afterwards")
    for arguments in (["queue"], ["queue", "corrupt"], ["queue", "corrupt", "list", "x"], ["queue", "corrupt", "remove"],
                      ["queue", "corrupt", "remove", "x", "--damaged"]):
        site.ctl(*arguments, expect=2)
    site.ctl("queue", "corrupt", "remove", "../journal", expect=1)


run_cases()
