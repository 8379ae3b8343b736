#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Accounts whose mailbox another host has, quotas, owners of groups, and sessions of people whose password was changed meanwhile."""
import base64
import hashlib
import hmac
import json
import plistlib
import pty
import termios
import xml.etree.ElementTree

from dns_responder import Responder
from mail_sink import Sink
from postern_testing import *

store = Sink(offers=("PIPELINING", "8BITMIME"), lmtp=True)
SIEVE = free_port()
dns = Responder({("store2.example.com", "A"): ["127.0.0.1"], ("self.example.com", "A"): ["127.0.0.1"]})
site = Site(settings=merged(dns.settings(), {
    "recipient_delimiter": "+",
    "delivery": {"retry_first": "1 s", "retry_most": "1 s"}, "queue": {"retry_first": "1 s", "retry_most": "1 s", "expire_time": "3 s"},
    "relay": {"mail_host_port": store.port, "dead_time": 0, "dead_time_most": 0, "tls": "off"}, "quota": {"recheck_time": "1 h"},
    "pop3": {"failure_delay": 0}, "directory": {"script_changes": 3}}),
    accounts={"anna@example.com": "anna's secret", "bert@example.com": "bert's secret", "far@example.com": "far away", "full@example.com": "full house"})
site.write_configuration({"listeners": {"managesieve": {"connections_per_address": 0, "sockets": [{"port": SIEVE, "address": "127.0.0.1"}]}}})


def change(account, *options):
    site.ctl("account", "change", account, *options)


def new_password(account, password):
    path = os.path.join(site.etc, "new-password")
    with open(path, "w") as file:
        file.write(password + "\n")
    site.ctl("account", "passwd", account, "--password-file", path)
    site.accounts[account] = password


def sieve_login(account):
    session = Line(SIEVE)
    while not session.line().startswith("OK"):
        pass
    token = base64.b64encode(("\0%s\0%s" % (account, site.accounts[account])).encode()).decode()
    session.send('AUTHENTICATE "PLAIN" "%s"\r\n' % token)
    return session, session.line()


@case
def mail_for_a_mailbox_elsewhere_goes_there_by_lmtp():
    change("far@example.com", "--mail-host", "Store2.Example.com")
    for recipient in ("far@example.com", "far+lists@example.com"):
        message_id = deliver(site, recipient)
        found = wait_until(lambda: [one for one in list(store.messages) if message_id.encode() in one.data], 10 * slow_build(), "%s at the store" % message_id)[0]
        equal(found.recipients, [recipient])
    equal(site.files("far@example.com"), [])
    site.wait_for_log("relayed", "recipient=far@example.com", "host=store2.example.com")


@case
def what_waits_for_a_mailbox_follows_it():
    store.answers["RCPT TO:<far@"] = "451 4.2.0 not now"
    try:
        message_id = deliver(site, "far@example.com")
        site.wait_for_log("relay-put-off", "recipient=far@example.com", "4.2.0")
        change("far@example.com", "--mail-host", "")
        site.find_message("far@example.com", message_id)
    finally:
        del store.answers["RCPT TO:<far@"]
        change("far@example.com", "--mail-host", "store2.example.com")


@case
def logins_are_told_where_the_mailbox_is():
    with Line(site.pop3) as session:
        session.line()
        session.send("USER far@example.com\r\nPASS wrong\r\n")
        session.line()
        equal(session.line(), "-ERR [AUTH] name or password is wrong")
        session.send("USER far@example.com\r\nPASS far away\r\n")
        session.line()
        equal(session.line(), "-ERR [SYS/PERM] your mailbox is on store2.example.com: connect to that host")
    session, answer = sieve_login("far@example.com")
    contains(answer, 'BYE (REFERRAL "sieve://store2.example.com") ')
    session.close()
    site.wait_for_log("login-elsewhere", "account=far@example.com", "host=store2.example.com")


@case
def a_full_mailbox_refuses_waits_and_gives_back():
    change("full@example.com", "--quota-messages", "2", "--quota", "1 MiB")
    for _ in range(2):
        deliver(site, "full@example.com", sender="anna@example.com")
    site.wait_for_messages("full@example.com", 2)
    # The warning does not fit either: it waits behind the others.
    site.wait_for_log("generated", "recipient=full@example.com", "what=quota")
    site.wait_for_log("mailbox-full", "account=full@example.com")
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("MAIL FROM:<anna@example.com>", 250)
        contains(session.command("RCPT TO:<full@example.com>", 452)[1][0], "4.2.2 the mailbox is full, try again later: full@example.com")
        session.command("RCPT TO:<bert@example.com>", 250)
    shown = site.ctl("account", "show", "full@example.com").stdout
    contains(shown, "2 messages of 2")
    # Who reads and removes makes room, at once, for what waits and what comes.
    session = pop3(site, "full@example.com")
    session.dele(1)
    session.dele(2)
    session.quit()
    message_id = deliver(site, "full@example.com")
    site.find_message("full@example.com", message_id)
    # A message that never fits comes back to its sender.
    change("full@example.com", "--quota", "40 KiB", "--quota-messages", "none")
    large = deliver(site, "full@example.com", sender="anna@example.com", body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 800)
    notice = wait_until(lambda: [text for text in site.messages("anna@example.com") if large.encode() in text and b"Action: failed" in text], 15 * slow_build(), "a notice\n" + site.log()[-3000:])
    contains(notice[0], b"the mailbox is full")


