#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS by a device in front (listeners.md 4.3, T-10, T-11, T-28): HAProxy with PROXY version 2, stunnel without. And our own TLS
behind a PROXY header (T-20, T-24), with a client that never begins it (case 45)."""
import ssl

from postern_testing import *

CLIENT = "127.0.0.77"  # passwords in clear text are not taken from it
PORTS = {name: free_port() for name in ("haproxy tls", "haproxy clear", "haproxy check", "stunnel", "smtp", "pop3 proxy", "pop3 grant")}


def ext(name, **more):
    return dict({"port": PORTS[name], "address": "127.0.0.1", "init_tls": "ext"}, **more)


site = Site(settings={
    "client_addresses": "127.0.0.50",
    "listeners": {
        "smtp": {"sockets": [ext("smtp", proxy=True, trusted_proxies="127.0.0.1")]},
        "pop3": {"sockets": [ext("pop3 proxy", proxy=True, trusted_proxies="127.0.0.1"), ext("pop3 grant", restriction="grant", list="127.0.0.1")]},
    }})
pem = os.path.join(site.directory, "device.pem")

HAPROXY = """\
global
  maxconn 100
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend tls
  bind 127.0.0.1:%(tls)d ssl crt %(pem)s
  default_backend pop3
frontend clear
  bind 127.0.0.1:%(clear)d
  default_backend pop3
frontend mail
  bind 127.0.0.1:%(check)d
  default_backend smtp
backend pop3
  server postern 127.0.0.1:%(pop3)d send-proxy-v2-ssl
backend smtp
  server postern 127.0.0.1:%(smtp)d send-proxy-v2 check check-send-proxy inter 200ms
