#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The channels process, reprocess and defragment: addresses that are looked up behind the reply, and pieces of messages that are put together, once, whatever is
killed (access-control.md 3.1)."""
from postern_testing import *

REWRITE = ["later.invalid   $U%example.com@reprocess-daemon", "slow.example    $U%example.com@process-daemon", "pieces.example  $U%example.com@defragment-daemon",
           "outside.example  $U%$D@reprocess-daemon", "parts.example  $U%$D@defragment-daemon",
           "[]  $E$R${INTERNAL_IP,$L}$U%[$L]@tcp_internal-daemon", ".   $U%$H$D@tcp_local-daemon"]
TABLES = MAPPINGS + """
SEND_ACCESS

  process|*|ims-ms|bert@*   $Nnot$ for$ bert
  process|*|ims-ms|*        $A$YX-Way:$ process
  tcp_internal|*|ims-ms|carl@*  $A$YX-Way:$ carl

CONVERSIONS

  *   No
"""
SETTINGS = {"rewrite": REWRITE, "channels": ["ims-ms noswitchchannel defragment"], "delivery": {"retry_first": 1, "retry_most": 1}, "children": {"delivery": 2},
            "defragment": {"wait_time": "1 h"}}
site = Site(settings=SETTINGS, mappings=TABLES)
with open(os.path.join(site.etc, "aliases"), "w") as aliases:
    aliases.write("everybody@example.com: members@later.invalid\nmembers@example.com: anna@example.com, carl@example.org\n")
os.chmod(os.path.join(site.etc, "aliases"), 0o644)
site.compile()
SENDER = "bert@example.com"


def send(recipient, text=None, sender=SENDER, **options):
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin(sender, recipient)
        session.data(text or message(message_id, to=recipient, sender=sender, **options))
    return message_id


def piece(number, total, body, message_id, identifier=None):
    return message(new_id(), subject="part %d" % number, sender=SENDER, body=body,
                   extra="X-Piece: %d\r\nMIME-Version: 1.0\r\nContent-Type: message/partial; id=\"%s\"; number=%d%s\r\n" % (
                       number, identifier or message_id, number, "; total=%d" % total if total else ""))


def pieces(message_id):
    """Three of one message; the total is said by the last one only, as it need be."""
    inside = "Message-ID: <%s>\r\nSubject: whole\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nthe first\r\n" % message_id
    return [piece(1, 0, inside, message_id), piece(2, 0, "the second\r\n", message_id), piece(3, 3, "the third\r\n", message_id)]


def waiting():
    return site.ctl_json("queue", "list", "--state", "defragment")


def whole(message_id, account="anna@example.com", **options):
    text = site.find_message(account, message_id, **options).replace(b"\r\n", b"\n")
    contains(text, b"\n\nthe first\nthe second\nthe third\n")
    contains(text, b"Subject: whole\n")
    contains(text, b"X-Piece: 1\n")
    check(b"partial" not in text and b"X-Piece: 2" not in text, text)
    wait_until(lambda: not site.ctl_json("queue", "list"), 5 * slow_build(), "nothing waits")
    # Neither a second copy nor a piece of it has come besides.
    equal(len([text for text in site.messages(account) if message_id.encode() in text]), 1, "messages with anything of it")


@case
def a_list_is_expanded_behind_the_reply():
    message_id = send("everybody@example.com")
    site.find_message("anna@example.com", message_id)
    contains(site.find_message("carl@example.org", message_id), b"X-Way: carl")
    contains(site.wait_for_log("processed", "channel=reprocess")[0], "recipients=2")


@case
def process_is_a_source_channel_of_its_own():
    contains(site.find_message("anna@example.com", send("anna@slow.example")), b"X-Way: process")


@cases_of([("a table", "bert@slow.example", "not for bert"), ("nobody has the address", "nobody@slow.example", "no such user here")])
def who_is_refused_then_is_reported(recipient, reason):
    message_id = send(recipient, sender="anna@example.com")
    contains(site.wait_for_log("processing-refused", "reply=550", reason)[0], "recipient=" + recipient.replace("slow.example", "example.com"))
    report = wait_until(lambda: [text for text in site.messages("anna@example.com") if message_id.encode() in text], 10 * slow_build(), "the report")[0]
    contains(report, b"Action: failed")
    contains(report, reason.encode())


@case
def nobody_relays_by_reprocess_or_defragment():
    with Smtp(site.smtp, "127.0.0.2") as session:
        session.hello()
        session.command("MAIL FROM:<x@sender.example>", 250)
        for domain in ("elsewhere.example", "outside.example", "parts.example"):
            session.command("RCPT TO:<x@%s>" % domain, 550)


@case
def tools_show_the_way():
    told = site.ctl_json("access", "--client", "198.51.100.7", "--from", "x@sender.example", "--rcpt", "everybody@example.com")
    equal(told["accepted"], True)
    contains(site.ctl("rewrite", "anna@slow.example").stdout, "process")


@case
def pieces_are_put_together():
    message_id = new_id()
    first, second, third = pieces(message_id)
    send("anna@example.com", third)
    send("anna@example.com", first)
    wait_until(lambda: len(waiting()) == 2, 10 * slow_build(), "two wait")
    contains(site.ctl("queue", "list", "--state", "defragment").stdout, "piece 3/3 at ")
    send("anna@example.com", second)
    whole(message_id)


@case
def pieces_for_one_address_only():
    message_id = new_id()
    for one in pieces(message_id):
        send("anna@pieces.example", one)
    whole(message_id)
    site.find_message("anna@example.com", send("anna@pieces.example"))


@case
def a_strangers_piece_is_not_mixed_in():
    message_id = new_id()
    first, second, third = pieces(message_id)
    send("anna@example.com", first)
    send("anna@example.com", piece(2, 0, "forged\r\n", message_id), sender="mallory@sender.example")
    send("anna@example.com", second)
    send("anna@example.com", third)
    text = site.find_message("anna@example.com", message_id)
    check(b"forged" not in text, text)
    left, = wait_until(waiting, 5, "the stranger's piece waits")
    equal(left["sender"], "mallory@sender.example")
    # It goes on as it is when the administrator says so.
    site.ctl("queue", "retry", left["id"])
    wait_until(lambda: any(b"forged" in text for text in site.messages("anna@example.com")), 10 * slow_build(), "it is there")
    wait_until(lambda: not waiting(), 5 * slow_build(), "nothing waits")
    site.wait_for_log("piece-given-up", "id=" + left["id"])


@case
def pieces_that_stay_alone_go_on_as_they_are():
    message_id = new_id()
    first = pieces(message_id)[0]
    site.write_configuration({"defragment": {"wait_time": 1}})
    site.server.reload()
    send("anna@example.com", first)
    text = site.find_message("anna@example.com", first.split(b"<", 1)[1].split(b">", 1)[0].decode())
    contains(text, b"message/partial")
    wait_until(lambda: not waiting(), 5 * slow_build(), "nothing waits")
    site.write_configuration({"defragment": {"wait_time": "1 h"}})
    site.server.reload()


def has_kill_points():
    with open(program("posternd"), "rb") as file:
        return b"POSTERN_KILL_POINT" in file.read()


def two_pieces_wait():
    """Of three, and the server has stopped. Returns the message's id and the third piece."""
    message_id = new_id()
    first, second, third = pieces(message_id)
    send("anna@example.com", first)
    send("anna@example.com", second)
    wait_until(lambda: len(waiting()) == 2, 10 * slow_build(), "two wait")
    site.server.stop()
    return message_id, third