@case
def the_owner_of_a_group_gets_what_goes_wrong():
    site.ctl("group", "add", "team@example.com", "bert@example.com", "--owner", "anna@example.com")
    message_id = deliver(site, "team@example.com", sender="stranger@sender.example")
    text = site.find_message("bert@example.com", message_id)
    check(text.startswith(b"Return-Path: <anna@example.com>"), "the owner is the sender: %r" % text[:200])


@case
def a_member_on_hold_gets_the_message_of_the_group_once():
    site.ctl("group", "add", "crew@example.com", "anna@example.com", "bert@example.com", "--owner", "anna@example.com")
    change("bert@example.com", "--hold")
    message_id = deliver(site, "crew@example.com", sender="stranger@sender.example")
    site.find_message("anna@example.com", message_id)

    def held():
        return [entry for entry in site.ctl_json("queue", "held", "list") if entry["recipients"] == ["bert@example.com"]]
    entries = wait_until(held, 10 * slow_build(), "a message on hold")
    equal([entry["sender"] for entry in entries], ["anna@example.com"], "held")
    change("bert@example.com", "--no-hold")
    site.ctl("queue", "held", "release", entries[0]["id"])
    text = site.find_message("bert@example.com", message_id)
    check(text.startswith(b"Return-Path: <anna@example.com>"), "the owner is the sender: %r" % text[:200])
    equal((len([one for one in site.messages("bert@example.com") if message_id.encode() in one]), held()), (1, []), "copies, and what is held")


@case
def the_question_for_a_password_can_be_interrupted():
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever started this in the background has it ignored
        os.execv(program("posternctl"), ["posternctl", "--config", site.configuration, "account", "passwd", "bert@example.com"])
    with contextlib.closing(os.fdopen(terminal, "r+b", buffering=0)) as keys:
        said = b""
        while b"New password" not in said:
            said += keys.read(100)
        wait_until(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO, what="a terminal that does not show what is typed")
        keys.write(b"\x03")
        status = []
        wait_until(lambda: status or [status.append(how) for pid, how in [os.waitpid(child, os.WNOHANG)] if pid], what="its end")
        equal((os.waitstatus_to_exitcode(status[0]), bool(termios.tcgetattr(terminal)[3] & termios.ECHO)), (-signal.SIGINT, True), "how it ended, and whether the terminal shows what is typed")


@case
def sessions_end_with_the_password():
    session = pop3(site, "bert@example.com")
    session.stat()
    filters, answer = sieve_login("bert@example.com")
    check(answer.startswith("OK"), answer)
    new_password("bert@example.com", "another secret")
    try:
        session.stat()
        check(False, "the session goes on")
    except Exception as error:
        contains(str(error), "log in again")
    filters.send("NOOP\r\n")
    contains(filters.line(), "BYE (TRYLATER)")
    filters.close()
    # What is no password changes nothing.
    session = pop3(site, "bert@example.com")
    change("bert@example.com", "--description", "somebody")
    session.stat()
    site.ctl("account", "disable", "bert@example.com")
    try:
        session.stat()
        check(False, "the session goes on")
    except Exception as error:
        contains(str(error), "log in again")
    site.ctl("account", "enable", "bert@example.com")


@case
def changes_of_scripts_are_limited():
    session, answer = sieve_login("anna@example.com")
    answers = []
    for number in range(4):
        session.send('PUTSCRIPT "s%d" "keep;"\r\n' % number)
        answers.append(session.line())
    equal([one[:2] for one in answers], ["OK", "OK", "OK", "NO"])
    contains(answers[3], "(TRYLATER)")
    session.close()
    site.wait_for_log("script-changes-limited", "account=anna@example.com")


# The site's own directory is closed to the directory's user.
TOKEN_KEY = os.path.join(tempfile.gettempdir(), "postern-token-%d" % os.getpid())
atexit.register(os.unlink, TOKEN_KEY)
with open(TOKEN_KEY, "w") as file:
    file.write("a secret that nobody else knows, and long enough\n")
os.chmod(TOKEN_KEY, 0o644)


def token(**claims):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    text = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(dict({"iss": "https://login.example.com", "aud": "mail", "exp": int(time.time()) + 60}, **claims)).encode())
    return (text + b"." + part(hmac.new(b"a secret that nobody else knows, and long enough", text, hashlib.sha256).digest())).decode()


