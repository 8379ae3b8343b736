#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Postern and Postfix from Debian's package send mail to each other, with and without TLS."""
from postern_testing import *

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import peers

if peers.why_no_postfix():
    no_cases_here(peers.why_no_postfix())
    sys.exit()

directory = tempfile.mkdtemp(prefix="postern-postfix-")
atexit.register(shutil.rmtree, directory, True)
PEM = os.path.join(directory, "tls.pem")
with open(PEM, "w") as file:
    file.write(run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/dev/stdout", "-out", "/dev/stdout",
                   "-days", "2", "-subj", "/CN=postfix", "-addext", "subjectAltName=IP:127.0.0.1").stdout)
os.chmod(PEM, 0o644)
postern_port = free_port()
postfix = peers.Postfix(directory, accounts=["user@example.com"], settings={
    "relayhost": "[127.0.0.1]:%d" % postern_port, "smtpd_tls_security_level": "may", "smtpd_tls_chain_files": PEM})
site = Site(domains=["example.org"], accounts={"carl@example.org": "carl's secret"}, settings={
    "listeners": {"smtp": {"sockets": [{"port": postern_port, "address": "127.0.0.1"}]}},
    "relay": {"authorities": PEM, "routes": ["example.com [127.0.0.1]:%d tls=verified" % postfix.port, "clear.example [127.0.0.1]:%d tls=off" % postfix.port]}})
site.smtp = postern_port


def at_postfix(message_id):
    def look():
        texts = []
        for name in os.listdir(postfix.new("user@example.com")) if os.path.isdir(postfix.new("user@example.com")) else []:
            with open(os.path.join(postfix.new("user@example.com"), name), "rb") as file:
                texts.append(file.read())
        return [text for text in texts if message_id.encode() in text]
    return wait_until(look, 20 * slow_build(), "message %s in Postfix's mailbox\n%s" % (message_id, "\n".join(site.log().splitlines()[-10:])))[0]


@case
def postfix_takes_a_message_by_verified_tls():
    text = at_postfix(deliver(site, "user@example.com", sender="carl@example.org", body=".a dot\r\n"))
    contains(text, b"\n.a dot\n")
    contains(site.wait_for_log("relayed", "user@example.com")[0], "verified")


def in_mailbox():
    with contextlib.suppress(FileNotFoundError):
        return len(os.listdir(postfix.new("user@example.com")))
    return 0


@cases_of([("%s by %s" % (repr(ending)[2:-1], way), ending, way) for way in ("data", "bdat") for ending in WRONG_ENDS])
def nothing_is_smuggled_into_postfix_behind(ending, way):
    before = in_mailbox()
    hidden = b"MAIL FROM:<carl@example.org>\r\nRCPT TO:<user@example.com>\r\nDATA\r\n" + message(new_id(), body="smuggled\r\n") + b".\r\nQUIT\r\n"
    text = message(new_id(), body="outside") + ending + hidden
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("carl@example.org", "user@example.com")
        with contextlib.suppress(Closed):  # what stands behind an end that is none may be commands of a session, or too much for it
            if way == "bdat":
                session.send(b"BDAT %d LAST\r\n" % len(text) + text)
            else:
                session.command("DATA", 354)
                session.send(text + b"\r\n.\r\n")
            check(session.reply()[0] >= 500, "refused")
    last = deliver(site, "user@example.com", sender="carl@example.org")
    check(b"smuggled" not in at_postfix(last), "the message behind")
    equal(in_mailbox(), before + 1, "messages in Postfix's mailbox")


@case
def text_that_looks_like_commands_arrives_as_text():
    before = in_mailbox()
    hidden = b"one\r\n.\r\nMAIL FROM:<carl@example.org>\r\nRCPT TO:<user@example.com>\r\nDATA\r\nSubject: hidden\r\n\r\nx\r\n.\r\n..\r\nlast\r\n"
    for way in ("data", "bdat"):
        message_id = new_id()
        text = message(message_id, to="user@example.com", sender="carl@example.org", body="") + hidden
        with Smtp(site.smtp) as session:
            session.hello()
            session.begin("carl@example.org", "user@example.com")
            if way == "bdat":  # in which dots are nothing special
                session.command(b"BDAT %d LAST\r\n" % len(text) + text, 250)
            else:
                session.data(text)
            session.quit()
        contains(at_postfix(message_id), hidden.replace(b"\r\n", b"\n"))
    equal(in_mailbox(), before + 2, "messages in Postfix's mailbox")


@case
def postfix_refuses_and_the_sender_hears_of_it():
    deliver(site, "nobody@example.com", sender="carl@example.org")
    contains(site.wait_for_messages("carl@example.org", 1)[0], b"Action: failed")


@case
def a_message_from_postfix_arrives():
    message_id = new_id()
    with Smtp(postfix.port) as session:
        session.hello()
        session.begin("user@example.com", "carl@example.org")
        session.data(message(message_id, to="carl@example.org", sender="user@example.com"))
        session.quit()
    site.find_message("carl@example.org", message_id, seconds=20)


with site.running():
    try:
        run_cases()
    finally:
        postfix.stop()
