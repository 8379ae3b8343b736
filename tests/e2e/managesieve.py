#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ManageSieve (RFC 5804): sieve-connect from upload to activation, the dialogue of mail programs (STARTTLS, an initial response, commands
sent together), mistakes with their lines, and a script that is in force for the next message."""
import base64
import ssl

from postern_testing import *

site = Site(settings={"managesieve": {"failure_delay": 0}, "directory": {"scripts": 5, "script_bytes": 2000}})
SIEVE, STRANGERS = free_port(), free_port()
BASE = os.path.join(site.etc, "server")
run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", BASE + ".key", "-out", BASE + ".pem", "-days", "30",
    "-subj", "/CN=mail.example.com", "-addext", "subjectAltName=DNS:mail.example.com,DNS:localhost,IP:127.0.0.1")
site.write_configuration({
    "tls": {"domains": [{"names": ["mail.example.com"], "certificates": [{"certificate": BASE + ".pem", "key": BASE + ".key"}]}]},
    "listeners": {"managesieve": {"connections_per_address": 0,
                                  "sockets": [{"port": SIEVE, "address": "127.0.0.1"},
                                              {"port": STRANGERS, "address": "127.0.0.1", "restriction": "deny", "list": "127.0.0.66"}]}},
})
ACCOUNT = "anna@example.com"
LISTS = 'require "fileinto";\r\nif header :contains "subject" "list" { fileinto "Lists"; }\r\n'


def plain(name, password):
    return base64.b64encode(("\0%s\0%s" % (name, password)).encode()).decode()


class Sieve(Line):
    """A client that begins with the greeting."""

    def __init__(self, source="127.0.0.1", tls=False):
        super().__init__(SIEVE, source)
        self.greeting = self.answer()
        if tls:
            contains(self.command("STARTTLS")[-1], "OK")
            check(self.buffer == b"", "nothing more was sent in clear text, but %r" % self.buffer)
            self.socket = ssl.create_default_context(cafile=BASE + ".pem").wrap_socket(self.socket, server_hostname="mail.example.com")
            self.greeting = self.answer()

    def answer(self):
        """The lines up to the one with OK, NO or BYE; a literal is one line."""
        lines = []
        while True:
            line = self.line()
            while line.endswith("}") and "{" in line:
                size = int(line[line.rindex("{") + 1:-1])
                while len(self.buffer) < size:
                    self.buffer += self.socket.recv(65536)
                line = line[:line.rindex("{")] + self.buffer[:size].decode()
                self.buffer = self.buffer[size:]
                line += self.line()
            lines.append(line)
            if line.split(" ")[0] in ("OK", "NO", "BYE"):
                return lines

    def command(self, text):
        self.send(text + "\r\n")
        return self.answer()

    def login(self, name=ACCOUNT):
        return self.command('AUTHENTICATE "PLAIN" "%s"' % plain(name, site.accounts[name]))

    def put(self, name, script):
        return self.command('PUTSCRIPT "%s" {%d+}\r\n%s' % (name, len(script.encode()), script))

    def capability(self, name):
        return [line for line in self.greeting if line.startswith('"%s"' % name)]


@case
def sieve_connect_uploads_and_activates():
    client = foreign("sieve-connect")
    folder = os.path.join(site.directory, "scripts")
    os.makedirs(folder, exist_ok=True)
    script = os.path.join(folder, "lists.sieve")
    with open(script, "w", newline="") as file:
        file.write(LISTS)

    def connect(*arguments, expect=0):
        done = run(client, "--server", "127.0.0.1", "--port", SIEVE, "--user", "bert@example.com", "--passwordfd", "0", "--nosrv", "--notlsverify", *arguments,
                   input=site.accounts["bert@example.com"] + "\n", expect=expect)
        return done.stdout + done.stderr
    connect("--upload", "--localsieve", script, "--remotesieve", "lists")
    contains(connect("--list"), '"lists"')
    connect("--activate", "--remotesieve", "lists")
    contains(connect("--list"), '"lists" ACTIVE')
    fetched = os.path.join(folder, "fetched.sieve")
    connect("--download", "--remotesieve", "lists", "--localsieve", fetched)
    with open(fetched, newline="") as file:
        equal(file.read().rstrip("\r\n"), LISTS.rstrip("\r\n"), "what was fetched")
    deliver(site, "bert@example.com", subject="the list")
    site.wait_for_messages("bert@example.com", 1, "Lists")
    with open(script, "w") as file:
        file.write("kepp;\n")
    contains(connect("--checkscript", "--localsieve", script, expect=None), "line 1")
    connect("--deactivate")
    connect("--delete", "--remotesieve", "lists")
    check("lists" not in connect("--list"), "it is deleted")


@case
def a_mail_program_sends_commands_together():
    with Sieve(tls=True) as session:
        contains(session.capability("SASL")[0], "PLAIN")
        contains(session.capability("VERSION")[0], '"1.0"')
        check(not session.capability("STARTTLS"), "no STARTTLS inside TLS")
        session.send('AUTHENTICATE "PLAIN" {%d+}\r\n%s\r\nCAPABILITY\r\nPUTSCRIPT "main" {%d+}\r\n%s\r\nSETACTIVE "main"\r\nLISTSCRIPTS\r\nNOOP "here"\r\n' % (
            len(plain(ACCOUNT, site.accounts[ACCOUNT])), plain(ACCOUNT, site.accounts[ACCOUNT]), len(LISTS), LISTS))
        contains(session.answer()[-1], "OK")
        contains("\n".join(session.answer()), '"OWNER" "anna@example.com"')
        contains(session.answer()[-1], "OK")
        contains(session.answer()[-1], "OK")
        equal(session.answer(), ['"main" ACTIVE', "OK"], "LISTSCRIPTS")
        equal(session.answer(), ['OK (TAG "here") "done"'], "NOOP")
        equal(session.command('GETSCRIPT "main"'), [LISTS, "OK"], "GETSCRIPT")
        session.command("LOGOUT")
        equal(session.rest(), b"", "the rest")
    deliver(site, ACCOUNT, subject="the list")
    site.wait_for_messages(ACCOUNT, 1, "Lists")
    site.wait_for_log("script-change", "script=main", "account=anna@example.com")


@case
def a_broken_script_is_told_line_by_line_and_changes_nothing():
    with Sieve() as session:
        contains(session.login()[-1], "OK")
        contains(session.put("mine", "keep;\r\n")[-1], "OK")
        answer = "\n".join(session.put("mine", 'require "fileinto";\r\nkepp;\r\nfileinto;\r\n'))
        check(answer.startswith("NO"), answer)
        contains(answer, "line 2, column 1: ")
        contains(answer, "line 3, column 1: ")
        equal(session.command('GETSCRIPT "mine"'), ["keep;\r\n", "OK"], "the script as before")
        contains(session.put("mine", "stop;\r\nkeep;\r\n")[-1], "OK (WARNINGS)")
        contains(session.put("large", "#" * 2001)[-1], "NO (QUOTA/MAXSIZE)")
        for name in "1234":
            session.put(name, "keep;")
        contains(session.put("another", "keep;")[-1], "NO (QUOTA/MAXSCRIPTS)")
        contains(session.command('HAVESPACE "mine" 2000')[-1], "OK")
        contains(session.command('HAVESPACE "mine" 2001')[-1], "NO (QUOTA/MAXSIZE)")


@case
def an_administrator_sees_the_same_scripts():
    with Sieve() as session:
        session.login("carl@example.org")
        session.put("holiday", "keep;\r\n")
        session.command('SETACTIVE "holiday"')
        equal(site.ctl("account", "filter", "carl@example.org", "--show").stdout.replace("\r\n", "\n"), "keep;\n", "the account's filter")
        contains(session.command('DELETESCRIPT "holiday"')[-1], "NO (ACTIVE)")


@case
def passwords_need_tls_from_elsewhere():
    with Sieve("127.0.0.2") as session:
        check("PLAIN" not in session.capability("SASL")[0], session.capability("SASL")[0])
        check(session.capability("STARTTLS"), "STARTTLS is offered")
        contains(session.login()[-1], "NO (ENCRYPT-NEEDED)")
    with Sieve("127.0.0.2", tls=True) as session:
        contains(session.login()[-1], "OK")


@case
def failed_logins_say_no_more_than_that():
    with Sieve() as session:
        answers = [session.command('AUTHENTICATE "PLAIN" "%s"' % plain(name, "wrong")) for name in (ACCOUNT, "nobody@example.com")]
        equal(answers[0], answers[1], "answers")
        equal(answers[0], ['NO "name or password is wrong"'], "the answer")


@case
def clear_text_behind_starttls_is_never_executed():
    with Sieve() as session:
        session.send('STARTTLS\r\nNOOP "smuggled"\r\n')
        session.answer()
        session.socket = ssl.create_default_context(cafile=BASE + ".pem").wrap_socket(session.socket, server_hostname="mail.example.com")
        session.answer()
        session.send('NOOP "mine"\r\n')
        equal(session.answer(), ['OK (TAG "mine") "done"'], "the answer to what was sent inside TLS")


@case
def strangers_are_refused_at_the_gate():
    check(refused_silently(STRANGERS, "127.0.0.66"), "denied")


@case
def a_slow_client_keeps_nobody_waiting():
    with Sieve() as slow:
        slow.login()
        slow.send('PUTSCRIPT "slow" {1000+}\r\n#')
        with Sieve() as session:
            contains(session.login()[-1], "OK")


with site.running():
    run_cases()
