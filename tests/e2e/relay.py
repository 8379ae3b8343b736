#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mail for other hosts: by MX and by routes, with the answers that hosts give, and with relay children that are killed."""
from dns_responder import Responder
from mail_sink import Sink
from postern_testing import *

# Hosts in all of 127/8 listen on one port: the relay is told that it is that of MX hosts by routes only, so these come by "mx:" too.
plain = Sink(offers=())
modern = Sink()
strict = Sink(offers=("PIPELINING", "8BITMIME", "DSN"))
busy = Sink(answers={"RCPT TO:<later": "450 4.2.0 come later", "RCPT TO:<never": "550 5.1.1 nobody", "RCPT TO:<gone": "550 5.1.1 gone"})
store = Sink(offers=("PIPELINING",), lmtp=True)
DEAD = free_port()
made = run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/dev/stdout", "-out", "/dev/stdout",
           "-days", "2", "-subj", "/CN=secure.example", "-addext", "subjectAltName=DNS:secure.example").stdout
PEM = os.path.join(tempfile.gettempdir(), "postern-relay-%d.pem" % os.getpid())
with open(PEM, "w") as file:
    file.write(made)
atexit.register(os.unlink, PEM)
secure = Sink(certificate=(PEM, PEM))
LOGIN = PEM + ".login"
with open(LOGIN, "w") as file:
    file.write("user\nsecret\n")
atexit.register(os.unlink, LOGIN)
# Hosts whose TLS breaks: before the handshake, in it, and with words of a stranger in front of it.
closing = Sink(certificate=(PEM, PEM), answers={"STARTTLS": "close"})
breaking = Sink(certificate=("/dev/null", "/dev/null"))
injected = Sink(certificate=(PEM, PEM), answers={"STARTTLS": "220 go on\r\n250-stranger\r\n250 AUTH PLAIN"})
smart = Sink(offers=("PIPELINING", "AUTH PLAIN LOGIN"), certificate=(PEM, PEM), answers={"AUTH": "235 2.7.0 welcome"})

dns = Responder({
    ("secure.example", "A"): ["127.0.0.1"], ("null.example", "MX"): ["0 ."],
    ("loop.example", "MX"): ["10 mail.example.com"], ("mail.example.com", "A"): ["127.0.0.1"],
    ("nothing.example", "MX"): ["10 gone.nothing.example"],
    ("mx.example", "MX"): ["20 second.mx.example", "10 first.mx.example"], ("first.mx.example", "A"): ["127.0.0.77"], ("second.mx.example", "A"): ["127.0.0.78"],
})
site = Site(settings=merged(dns.settings(), {
    "delivery": {"retry_first": "1 s", "retry_most": "2 s"}, "queue": {"retry_first": "1 s", "retry_most": "2 s"},
    "relay": {
        "authorities": PEM, "dead_time": 0, "dead_time_most": 0, "idle_time": "300 ms",
        "routes": [
            "plain.example [127.0.0.1]:%d" % plain.port,
            "modern.example [127.0.0.1]:%d" % modern.port,
            "strict.example [127.0.0.1]:%d" % strict.port,
            "busy.example [127.0.0.1]:%d" % busy.port,
            "dead.example [127.0.0.1]:%d" % DEAD,
            "store.example lmtp:[127.0.0.1]:%d" % store.port,
            "secure.example secure.example:%d tls=verified" % secure.port,
            "wrong.example [127.0.0.1]:%d tls=verified" % secure.port,
            "cleartext.example [127.0.0.1]:%d tls=required" % plain.port,
            "closing.example [127.0.0.1]:%d" % closing.port, "must.closing.example [127.0.0.1]:%d tls=required" % closing.port,
            "breaking.example [127.0.0.1]:%d" % breaking.port, "must.breaking.example [127.0.0.1]:%d tls=required" % breaking.port,
            "injected.example [127.0.0.1]:%d" % injected.port,
            ".smart.example [127.0.0.1]:%d auth=%s tls=required" % (smart.port, LOGIN),
        ]}}))


def send(*recipients, sender="anna@example.com", extra_mail="", rcpt=None, **options):
    """Sends one message by a client that may relay; returns its Message-ID."""
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("MAIL FROM:<%s>%s" % (sender, extra_mail), 250)
        for recipient in recipients:
            session.command("RCPT TO:<%s>%s" % (recipient, rcpt or ""), 250)
        session.data(message(message_id, to=recipients[0], sender=sender, **options))
        session.quit()
    return message_id


def arrived(sink, message_id, seconds=10):
    def look():
        return [message for message in list(sink.messages) if message_id.encode() in message.data]
    found = wait_until(look, seconds * slow_build(), "message %s at the sink\n%s" % (message_id, "\n".join(site.log().splitlines()[-15:])))
    return found[0]


