#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS from outside, with openssl s_client and Python's own: what is offered, which certificate is chosen (case 57), nothing without one (cases 56 and 58),
new certificates without a restart (cases 61 and 62), resumption within a listener and not across, nothing weak."""
import re
import socket
import ssl

from postern_testing import *


def make(site, prefix, *names, options=()):
    """A self-signed certificate etc/PREFIX.pem with its key; returns its serial number."""
    site.ctl("certificate", "make", "--force", "--output", os.path.join(site.etc, prefix), *options, *names)
    return site.ctl_json("certificate", "show", os.path.join(site.etc, prefix + ".pem"))["serial"]


def pair(prefix):
    return {"certificate": prefix + ".pem", "key": prefix + ".key"}


class Tls:
    """A site with the domains a.example (127.0.0.1 and all others), b.example (127.0.0.2), none.example (127.0.0.3, without a certificate)."""

    def __init__(self, **settings):
        self.site = Site()
        self.serial_a = make(self.site, "a", "a.example", "mail.a.example")
        self.serial_b = make(self.site, "b", "b.example")
        make(self.site, "b-rsa", "b.example", options=["--rsa"])
        make(self.site, "wild", "*.w.example")
        self.smtps, self.pop3s = free_port(), free_port()
        self.site.write_configuration({
            "host_name": "mail.a.example",
            "listeners": {
                "smtp": {"sockets": [{"port": self.site.smtp, "address": "all"}, {"port": self.smtps, "address": "all", "init_tls": "on"}]},
                "pop3": {"sockets": [{"port": self.site.pop3, "address": "all"}, {"port": self.pop3s, "address": "all", "init_tls": "on"}]}},
            "tls": dict({"watch": 1, "domains": [
                {"names": ["a.example", "mail.a.example"], "addresses": ["127.0.0.1"], "certificates": [pair("a")]},
                {"names": ["b.example"], "addresses": ["127.0.0.2"], "certificates": [pair("b"), pair("b-rsa")]},
                {"names": ["none.example"], "addresses": ["127.0.0.3"], "certificates": []},
                {"names": ["w.example"], "certificates": [pair("wild")]}]}, **settings)})

    def running(self):
        return self.site.running()


def context(lowest=ssl.TLSVersion.TLSv1_2, highest=ssl.TLSVersion.TLSv1_3):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version, made.maximum_version = lowest, highest
    return made


def connect(port, host="127.0.0.1", name=None, with_context=None, session=None):
    plain = socket.create_connection((host, port), timeout=20 * slow_build())
    try:
        return (with_context or context()).wrap_socket(plain, server_hostname=name, session=session)
    except Exception:
        plain.close()
        raise


def served(port, host="127.0.0.1", name=None):
    """The serial number and common name of the certificate."""
    with connect(port, host, name) as tls:
        text = run("openssl", "x509", "-noout", "-serial", "-subject", input=ssl.DER_cert_to_PEM_cert(tls.getpeercert(True))).stdout
    return re.search(r"serial=(\w+)", text).group(1).lower(), re.search(r"CN ?= ?(\S+)", text).group(1)


def s_client(port, *options, input="QUIT\r\n"):
    done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, *options], input=input, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=30 * slow_build(), errors="replace")
    return done.returncode, done.stdout


@case
def the_certificate_is_chosen_by_name_then_by_address():
    """case 57"""
    site = Tls()
    with site.running():
        for host, name, want in [("127.0.0.1", "b.example", "b.example"), ("127.0.0.1", None, "a.example"), ("127.0.0.2", None, "b.example"),
                                 ("127.0.0.2", "unknown.example", "b.example"), ("127.0.0.2", "MAIL.A.Example", "a.example"),
                                 ("127.0.0.9", None, "a.example"), ("127.0.0.1", "x.w.example", "*.w.example"),
                                 ("127.0.0.3", "b.example", "b.example"), ("127.0.0.1", "x.y.w.example", "a.example")]:
            for port in (site.smtps, site.pop3s):
                equal(served(port, host, name)[1], want, "%s %s" % (host, name))


@case
def without_a_certificate_not_a_byte():
    """case 56: On, domain of the local address has no certificate, no SNI"""
    site = Tls()
    with site.running():
        recorder = socket.create_connection(("127.0.0.3", site.smtps), timeout=20)
        hello = ssl.MemoryBIO()
        client = context().wrap_bio(ssl.MemoryBIO(), hello)
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        recorder.sendall(hello.read())
        try:
            equal(recorder.recv(100), b"", "bytes sent without a certificate")
        except ConnectionResetError:
            pass
        recorder.close()
        site.site.wait_for_log("tls-no-cert", "there is no certificate for 127.0.0.3 of none.example")


@case
def off_without_any_certificate():
    """case 58: STARTTLS is not offered, and answered with an error if sent"""
    site = Site()
    with site.running():
        with Smtp(site.smtp) as session:
            check("STARTTLS" not in session.hello()[1], "STARTTLS is offered")
            code = session.command("STARTTLS")[0]
            check(500 <= code < 600 or code == 454, "STARTTLS is answered %d" % code)
        with Line(site.pop3) as session:
            session.line()
            session.send("CAPA\r\n")
            lines = []
            while not lines or lines[-1] != ".":
                lines.append(session.line())
            check("STLS" not in lines, "STLS is offered")
            session.send("STLS\r\n")
            check(session.line().startswith("-ERR"), "STLS is accepted")


@case
def starttls_is_offered_where_only_the_name_finds_a_certificate():
    """T-8: some certificate could be used. Who names none that we have is not closed: the connection began in clear text."""
    site = Tls()
    with site.running():
        for name, want in (("b.example", "b.example"), ("none.example", "a.example"), (None, "a.example")):
            with Smtp(site.site.smtp, host="127.0.0.3", source="127.0.0.1") as session:
                check("STARTTLS" in session.hello()[1], "STARTTLS is not offered")
                session.command("STARTTLS", 220)
                with context().wrap_socket(session.socket, server_hostname=name) as tls:
                    text = run("openssl", "x509", "-noout", "-subject", input=ssl.DER_cert_to_PEM_cert(tls.getpeercert(True))).stdout
                    contains(text, want)


@case
def starttls_and_stls():
    site = Tls()
    with site.running():
        for port, protocol in ((site.site.smtp, "smtp"), (site.site.pop3, "pop3")):
            status, text = s_client(port, "-starttls", protocol, "-brief")
            check("Protocol version: TLSv1.3" in text, text)
        status, text = s_client(site.pop3s, "-quiet", "-crlf", input="CAPA\nQUIT\n")
        check("+OK" in text, text)


@case
def replaced_files_are_served_without_a_restart():
    """case 61: the next handshake shows the new serial number; a session over the old one goes on; no pid changed"""
    site = Tls()
    with site.running() as server:
        before = sorted(server.pids())
        equal(served(site.pop3s)[0], site.serial_a)
        old = connect(site.pop3s)
        check(old.recv(1000).startswith(b"+OK"), "no greeting")
        new = make(site.site, "a", "a.example")
        server.reload()
        equal(served(site.pop3s)[0], new)
        old.sendall(b"CAPA\r\n")
        check(old.recv(1000).startswith(b"+OK"), "the session over the old certificate has ended")
        old.close()
        # And without a reload: the files are looked at.
        newer = make(site.site, "a", "a.example")
        wait_until(lambda: served(site.pop3s)[0] == newer, 20 * slow_build(), "the new certificate")
        equal(sorted(server.pids()), before, "process ids")


@case
def garbage_leaves_the_old_one_in_use():
    """case 62: the old one is still served, error in log"""
    site = Tls()
    with site.running() as server:
        with open(os.path.join(site.site.etc, "a.pem"), "w") as file:
            file.write("garbage\n")
        server.reload()
        equal(served(site.pop3s)[0], site.serial_a)
        site.site.wait_for_log("certificate-refused", "a.example", "in-force")
        check(any("error" in one for one in site.site.ctl_json("certificate", "show")["certificates"]), "status does not show the error")
        equal(run(program("posternd"), "-t", "--config", site.site.configuration, expect=None).returncode, 1, "posternd -t")
        # A key that does not fit.
        make(site.site, "a", "a.example")
        os.replace(os.path.join(site.site.etc, "b-rsa.key"), os.path.join(site.site.etc, "a.key"))
        server.reload()
        equal(served(site.pop3s)[0], site.serial_a)


def resumed(port, session_port, version):
    """True if a ticket of one port is taken at the other, tried often enough to meet every child."""
    made = context(version, version)

    def speak(tls):
        tls.recv(1000)  # the greeting, with the tickets of TLS 1.3 in front
        tls.sendall(b"QUIT\r\n")
        tls.recv(1000)

    with connect(session_port, name="a.example", with_context=made) as first:
        speak(first)
        session = first.session
    results = []
    for _ in range(8):
        with connect(port, name="a.example", with_context=made, session=session) as again:
            speak(again)
            results.append(again.session_reused)
            if version == ssl.TLSVersion.TLSv1_3 and again.session_reused:
                session = again.session
    return results


@case
def tickets_work_in_all_children_of_a_listener_and_nowhere_else():
    site = Tls()
    site.site.write_configuration({"children": {"smtp": 3}})
    with site.running() as server:
        equal(len(server.children("smtp")), 3)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            equal(set(resumed(site.smtps, site.smtps, version)), {True}, "resumption at smtp, %s" % version)
            equal(set(resumed(site.pop3s, site.smtps, version)), {False}, "a ticket of smtp at pop3, %s" % version)
            equal(set(resumed(site.smtps, site.pop3s, version)), {False}, "a ticket of pop3 at smtp, %s" % version)


@case
def nothing_weak():
    """What a scanner asks: protocols, each cipher alone, renegotiation, compression, early data."""
    site = Tls()
    anything = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
    good = re.compile(r"^ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)$")
    with site.running():
        for port in (site.smtps, site.pop3s):
            for version in ("-tls1", "-tls1_1"):
                status, text = s_client(port, version, "-cipher", anything)
                check(status != 0 and "Cipher is (NONE)" in text, "%s at %d:\n%s" % (version, port, text))
        names = run("openssl", "ciphers", "-s", "-tls1_2", anything).stdout.strip().split(":")
        check(len(names) > 20, "the openssl of this machine has no weak ciphers to try: %s" % names)
        accepted = set()
        for name in names:
            status, text = s_client(site.smtps, "-tls1_2", "-servername", "b.example", "-cipher", name + ":@SECLEVEL=0")
            if "Cipher is (NONE)" not in text and "Cipher is" in text:
                accepted.add(name)
        check(accepted and all(good.match(name) for name in accepted), "accepted ciphers: %s" % sorted(accepted))
        check(any("ECDSA" in name for name in accepted) and any("RSA" in name for name in accepted), "both kinds of key: %s" % sorted(accepted))

        status, text = s_client(site.smtps, "-tls1_2")
        check("Secure Renegotiation IS supported" in text and "Compression: NONE" in text, text)
        # R on a line of its own asks for renegotiation.
        status, text = s_client(site.smtps, "-tls1_2", input="R\nNOOP\r\n")
        check("no renegotiation" in text or "RENEGOTIATING" in text and status != 0, text)
        for port in (site.smtps, site.pop3s):
            ticket = os.path.join(site.site.directory, "session.%d" % port)
            status, text = s_client(port, "-tls1_3", "-sess_out", ticket, "-quiet", "-crlf", input="QUIT\n")
            check(os.path.exists(ticket), "no ticket was saved\n" + text)
            limit = re.search(r"Max Early Data: (\d+)", run("openssl", "sess_id", "-in", ticket, "-noout", "-text").stdout)
            check(limit is None or limit.group(1) == "0", "early data is offered at %d" % port)
        status, text = s_client(site.smtps, "-groups", "P-521")
        check("Cipher is (NONE)" in text, "a group that is not on the list\n" + text)


@case
def a_client_certificate_is_asked_for_where_it_is_set():
    site = Tls()
    make(site.site, "client", "client.example")
    make(site.site, "stranger", "stranger.example")
    site.site.write_configuration({"tls": {"client_authorities": "client.pem"}, "listeners": {"smtp": {"client_certificates": True}}})
    with site.running():
        path = lambda name: os.path.join(site.site.etc, name)
        status, text = s_client(site.smtps, "-cert", path("client.pem"), "-key", path("client.key"))
        check("Acceptable client certificate CA names" in text and "client.example" in text, text)
        status, text = s_client(site.pop3s)
        check("No client certificate CA names sent" in text, text)
        status, text = s_client(site.smtps, "-quiet", "-crlf", "-cert", path("stranger.pem"), "-key", path("stranger.key"), input="QUIT\n")
        check("221" in text, "a certificate that nobody vouches for ended the session\n" + text)
        site.site.wait_for_log("client-certificate-not-verified", "smtp")


@case
def ocsp_is_stapled_if_it_is_for_this_certificate():
    site = Tls()
    etc = site.site.etc
    ocsp = os.path.join(etc, "a.ocsp")
    serial = site.serial_a
    index = os.path.join(etc, "index")
    with open(index, "w") as file:
        file.write("V\t400101000000Z\t\t%s\tunknown\t/CN=a.example\n" % serial.upper())

    run("openssl", "ocsp", "-index", index, "-CA", os.path.join(etc, "a.pem"), "-rsigner", os.path.join(etc, "a.pem"), "-rkey",
        os.path.join(etc, "a.key"), "-issuer", os.path.join(etc, "a.pem"), "-serial", "0x" + serial, "-respout", ocsp, "-ndays", "2", expect=None)
    check(os.path.exists(ocsp), "no response was made")
    domains = site.site.settings["tls"]["domains"]
    domains[0]["certificates"][0]["ocsp"] = "a.ocsp"
    site.site.write_configuration({"tls": {"domains": domains}})
    with site.running() as server:
        check("OCSP Response Status: successful" in s_client(site.smtps, "-status")[1], "nothing is stapled")
        # Another certificate, with the response of the one before.
        make(site.site, "a", "a.example")
        server.reload()
        check("no response sent" in s_client(site.smtps, "-status")[1], "another certificate's response is stapled")
        site.site.wait_for_log("ocsp-response-refused", "a.ocsp")


@case
def keys_are_never_overwritten():
    site = Site()
    prefix = os.path.join(site.etc, "x")
    site.ctl("certificate", "make", "--output", prefix, "x.example")
    equal(os.stat(prefix + ".key").st_mode & 0o777, 0o600, "mode of the key")
    tlsa = site.ctl_json("certificate", "show", prefix + ".pem")["tlsa"]
    site.ctl("certificate", "make", "--output", prefix, "x.example", expect=1)
    equal(site.ctl_json("certificate", "show", prefix + ".pem")["tlsa"], tlsa)
    site.ctl("certificate", "make", "--reuse-key", "--output", prefix, "y.example", "--address", "192.0.2.1", "--days", "3")
    shown = site.ctl_json("certificate", "show", prefix + ".pem")
    equal((shown["tlsa"], shown["names"], shown["days_left"] in (2, 3)), (tlsa, ["y.example", "192.0.2.1"], True))
    site.ctl("certificate", "make", "--csr", "--reuse-key", "--output", prefix, "x.example")
    check("Subject: CN = x.example" in run("openssl", "req", "-in", prefix + ".csr", "-noout", "-verify", "-text").stdout, "the request")
    expected = run("sh", "-c", "openssl x509 -in %s.pem -pubkey -noout | openssl pkey -pubin -outform der | sha256sum" % prefix).stdout.split()[0]
    equal(tlsa, "3 1 1 " + expected, "TLSA record")
    for wrong in (["make", "--output", prefix + "2", "-rsa", "x.example"], ["make"], ["make", "--output", prefix], ["make", "--output", prefix, "--days", "0", "x"], ["show", "a", "b"], ["x"], []):
        site.ctl("certificate", *wrong, expect=2)
    for name, why in (("192.0.2.1", "--address 192.0.2.1"), ("a/b", "no host name"), ("*.", "no host name"), ("*a.example", "no host name")):
        contains(site.ctl("certificate", "make", "--output", prefix + "2", name, expect=1).stderr, why)
    check(not os.path.exists(prefix + "2.key"), "nothing was made")


run_cases()