"""


@contextlib.contextmanager
def device(command, *ports):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(os.path.join(site.directory, "device.log"), "a"))
    try:
        for port in ports:
            wait_until(lambda: answers(port) or process.poll() is not None, 10, "%s listens" % command[0])
        check(process.poll() is None, "%s has ended: %s" % (command[0], open(os.path.join(site.directory, "device.log")).read()))
        yield process
    finally:
        process.terminate()
        process.wait()


def answers(port):
    with contextlib.suppress(OSError):
        Line(port).close()
        return True
    return False


def make_certificate():
    run(foreign("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=mail.example.com",
        "-keyout", pem + ".key", "-out", pem + ".crt")
    with open(pem, "w") as file:
        for part in (".crt", ".key"):
            with open(pem + part) as source:
                file.write(source.read())


def start_haproxy():
    make_certificate()
    path = os.path.join(site.directory, "haproxy.cfg")
    with open(path, "w") as file:
        file.write(HAPROXY % {"tls": PORTS["haproxy tls"], "clear": PORTS["haproxy clear"], "check": PORTS["haproxy check"], "pem": pem,
                              "pop3": PORTS["pop3 proxy"], "smtp": PORTS["smtp"]})
    return device([foreign("haproxy"), "-f", path, "-db"], PORTS["haproxy tls"], PORTS["haproxy clear"], PORTS["haproxy check"])


class Pop3(Line):
    def __init__(self, port, tls):
        super().__init__(port, CLIENT)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.greeting = self.line()

    def command(self, text):
        self.send(text + "\r\n")
        return self.line()

    def login(self):
        first = self.command("USER anna@example.com")
        return first if not first.startswith("+OK") else self.command("PASS " + site.accounts["anna@example.com"])

    def capabilities(self):
        self.command("CAPA")
        lines = []
        while not lines or lines[-1] != ".":
            lines.append(self.line())
        return lines


def is_secure(port, tls):
    with Pop3(port, tls) as session:
        check(session.greeting.startswith("+OK"), session.greeting)
        check("STLS" not in session.capabilities(), "STLS is not offered")
        check(session.command("STLS").startswith("-ERR"), "STLS is refused")
        return session.login().startswith("+OK")


@case
def behind_haproxy_a_session_is_secure_if_the_client_came_by_tls():
    with start_haproxy():
        check(is_secure(PORTS["haproxy tls"], True), "by TLS: a password is taken")
        check(not is_secure(PORTS["haproxy clear"], False), "in clear text: HAProxy says so, and it is not")
    site.wait_for_log("session-ended", "listener=pop3", "remote=%s:" % CLIENT, "peer=127.0.0.1:", "tls=ext")


@case
def the_health_checks_of_haproxy_are_sessions_of_its_own():
    def checks():
        return site.log_lines("session-ended", "listener=smtp", "remote=127.0.0.1:")
    with start_haproxy():
        wait_until(checks, 10 * slow_build(), "health checks")
        with Smtp(PORTS["haproxy check"], CLIENT) as session:
            equal(session.greeting[0], 220)
            session.hello()
            session.begin("a@sender.example", "carl@example.org")
            session.data(message(new_id(), to="carl@example.org"))
            session.quit()
    text = site.wait_for_messages("carl@example.org", 1)[0].split(b"\n\n")[0]
    check(CLIENT.encode() in text and b"ESMTPS" in text, "Received: %r" % text)
    check(not site.log_lines("reason=proxy-bad", "listener=smtp"), "no health check was taken for a bad header")


@case
def behind_stunnel_without_proxy_the_grant_list_is_what_protects():
    stunnel = foreign("stunnel4")
    make_certificate()
    path = os.path.join(site.directory, "stunnel.conf")
    with open(path, "w") as file:
        file.write("foreground = yes\npid =\nsyslog = no\ncert = %s\n[pop3s]\naccept = 127.0.0.1:%d\nconnect = 127.0.0.1:%d\n" % (pem, PORTS["stunnel"], PORTS["pop3 grant"]))
    with device([stunnel, path], PORTS["stunnel"]):
        check(is_secure(PORTS["stunnel"], True), "a password is taken")
    check(refused_silently(PORTS["pop3 grant"], CLIENT), "past the device: zero bytes")


TLS_TIME = 2


@contextlib.contextmanager
def own_tls():
    """A site of one child with TLS from the first byte behind PROXY headers, at most one connection from an address."""
    other = Site(settings={"gate": {"tls_time": "%d s" % TLS_TIME}, "children": {"smtp": 1}, "listeners": {"pop3": None, "lmtp": None, "smtp": {"connections_per_address": 1}}})
    other.ctl("certificate", "make", "--force", "--output", os.path.join(other.etc, "own"), "mail.example.com")
    other.write_configuration({
        "listeners": {"smtp": {"sockets": [{"port": other.smtp, "address": "127.0.0.1", "init_tls": "on", "proxy": True, "trusted_proxies": "127.0.0.1"}]}},
        "tls": {"domains": [{"names": ["mail.example.com"], "certificates": [{"certificate": "own.pem", "key": "own.key"}]}]}})
    with other.running():
        yield other


def active(site):
    return next(one for one in site.ctl_json("status")["listeners"] if one["module"] == "smtp")["active"]


@case
def a_proxy_header_comes_before_our_own_tls_and_no_byte_behind_it_is_lost():
    with own_tls() as other:
        line = Line(other.smtp)
        hello, server = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        tls = context.wrap_bio(server, hello)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        # The header and the ClientHello in one segment.
        line.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 465\r\n" + hello.read())
        text = b""
        while b"\r\n" not in text:
            server.write(line.socket.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                if tls.version() is None or not text:
                    tls.do_handshake()
                    line.send(hello.read() or b"")
                text += tls.read(4096)
        check(text.startswith(b"220 "), "greeting inside TLS: %r" % text)
        line.close()
        ended = other.wait_for_log("session-ended", "remote=192.0.2.7:4000", "peer=127.0.0.1:", "tls=on")[0]
        contains(ended, "protocol=TLSv1.3")


@case
def case_45_a_client_that_never_begins_tls_holds_its_slot_for_that_time():
    with own_tls() as other:
        line = Line(other.smtp)
        line.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 465\r\n")
        began = time.monotonic()
        wait_until(lambda: active(other) == 1, 2 * slow_build(), "it holds a slot")
        with Line(other.smtp) as second:
            second.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 4001 465\r\n")
            equal(second.rest(), b"", "another one of its address meanwhile, bytes")
        equal(line.rest(TLS_TIME + 5), b"", "bytes for it")
        check(time.monotonic() - began > TLS_TIME - 0.5, "closed after %.1f s" % (time.monotonic() - began))
        line.close()
        wait_until(lambda: active(other) == 0, 1 * slow_build(), "the slot is free")
        contains(other.wait_for_log("connection-refused", "reason=tls-failed")[0], "remote=192.0.2.7:4000")


@case
def ext_that_everybody_can_reach_is_warned_of():
    other = Site(settings={"listeners": {"pop3": {"sockets": [{"port": free_port(), "init_tls": "ext"}]}}}, accounts={})
    done = run(program("posternd"), "-t", "--config", other.configuration, expect=None)
    contains(done.stdout + done.stderr, "without restriction \"grant\" and without proxy")


with site.running():
    run_cases()