def bounce(recipient, account="anna@example.com"):
    """The notice that says this recipient failed."""
    return wait_until(lambda: [text for text in site.messages(account) if ("rfc822;%s" % recipient).encode() in text.replace(b"; ", b";") and b"Action: failed" in text],
                      10 * slow_build(), "a notice about %s\n%s" % (recipient, "\n".join(site.log().splitlines()[-15:])))[0]


@case
def a_message_goes_to_a_host_that_knows_no_extension():
    found = arrived(plain, send("x@plain.example", body=".dot\r\n..two\r\nend\r\n"))
    equal(found.commands, ["MAIL FROM:<anna@example.com>", "RCPT TO:<x@plain.example>"])
    contains(found.data, b"\r\n\r\n.dot\r\n..two\r\nend\r\n")
    line = site.wait_for_log("relayed", "recipient=x@plain.example")[0]
    for part in ("address=127.0.0.1:%d" % plain.port, "tls=none", "channel=tcp_local", 'reply="250 2.0.0 taken"'):
        contains(line, part)


@case
def a_host_that_can_more_gets_it_in_one_go():
    found = arrived(modern, send("x@modern.example", "y@modern.example", body="gr\u00fc\u00dfe\r\n", extra="Content-Type: text/plain; charset=utf-8\r\n"))
    equal(found.how, "BDAT")
    contains(found.commands[0], " SIZE=")
    contains(found.commands[0], " BODY=8BITMIME")
    equal(sorted(found.recipients), ["x@modern.example", "y@modern.example"])
    contains(found.data, "gr\u00fc\u00dfe".encode())


@case
def text_of_8_bits_is_encoded_for_a_host_that_cannot_take_it():
    found = arrived(plain, send("eight@plain.example", body="gr\u00fc\u00dfe\r\n", extra="MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"))
    contains(found.data, b"Content-Transfer-Encoding: quoted-printable")
    contains(found.data, b"gr=C3=BC=C3=9Fe")
    check(b"8bit" not in found.data, "the old encoding is gone")


@case
def what_the_sender_wants_to_know_is_passed_on():
    found = arrived(strict, send("x@strict.example", extra_mail=" RET=HDRS ENVID=a+2Bb", rcpt=" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o@example.net"))
    contains(found.commands[0], "ENVID=a+2Bb")
    contains(found.commands[1], "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o@example.net")


@case
def each_recipient_has_its_own_answer():
    message_id = send("good@busy.example", "later@busy.example", "never@busy.example")
    equal(arrived(busy, message_id).recipients, ["good@busy.example"])
    contains(bounce("never@busy.example"), b"550 5.1.1 nobody")
    site.wait_for_log("relay-put-off", "recipient=later@busy.example", "status=4.2.0")
    del busy.answers["RCPT TO:<later"]
    wait_until(lambda: [m for m in busy.messages if m.recipients == ["later@busy.example"]], 15 * slow_build(), "the second attempt")
    equal(len([m for m in busy.messages if "good@busy.example" in m.recipients]), 1, "copies for the first")


@case
def a_dead_host_holds_up_nobody_else():
    send("x@dead.example")
    site.wait_for_log("relay-unreachable", "waiting=1")
    arrived(modern, send("beside@modern.example"))
    alive = Sink(port=DEAD)
    wait_until(lambda: alive.messages, 15 * slow_build(), "the message when the host is back")


@cases_of([("null MX", "x@null.example", b"5.1.10"), ("no such domain", "x@unknown.example", b"5.1.2"), ("mail exchangers that do not exist", "x@nothing.example", b"5.4.4"),
           ("we are the best mail exchanger", "x@loop.example", b"5.4.6"), ("a host that says no", "gone@busy.example", b"550 5.1.1 gone")])
def it_comes_back(recipient, status):
    send(recipient)
    contains(bounce(recipient), status)


@case
def mail_exchangers_are_tried_in_their_order():
    send("x@mx.example")
    site.wait_for_log("relay-host-failed", "host=first.mx.example", "address=127.0.0.77:25")
    site.wait_for_log("host=second.mx.example")
    first, second = [site.log().index("host=%s.mx.example" % name) for name in ("first", "second")]
    check(first < second, "the order of preference")


@case
def tls_is_verified_where_it_must_be():
    equal(arrived(secure, send("x@secure.example")).tls, "TLSv1.3")
    contains(site.wait_for_log("relayed", "x@secure.example")[0], 'tls="TLSv1.3 verified"')
    send("x@wrong.example")
    contains(site.wait_for_log("relay-put-off", "x@wrong.example")[0], "4.7.5")
    send("x@cleartext.example")
    contains(site.wait_for_log("relay-put-off", "x@cleartext.example")[0], "4.7.10")


