#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How users send mail (RFC 6409, RFC 8314): swaks with STARTTLS and in TLS from the first byte, a phone's SCRAM, headers completed, limits of
an account and who is told, the client hidden."""
import base64
import hashlib
import hmac
import re
import secrets
import ssl

from postern_testing import *

site = Site(settings={"submission": {"messages_per_hour": 6, "recipients_per_hour": 9}, "smtp": {"failure_delay": 0}})
SUBMISSION, SUBMISSIONS = free_port(), free_port()
BASE = os.path.join(site.etc, "server")
run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", BASE + ".key", "-out", BASE + ".pem", "-days", "30",
    "-subj", "/CN=mail.example.com", "-addext", "subjectAltName=DNS:mail.example.com,IP:127.0.0.1")
# What ports 587 and 465 have by themselves, which a test can't have.
site.write_configuration({
    "tls": {"domains": [{"names": ["mail.example.com"], "certificates": [{"certificate": BASE + ".pem", "key": BASE + ".key"}]}]},
    "listeners": {"smtp": {"sockets": [{"port": site.smtp, "address": "127.0.0.1"},
                                       {"port": SUBMISSION, "address": "127.0.0.1", "channel": "tcp_submit"},
                                       {"port": SUBMISSIONS, "address": "127.0.0.1", "channel": "tcp_submit", "init_tls": "on"}]}},
})
site.add_account("postmaster@example.org", "postmaster's secret")
ANNA, BERT, CARL = "anna@example.com", "bert@example.com", "carl@example.org"


def encrypt(line):
    line.socket = ssl.create_default_context(cafile=BASE + ".pem").wrap_socket(line.socket, server_hostname="mail.example.com")
    return line


def logged_in(account, source="127.0.0.2"):
    """A session on the port where TLS begins at once."""
    session = Smtp(SUBMISSIONS, source, greeting=False)
    encrypt(session)
    session.greeting = session.reply()
    session.hello("phone.local")
    session.command("AUTH PLAIN " + base64.b64encode(("\0%s\0%s" % (account, site.accounts[account])).encode()).decode(), 235)
    return session


def header_of(text):
    return text.split(b"\n\n")[0].decode()


def swaks(*arguments, expect=0):
    done = run(foreign("swaks"), "--server", "127.0.0.1", "--local-interface", "127.0.0.2", "--from", ANNA, "--to", BERT, *arguments, expect=expect, timeout=60)
    return done.stdout + done.stderr


def newest(account, mark):
    """The message to the account that has `mark` in it."""
    found = wait_until(lambda: [text for text in site.messages(account) if mark.encode() in text], 10 * slow_build(), "message " + mark)
    return found[0]


@case
def nothing_is_taken_before_the_login():
    with Smtp(SUBMISSION, "127.0.0.2") as session:
        session.hello()
        code, texts = session.command("MAIL FROM:<%s>" % ANNA)
        equal((code, texts[0][:6]), (530, "5.7.0 "))
    contains(swaks("--port", SUBMISSION, "--tls", expect=None), "530 5.7.0")


@case
def swaks_submits_with_starttls_and_in_tls():
    for number, how in enumerate((("--port", SUBMISSION, "--tls"), ("--port", SUBMISSIONS, "--tls-on-connect"))):
        mark = "submitted %d" % number
        swaks(*how, "--auth", ("PLAIN", "LOGIN")[number], "--auth-user", ANNA, "--auth-password", site.accounts[ANNA],
              "--data", "To: bert\\nBcc: carl@example.org\\nSubject: %s\\n\\nHello.\\n.\\n" % mark)
        header = header_of(newest(BERT, mark)) + "\n"
        for field in ("From: anna@example.com", "To: bert@example.com", "Subject: " + mark):
            contains(header, "\n" + field + "\n")
        check(re.search(r"\nDate: \w{3}, ", header), header)
        check(re.search(r"\nMessage-ID: <\w+@mail\.example\.com>", header), header)
        check("Bcc" not in header, header)
        contains(header, "with ESMTPSA")
        contains(header, "[127.0.0.2]")


@case
def a_phone_logs_in_with_scram():
    def proof(key, text):
        return hmac.new(key, text, hashlib.sha256).digest()
    with encrypt(Smtp(SUBMISSIONS, "127.0.0.2", greeting=False)) as session:
        session.reply()
        contains("\n".join(session.hello("phone.local")[1]), "SCRAM-SHA-256 ")
        bare = "n=%s,r=%s" % (ANNA, secrets.token_hex(12))
        code, texts = session.command("AUTH SCRAM-SHA-256 " + base64.b64encode(("n,," + bare).encode()).decode(), 334)
        first = base64.b64decode(texts[0]).decode()
        fields = dict(part.split("=", 1) for part in first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", site.accounts[ANNA].encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = proof(salted, b"Client Key")
        final = "c=biws,r=" + fields["r"]
        signed = ",".join((bare, first, final)).encode()
        answer = bytes(a ^ b for a, b in zip(key, proof(hashlib.sha256(key).digest(), signed)))
        reply = "%s,p=%s" % (final, base64.b64encode(answer).decode())
        code, texts = session.command(base64.b64encode(reply.encode()).decode(), 334)
        equal(base64.b64decode(texts[0]).decode(), "v=" + base64.b64encode(proof(proof(salted, b"Server Key"), signed)).decode(), "the server's proof")
        session.command("", 235)
        session.begin(ANNA, BERT)
        session.data(b"Subject: from the phone\r\n\r\nHello.\r\n")
    newest(BERT, "from the phone")


@case
def domains_are_full_ones():
    with logged_in(ANNA) as session:
        session.command("MAIL FROM:<anna@phone>", 554)
        session.command("MAIL FROM:<%s>" % ANNA, 250)
        session.command("RCPT TO:<x@sales>", 554)


@case
def an_account_sends_so_much_and_no_more():
    with logged_in(CARL) as session:
        # What is given up before its text is no message.
        for _ in range(8):
            session.command("MAIL FROM:<%s>" % CARL, 250)
            session.command("RSET", 250)
        for _ in range(6):
            session.begin(CARL, BERT)
            session.data(message(sender=CARL, to=BERT))
        session.begin(CARL, BERT)
        code, texts = session.command("DATA")
        equal(code, 450)
        check(re.match(r"4\.7\.1 6 messages in an hour, the limit is 6 \(submission\.messages_per_hour\); try again in \d+ (s|min)$", texts[0]), texts[0])
    # Another session and another address are the same account; another account is not.
    with logged_in(CARL, "127.0.0.3") as session:
        session.begin(CARL, BERT)
        session.command("DATA", 450)
    with logged_in(BERT) as session:
        session.begin(BERT, ANNA)
    site.wait_for_log("submission-limit", "account=carl@example.org", "setting=submission.messages_per_hour", "limit=6")
    for told in ("postmaster@example.org", CARL):
        texts = site.wait_for_messages(told, 1)
        contains(texts[0].decode(), "Subject: Limit on sending reached: carl@example.org")
        contains(texts[0].decode(), "6 messages in an hour; the limit is 6 (submission.messages_per_hour)")
        contains(texts[0].decode(), "Auto-Submitted: auto-generated")
    equal(len(site.messages(CARL)), 1, "notices")
    contains(site.ctl("throttle", "show", "submission.messages_per_hour", CARL).stdout, CARL)
    site.ctl("throttle", "reset", "submission.messages_per_hour", CARL)
    with logged_in(CARL) as session:
        session.command("MAIL FROM:<%s>" % CARL, 250)
        answers = [session.command("RCPT TO:<%s>" % BERT) for _ in range(2)]
        equal([code for code, _ in answers], [250, 452], "answers to RCPT")
        contains(answers[1][1][0], "4.7.1 9 recipients in an hour, the limit is 9 (submission.recipients_per_hour)")


@case
def a_site_may_hide_where_its_users_are():
    site.write_configuration({"submission": {"hide_client": True}})
    site.ctl("reload")
    with logged_in(BERT) as session:
        session.begin(BERT, ANNA)
        session.data(b"Subject: hidden\r\n\r\nHello.\r\n")
    header = header_of(newest(ANNA, "Subject: hidden"))
    check("127.0.0.2" not in header and "phone.local" not in header, header)
    contains(header, "from mail.example.com\n\tby mail.example.com with ESMTPSA")


@case
def a_message_waits_until_its_sender_lets_it_go():
    # RFC 4865.
    with logged_in(BERT) as session:
        contains(str(session.hello("phone.local")), "FUTURERELEASE ")
        session.command("MAIL FROM:<%s> HOLDFOR=-1" % BERT, 501)
        session.command("MAIL FROM:<%s> HOLDFOR=3" % BERT, 250)
        session.command("RCPT TO:<%s>" % ANNA, 250)
        session.data(b"Subject: not yet\r\n\r\nHello.\r\n")
        began = time.monotonic()
    waits = wait_until(lambda: site.ctl_json("queue", "list", "--sender", BERT, "--state", "deferred"), 5 * slow_build(), "the message in the queue")[0]
    equal(waits["attempts"], 0, "attempts of what its sender holds back")
    newest(ANNA, "Subject: not yet")
    check(time.monotonic() - began >= 1.9, "it waited")


with site.running():
    run_cases()
