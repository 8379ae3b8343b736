#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""STARTTLS in SMTP and LMTP, STLS in POP3, and sessions inside TLS from their first byte, with real clients. Clear text behind STARTTLS
(case 59), strangers inside TLS (case 28), denied addresses where TLS would begin at once (case 26)."""
import ssl

from postern_testing import *


def openssl(*arguments):
    return run("openssl", *arguments)


def certificate(directory, name, subject, authority=None):
    """An ECDSA certificate and its key, self-signed or by `authority`; their paths."""
    base = os.path.join(directory, name)
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", base + ".key")
    if authority is None:
        openssl("req", "-x509", "-new", "-key", base + ".key", "-out", base + ".pem", "-days", "30", "-subj", subject,
                "-addext", "subjectAltName=DNS:mail.example.com,IP:127.0.0.1")
    else:
        openssl("req", "-new", "-key", base + ".key", "-out", base + ".csr", "-subj", subject)
        openssl("x509", "-req", "-in", base + ".csr", "-CA", authority[0], "-CAkey", authority[1], "-CAcreateserial", "-days", "30", "-out", base + ".pem")
    return base + ".pem", base + ".key"


site = Site(mappings=MAPPINGS + "\nFROM_ACCESS\n\n  *   $[postern:certificate,CN=relay.example.net]$A$YX-Certificate:$ relay\n  *   $Y\n\n")
SERVER = certificate(site.etc, "server", "/CN=mail.example.com")
AUTHORITY = certificate(site.etc, "authority", "/CN=Authority of the test")
RELAY = certificate(site.etc, "relay", "/CN=relay.example.net", AUTHORITY)
SMTPS, POP3S, STRANGERS = free_port(), free_port(), free_port()
site.write_configuration({
    "tls": {"domains": [{"names": ["mail.example.com"], "certificates": [{"certificate": SERVER[0], "key": SERVER[1]}]}], "client_authorities": AUTHORITY[0]},
    "listeners": {
        "smtp": {"client_certificates": True,
                 "sockets": [{"port": site.smtp, "address": "127.0.0.1"}, {"port": SMTPS, "address": "127.0.0.1", "init_tls": "on"}]},
        "pop3": {"sockets": [{"port": site.pop3, "address": "127.0.0.1"},
                             {"port": POP3S, "address": "127.0.0.1", "init_tls": "on", "restriction": "deny", "list": "127.0.0.66"}]},
    },
})


def encrypt(line, own_certificate=None):
    """The handshake, on a connection that speaks lines."""
    check(line.buffer == b"", "nothing more was sent in clear text, but %r" % line.buffer)
    context = ssl.create_default_context(cafile=SERVER[0])
    if own_certificate:
        context.load_cert_chain(*own_certificate)
    line.socket = context.wrap_socket(line.socket, server_hostname="mail.example.com")
    return line


class Pop3(Line):
    def command(self, text):
        self.send(text + "\r\n")
        return self.line()


def encrypted_smtp(port, source="127.0.0.1", **options):
    session = Smtp(port, source)
    session.hello()
    session.command("STARTTLS", 220)
    return encrypt(session, **options)


@case
def swaks_delivers_with_tls():
    message_id = new_id()
    done = run("swaks", "--server", "127.0.0.1:%d" % site.smtp, "-tls", "--helo", "client.example.net", "--from", "sender@sender.example", "--to", "anna@example.com",
               "--header", "Message-ID: <%s>" % message_id, "--header", "Subject: swaks")
    contains(done.stdout, "TLS started with cipher TLSv1.3")
    text = site.find_message("anna@example.com", message_id).decode()
    check(re.search(r"with ESMTPS\s+\(TLSv1\.3 with TLS_[A-Z0-9_]+\)", text), "ESMTPS and the cipher in %r" % text[:500])
    wait_until(lambda: any("protocol=TLSv1.3" in line and "cipher=TLS_" in line for line in site.log_lines("session-ended", "tls=starttls")), 5, "protocol and cipher in the log")


@case
def curl_reads_and_writes_with_tls():
    password = site.accounts["anna@example.com"]
    message_id = deliver(site, subject="for curl")
    site.find_message("anna@example.com", message_id)
    common = ["curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", SERVER[0], "--interface", "127.0.0.2"]
    done = run(*common, "--user", "anna@example.com:" + password, "pop3://127.0.0.1:%d/" % site.pop3)
    check(re.search(r"(?m)^1 \d+", done.stdout), "a listing in %r" % done.stdout)
    # Without TLS nobody but this machine itself may log in.
    done = run("curl", "--silent", "--interface", "127.0.0.2", "--user", "anna@example.com:" + password, "pop3://127.0.0.1:%d/" % site.pop3, expect=None)
    check(done.returncode != 0, "curl without TLS")
    done = run(*common, "--user", "anna@example.com:" + password, "pop3s://127.0.0.1:%d/" % POP3S)
    check(re.search(r"(?m)^1 \d+", done.stdout), "a listing in %r" % done.stdout)
    for url in ("smtp://127.0.0.1:%d" % site.smtp, "smtps://127.0.0.1:%d" % SMTPS):
        message_id = new_id()
        path = os.path.join(site.directory, "message")
        with open(path, "wb") as file:
            file.write(message(message_id))
        run(*common, url + "/client.example.net", "--mail-from", "sender@sender.example", "--mail-rcpt", "anna@example.com", "--upload-file", path)
        contains(site.find_message("anna@example.com", message_id).decode(), "with ESMTPS")


@cases_of([("smtp", "smtp"), ("lmtp", "lmtp"), ("pop3", "pop3")])
def openssl_sees_the_certificate(protocol):
    port = getattr(site, protocol)
    done = run("openssl", "s_client", "-starttls", protocol, "-connect", "127.0.0.1:%d" % port, "-CAfile", SERVER[0], "-verify_return_error", "-crlf",
               input="QUIT\n", expect=None)
    contains(done.stdout, "CN = mail.example.com" if "CN = " in done.stdout else "CN=mail.example.com")
    contains(done.stdout + done.stderr, "Verify return code: 0 (ok)")


@case
def after_the_handshake_nothing_is_remembered():
    with encrypted_smtp(site.smtp) as session:
        equal(session.command("MAIL FROM:<a@sender.example>")[0], 503, "MAIL without a second EHLO")
        check("STARTTLS" not in session.hello()[1], "not offered twice")
        equal(session.command("STARTTLS")[0], 503, "a second STARTTLS")
        session.quit()
    with Pop3(site.pop3) as session:
        session.line()
        session.command("USER anna@example.com")
        check(session.command("STLS").startswith("+OK"), "STLS")
        encrypt(session)
        check(session.command("PASS " + site.accounts["anna@example.com"]).startswith("-ERR"), "the name is forgotten")
        check(session.command("STLS").startswith("-ERR"), "a second STLS")


@case
def case_59_clear_text_behind_starttls_is_never_executed():
    for port, hello in ((site.smtp, "EHLO"), (site.lmtp, "LHLO")):
        for injected in ("NOOP\r\n", "RSET\r\nNOOP\r\n", "%s evil.example\r\nMAIL FROM:<evil@evil.example>\r\n" % hello, "QUIT\r\n"):
            with Smtp(port) as session:
                session.command(hello + " client.example.net", 250)
                session.send("STARTTLS\r\n" + injected)
                equal(session.reply()[0], 220)
                encrypt(session)
                code, texts = session.command(hello + " client.example.net")
                check(code == 250 and "mail.example.com" in texts[0], "the answer to the command inside, not %r" % texts)
                equal(session.command("RCPT TO:<anna@example.com>")[0], 503, "no transaction from outside")
                session.quit()
    for injected in ("NOOP\r\n", "USER anna@example.com\r\nPASS %s\r\n" % site.accounts["anna@example.com"], "QUIT\r\n"):
        with Pop3(site.pop3) as session:
            session.line()
            session.send("STLS\r\n" + injected)
            check(session.line().startswith("+OK"), "STLS")
            encrypt(session)
            equal(session.command("STAT"), "-ERR log in first")
            check(session.command("QUIT").startswith("+OK"), "and the session goes on")


@case
def a_client_certificate_is_logged_and_known_to_tables():
    for own, marked in ((RELAY, True), (None, False)):
        message_id = new_id()
        with encrypted_smtp(site.smtp, own_certificate=own) as session:
            session.hello()
            session.begin("sender@sender.example", "anna@example.com")
            session.data(message(message_id))
            session.quit()
        equal(b"X-Certificate: relay" in site.find_message("anna@example.com", message_id), marked)
    wait_until(lambda: site.log_lines("tls-started", "certificate=", "CN=relay.example.net"), 5, "its subject in the log")


@case
def a_failed_handshake_ends_the_connection():
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("STARTTLS", 220)
        session.send(b"NOOP\r\n" * 10)
        data = session.rest()
        check(b"250" not in data, "no answer in clear text, but %r" % data)
    wait_until(lambda: site.log_lines("tls-not-started", "reason=tls-failed"), 5, "the reason in the log")


@case
def case_28_a_stranger_hears_no_inside_tls():
    site.write_configuration({"listeners": {"pop3": {"clients_only": True}}})
    site.ctl("reload")
    with Line(POP3S, "127.0.0.2") as line:
        encrypt(line)
        equal(line.rest(), b"-ERR [SYS/PERM] access from your network address is not allowed\r\n")
    check(refused_silently(POP3S, "127.0.0.66"), "a denied address gets no byte")
    check(refused_silently(POP3S, "127.0.0.66", b"\x16\x03\x01\x00\x05hello"), "though it speaks first")
    with Line(POP3S) as line:
        check(encrypt(line).line().startswith("+OK "), "a client is served")


with site.running():
    run_cases()