@cases_of([("closed", "closing.example", closing), ("broken", "breaking.example", breaking)])
def tls_that_breaks_is_done_without_only_where_it_may_be(domain, sink):
    equal(arrived(sink, send("x@" + domain)).tls, "")
    site.wait_for_log("relay-tls-failed", "host=127.0.0.1")
    taken = len(sink.messages)
    send("x@must." + domain)
    contains(site.wait_for_log("relay-put-off", "x@must." + domain)[0], " status=4.")
    equal(len(sink.messages), taken, "messages at the host")


@case
def what_stands_before_the_handshake_counts_for_nothing():
    found = arrived(injected, send("x@injected.example"))
    equal(found.tls, "TLSv1.3")
    equal([line for line in injected.commands if line.startswith("EHLO")], ["EHLO mail.example.com"] * 2, "EHLO, before and behind the handshake")
    check(not any(line.startswith("AUTH") for line in injected.commands), "nobody logs in")


@case
def a_smart_host_gets_user_and_password():
    arrived(smart, send("x@any.smart.example"))
    contains(smart.commands, "AUTH PLAIN AHVzZXIAc2VjcmV0")


@case
def another_store_answers_for_each_recipient():
    store.answers["end b@store.example"] = "452 4.2.2 full"
    message_id = send("a@store.example", "b@store.example")
    arrived(store, message_id)
    site.wait_for_log("relayed", "recipient=a@store.example")
    contains(site.wait_for_log("relay-put-off", "recipient=b@store.example")[0], "4.2.2")
    store.answers.clear()
    check("LHLO mail.example.com" in store.commands, "it was greeted with LHLO")


@case
def a_lost_answer_is_a_second_attempt():
    plain.answers["end"] = "close"
    message_id = send("lost@plain.example")
    site.wait_for_log("relay-unanswered")
    del plain.answers["end"]
    arrived(plain, message_id, 20)


@case
def connections_are_used_again():
    before = modern.connections
    for number in range(20):
        arrived(modern, send("again%d@modern.example" % number))
    check(modern.connections - before <= 10, "%d connections for 20 messages" % (modern.connections - before))


@case
def no_kill_of_a_relay_child_loses_a_message():
    ids = []
    for number in range(40):
        ids.append(send("kill%d@modern.example" % number))
        if number % 8 == 4:
            for child in site.server.children("relay"):
                os.kill(child, signal.SIGKILL)
    for message_id in ids:
        arrived(modern, message_id, 30)
    texts = [m.data for m in modern.messages]
    print("       %d copies too many of %d messages" % (sum(sum(i.encode() in text for text in texts) - 1 for i in ids), len(ids)))


@case
def kills_of_delivery_children_lose_nothing():
    ids, over, lock = [], threading.Event(), threading.Lock()

    def load():
        with contextlib.suppress(OSError), Smtp(site.smtp) as session:
            session.hello()
            for _ in range(1000):
                if over.is_set():
                    return
                message_id = new_id()
                session.command("MAIL FROM:<anna@example.com>", 250)
                session.command("RCPT TO:<many@modern.example>", 250)
                session.data(message(message_id, to="many@modern.example", sender="anna@example.com"))
                with lock:
                    ids.append(message_id)

    threads = [threading.Thread(target=load, daemon=True) for _ in range(16)]
    for thread in threads:
        thread.start()
    for kill in range(3):
        before = len(ids)
        wait_until(lambda: len(ids) >= before + 200, 20 * slow_build(), "200 messages accepted between two kills")
        for child in site.server.children("delivery"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    over.set()
    for thread in threads:
        thread.join(20 * slow_build())
    copies = collections.Counter()

    def all_there():
        copies.clear()
        for taken in list(modern.messages):
            copies[re.search(rb"Message-ID: <(.*?)>", taken.data, re.I).group(1).decode()] += 1
        return all(copies[message_id] > 0 for message_id in ids)

    wait_until(all_there, 60 * slow_build(), "every message at the sink")
    print("       %d messages, 3 kills: %d came twice, %d were recognised" % (
        len(ids), sum(copies[message_id] > 1 for message_id in ids), len([line for line in site.log().splitlines() if "handed-on" in line and "earlier=yes" in line])))


@case
def status_counts_what_was_sent():
    figures = site.ctl_json("status")["outgoing"]
    wait_until(lambda: site.ctl_json("status")["outgoing"]["backlog"] == 0, 10 * slow_build(), "nothing left in the journal")
    check(figures["sent_recipients"] >= 60, "sent: %r" % figures)


with site.running():
    run_cases()