@cases_of([(point, point) for point in ("piece-written", "pieces-joined", "pieces-submitted")])
def killed_at(point):
    if not has_kill_points():
        raise Skip("built without --enable-kill-points")
    message_id, third = two_pieces_wait()
    deaths = len(site.log_lines("child-died", "signal 9"))
    site.start(environment={"POSTERN_KILL_POINT": point})
    send("anna@example.com", third)
    wait_until(lambda: len(site.log_lines("child-died", "signal 9")) > deaths, 10 * slow_build(), "the point is reached")
    site.server.kill()
    site.start()
    whole(message_id, seconds=20)


@case
def a_stop_waits_for_what_is_under_way():
    if not has_kill_points():
        raise Skip("built without --enable-kill-points")
    message_id, third = two_pieces_wait()
    joined = len(site.log_lines("pieces-joined"))
    site.start(environment={"POSTERN_KILL_POINT": "pieces-joined:1:stop"})
    send("anna@example.com", third)
    stands, = wait_until(lambda: [pid for pid in site.server.children("delivery") if process_table()[pid][2] == "T"], 10 * slow_build(), "one stands there")
    os.kill(site.server.pid, signal.SIGTERM)
    wait_until(lambda: len(site.server.children("delivery")) == 1, 10 * slow_build(), "the others have been told to end")
    os.kill(stands, signal.SIGCONT)
    site.server.stop()
    equal(len(site.log_lines("pieces-joined")), joined + 1, "messages put together")
    equal([name for name in os.listdir(os.path.join(site.base, "spool", "defragment")) if name[0] != "."], [])
    site.start()
    whole(message_id, seconds=20)


with site.running():
    run_cases("".join(sys.argv[1:]))
