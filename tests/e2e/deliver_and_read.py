#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mail goes in by SMTP and LMTP and comes out by POP3, with the mail programs that people use."""
from postern_testing import *

site = Site()


@case
def what_smtplib_sends_poplib_reads():
    message_id = new_id()
    text = message(message_id, body="A line.\r\n.a line with a dot\r\n..two dots\r\n\r\nthe last\r\n")
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=20) as client:
        equal(client.sendmail("sender@sender.example", ["anna@example.com"], text), {})
    site.find_message("anna@example.com", message_id)
    session = pop3(site, "anna@example.com")
    number = session.stat()[0]
    lines = session.retr(number)[1]
    equal(lines[0], b"Return-Path: <sender@sender.example>")
    check(lines[1].startswith(b"Received: from "), "a Received field stands in front: %r" % lines[1])
    body = lines[lines.index(b"") + 1:]
    equal(body, [b"A line.", b".a line with a dot", b"..two dots", b"", b"the last"], "body")
    octets = int(session.list(number).split()[2])
    equal(octets, sum(len(line) + 2 for line in lines), "size that LIST tells")
    session.dele(number)
    session.quit()


@case
def a_message_to_two_accounts_is_in_both_mailboxes():
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("", "anna@example.com", "carl@example.org")
        session.data(message(message_id))
        session.quit()
    for account in ("anna@example.com", "carl@example.org"):
        check(site.find_message(account, message_id).startswith(b"Return-Path: <>\n"), "null sender in Return-Path")


@case
def an_unknown_local_account_is_refused_at_rcpt():
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("MAIL FROM:<a@sender.example>", 250)
        code, texts = session.command("RCPT TO:<nobody@example.com>")
        equal((code, texts[0][:5]), (550, "5.1.1"))
        equal(session.command("DATA")[0], 554)
        session.quit()


@case
def swaks_delivers():
    message_id = new_id()
    run(foreign("swaks"), "--server", "127.0.0.1", "--port", site.smtp, "--from", "swaks@sender.example", "--to", "bert@example.com",
        "--header", "Message-ID: <%s>" % message_id, "--body", "from swaks")
    contains(site.find_message("bert@example.com", message_id), b"from swaks")


@case
def curl_sends_and_fetches():
    curl = foreign("curl")
    message_id = new_id()
    path = os.path.join(site.directory, "to-send")
    with open(path, "wb") as file:
        file.write(message(message_id, body="from curl\r\n"))
    run(curl, "-sS", "smtp://127.0.0.1:%d/client.example.net" % site.smtp, "--mail-from", "curl@sender.example", "--mail-rcpt", "carl@example.org", "-T", path)
    site.find_message("carl@example.org", message_id)
    url = "pop3://127.0.0.1:%d/" % site.pop3
    login = "carl@example.org:" + site.accounts["carl@example.org"]
    listing = run(curl, "-sS", "--user", login, url).stdout.split()
    number = listing[-2]
    contains(run(curl, "-sS", "--user", login, url + number).stdout, message_id)


@case
def fetchmail_with_keep_fetches_each_message_once():
    fetchmail = foreign("fetchmail")
    ids = [deliver(site, "bert@example.com"), deliver(site, "bert@example.com")]
    for message_id in ids:
        site.find_message("bert@example.com", message_id)
    number = len(site.files("bert@example.com"))
    rc, fetched = os.path.join(site.directory, "fetchmailrc"), os.path.join(site.directory, "fetched")
    with open(os.open(rc, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write('poll 127.0.0.1 protocol POP3 port %d uidl\n  user "bert@example.com" password "%s" keep sslproto ""\n  mda "cat >> %s"\n' % (
            site.pop3, site.accounts["bert@example.com"], fetched))
    command = [fetchmail, "-f", rc, "--idfile", os.path.join(site.directory, "ids"), "--pidfile", os.path.join(site.directory, "fetchmail.pid"), "--nosyslog"]
    env = dict(os.environ, HOME=site.directory)
    run(*command, env=env)
    run(*command, env=env, expect=1)  # 1: no new mail
    with open(fetched) as file:
        text = file.read()
    for message_id in ids:
        equal(text.count("<%s>" % message_id), 1, "copies of " + message_id)
    equal(len(site.files("bert@example.com")), number, "messages left in the mailbox")


@case
def lmtp_answers_for_each_recipient():
    message_id = new_id()
    with Smtp(site.lmtp) as session:
        contains(session.greeting[1][0], "LMTP")
        session.hello(lmtp=True)
        session.begin("a@sender.example", "anna@example.com")
        equal(session.command("RCPT TO:<nobody@example.com>")[0], 550)
        session.command("RCPT TO:<carl@example.org>", 250)
        session.command("DATA", 354)
        session.send(message(message_id) + b".\r\n")
        equal([session.reply()[0], session.reply()[0]], [250, 250], "replies to the text")
        session.quit()
    site.find_message("anna@example.com", message_id)
    site.find_message("carl@example.org", message_id)


@case
def chunks_make_one_message():
    message_id = new_id()
    text = message(message_id, body="one\r\n.\r\ntwo\r\n")
    with Smtp(site.smtp) as session:
        contains(" ".join(session.hello()[1]), "CHUNKING")
        session.begin("a@sender.example", "anna@example.com")
        session.command(b"BDAT 7\r\n" + text[:7], 250)
        session.command(b"BDAT %d\r\n" % len(text[7:]) + text[7:], 250)
        session.command("BDAT 0 LAST", 250)
        session.quit()
    contains(site.find_message("anna@example.com", message_id), b"\n\none\n.\ntwo\n")


@case
def utf8_addresses_and_eight_bit_text_pass():
    message_id = new_id()
    with Smtp(site.smtp) as session:
        contains(session.hello()[1], "SMTPUTF8")
        session.command("MAIL FROM:<björn@sender.example> SMTPUTF8 BODY=8BITMIME".encode() + CRLF, 250)
        session.command("RCPT TO:<anna@example.com>", 250)
        session.data(message(message_id, body="Grüße\r\n"))
        session.quit()
    contains(site.find_message("anna@example.com", message_id), "Grüße".encode())


with site.running():
    run_cases()