@case
def tokens_log_in_where_keys_are_known():
    def login(mechanism, response):
        with Line(site.pop3) as session:
            session.line()
            session.send("CAPA\r\n")
            offered = [line for line in iter(session.line, ".") if line.startswith("SASL ")]
            if not response:
                return offered, ""
            session.send("AUTH %s %s\r\n" % (mechanism, base64.b64encode(response.encode()).decode()))
            answer = session.line()
            if answer.startswith("+ "):
                said = json.loads(base64.b64decode(answer[2:]))
                session.send("AQ==\r\n")
                answer = session.line() + " " + said["status"]
            return offered, answer
    offered, answer = login("XOAUTH2", "user=anna@example.com\1auth=Bearer %s\1\1" % token(email="anna@example.com"))
    check("XOAUTH2" not in offered[0], offered)
    site.write_configuration({"sasl": {"token_keys": [TOKEN_KEY], "token_issuer": "https://login.example.com", "token_audience": "mail"}})
    site.server.reload()
    wait_until(lambda: "XOAUTH2" in login("", "")[0][0], 20 * slow_build(), "the new processes")
    for mechanism, before in (("XOAUTH2", "user=anna@example.com\1"), ("OAUTHBEARER", "n,a=anna@example.com,\1host=mail.example.com\1")):
        equal(login(mechanism, before + "auth=Bearer %s\1\1" % token(email="anna@example.com"))[1][:3], "+OK")
        for bad in (token(email="anna@example.com", exp=int(time.time()) - 61), token(email="anna@example.com", aud="web")):
            contains(login(mechanism, before + "auth=Bearer %s\1\1" % bad)[1], "-ERR [AUTH] name or password is wrong")
        # Somebody else's token.
        contains(login(mechanism, before + "auth=Bearer %s\1\1" % token(email="bert@example.com"))[1], "-ERR [AUTH] name or password is wrong")
    site.wait_for_log("login-failed", "mechanism=XOAUTH2", 'reason="token has expired"')


@case
def mail_programs_find_their_settings():
    refused = site.ctl("domain", "autoconfig", "example.com", "dns", expect=1).stderr
    contains(refused, "no socket with TLS")
    pem = os.path.join(site.etc, "server")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", pem + ".key", "-out", pem + ".pem", "-days", "2", "-subj", "/CN=mail.example.com")
    def listener(*rows):
        return {"sockets": [dict({"address": "127.0.0.1"}, **row) for row in rows]}
    site.write_configuration({
        "tls": {"domains": [{"names": ["mail.example.com"], "certificates": [{"certificate": pem + ".pem", "key": pem + ".key"}]}]},
        "listeners": {"smtp": listener({"port": 25}, {"port": 587}, {"port": 465, "init_tls": "on"}),
                      "pop3": listener({"port": 110}, {"port": 995, "init_tls": "on"}), "managesieve": listener({"port": 4190})}})
    root = xml.etree.ElementTree.fromstring(site.ctl("domain", "autoconfig", "example.com", "thunderbird").stdout)
    servers = [(one.tag, one.get("type")) + tuple(one.findtext(name) for name in ("hostname", "port", "socketType", "username")) for one in root.find("emailProvider") if one.get("type")]
    equal(servers, [("incomingServer", "pop3", "mail.example.com", "995", "SSL", "%EMAILADDRESS%"), ("incomingServer", "pop3", "mail.example.com", "110", "STARTTLS", "%EMAILADDRESS%"),
                    ("outgoingServer", "smtp", "mail.example.com", "465", "SSL", "%EMAILADDRESS%"), ("outgoingServer", "smtp", "mail.example.com", "587", "STARTTLS", "%EMAILADDRESS%")])
    profile = plistlib.loads(site.ctl("domain", "autoconfig", "example.com", "apple", "anna@example.com", "--host", "mx.example.com").stdout.encode())
    account = profile["PayloadContent"][0]
    equal((profile["PayloadType"], account["EmailAddress"], account["IncomingMailServerHostName"], account["IncomingMailServerPortNumber"], account["OutgoingMailServerPortNumber"], account["OutgoingMailServerUseSSL"]),
          ("Configuration", "anna@example.com", "mx.example.com", 995, 465, True))
    # Two accounts of one domain do not replace each other on a device; the same one replaces itself.
    identifiers = [plistlib.loads(site.ctl("domain", "autoconfig", "example.com", "apple", name).stdout.encode())["PayloadIdentifier"] for name in ("anna@example.com", "bert@example.com", "anna@example.com")]
    check(identifiers[0] == identifiers[2] != identifiers[1] and identifiers[0].startswith("com.example.mail."), identifiers)
    records = [line.split() for line in site.ctl("domain", "autoconfig", "example.com", "dns").stdout.splitlines()]
    equal(records[0], ["_submissions._tcp.example.com.", "SRV", "0", "1", "465", "mail.example.com."])
    check(["_sieve._tcp.example.com.", "SRV", "10", "1", "4190", "mail.example.com."] in records, records)
    # RFC 6186 section 3.4: nobody shall try what is not there.
    for service in ("_imap", "_imaps"):
        check(["%s._tcp.example.com." % service, "SRV", "0", "0", "0", "."] in records, records)
    contains(site.ctl("domain", "autoconfig", "nowhere.example", "dns", expect=1).stderr, "there is no domain nowhere.example")
    contains(site.ctl("domain", "autoconfig", "example.com", "apple", "anna@example.org", expect=1).stderr, "is not in example.com")
    site.ctl("domain", "autoconfig", "example.com", "apple", expect=2)


with site.running():
    run_cases()
