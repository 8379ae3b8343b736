#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS to other hosts: TLSA records in a zone that is really signed, MTA-STS policies from a web server, REQUIRETLS, and how it is counted."""
import http.server
import ssl

from dns_responder import Responder
from mail_sink import Sink, ALL
from postern_testing import *

PLACE = tempfile.mkdtemp()
atexit.register(shutil.rmtree, PLACE)
os.chmod(PLACE, 0o755)


def certificate(name, *names, authority=None):
    """A certificate with its key for these DNS names, in one file: self-signed, or by `authority`."""
    base = os.path.join(PLACE, name)
    more = [] if authority is None else ["-CA", authority, "-CAkey", authority]
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", base + ".key", "-out", base + ".crt", "-days", "2",
        "-subj", "/CN=" + name, *more, *(["-addext", "subjectAltName=" + ",".join("DNS:" + one for one in names)] if names else []))
    with open(base + ".pem", "w") as file:
        for part in (".key", ".crt"):
            file.write(open(base + part).read())
        if authority:
            file.write(open(authority.replace(".pem", ".crt")).read())
    return base + ".pem"


def digest(pem, selector):
    """SHA-256 of the first certificate (selector 0) or its key (1), as TLSA records have it."""
    if selector == 0:
        der = subprocess.run(["openssl", "x509", "-in", pem, "-outform", "DER"], stdout=subprocess.PIPE, check=True).stdout
    else:
        key = subprocess.run(["openssl", "x509", "-in", pem, "-pubkey", "-noout"], stdout=subprocess.PIPE, check=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, stdout=subprocess.PIPE, check=True).stdout
    return hashlib.sha256(der).hexdigest()


AUTHORITY = certificate("authority")
OWN = certificate("own", "some.other.name")                                                 # of no authority, for another name
SIGNED = certificate("signed", "mx.sts.example", "mx.ta.signed.example", authority=AUTHORITY)
WEB = certificate("web", *["mta-sts.%s.example" % name for name in ("sts", "stray", "trial", "down")], authority=AUTHORITY)
SERVER = certificate("server", "mail.example.com", authority=AUTHORITY)

keeping = Sink(offers=ALL + ("REQUIRETLS",), certificate=(OWN, OWN))
plain = Sink()
signed = Sink(certificate=(SIGNED, SIGNED))
RIGHT, WRONG = digest(OWN, 1), "00" * 32

POLICIES = {
    "sts.example": "version: STSv1\nmode: enforce\nmx: mx.sts.example\nmax_age: 86400\n",
    "stray.example": "version: STSv1\nmode: enforce\nmx: *.stray.example\nmax_age: 86400\n",
    "trial.example": "version: STSv1\nmode: testing\nmx: mx.trial.example\nmax_age: 86400\n",
}
fetched = collections.Counter()


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        domain = self.headers["Host"].split(":")[0].replace("mta-sts.", "", 1)
        fetched[domain] += 1
        text = POLICIES.get(domain, "").encode() if self.path == "/.well-known/mta-sts.txt" else b""
        self.send_response(200 if text else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(WEB)
web.socket = context.wrap_socket(web.socket, server_side=True)
threading.Thread(target=web.serve_forever, daemon=True).start()

# domain, the sink of its one mail exchanger, its TLSA records
DOMAINS_BY_DANE = [
    ("good.signed.example", keeping, ["3 1 1 " + RIGHT, "1 1 1 " + WRONG]),
    ("wrong.signed.example", keeping, ["3 1 1 " + WRONG]),
    ("clear.signed.example", plain, ["3 1 1 " + RIGHT]),
    ("unusable.signed.example", keeping, ["0 0 1 " + WRONG]),
    ("none.signed.example", signed, []),
    ("failing.signed.example", keeping, ["3 1 1 " + RIGHT]),
    ("forged.signed.example", keeping, ["3 1 1 " + RIGHT]),
    ("open.example", keeping, ["3 1 1 " + WRONG]),
    ("ta.signed.example", signed, ["2 0 1 " + digest(AUTHORITY, 0)]),
    ("othername.signed.example", signed, ["2 0 1 " + digest(AUTHORITY, 0)]),
]
records, routes = {}, []
for domain, sink, tlsa in DOMAINS_BY_DANE:
    records[domain, "MX"] = ["10 mx." + domain]
    records["mx." + domain, "A"] = ["127.0.0.1"]
    if tlsa:
        records["_%d._tcp.mx.%s" % (sink.port, domain), "TLSA"] = tlsa
    routes.append("%s mx:%s:%d" % (domain, domain, sink.port))
for domain, sink in (("sts.example", signed), ("stray.example", signed), ("trial.example", keeping), ("down.example", keeping)):
    host = "mx.sts.example" if sink is signed else "mx." + domain
    records[domain, "MX"] = ["10 " + host]
    records[host, "A"] = ["127.0.0.1"]
    records["mta-sts." + domain, "A"] = ["127.0.0.1"]
    records["_mta-sts." + domain, "TXT"] = ["v=STSv1; id=1;"]
    routes.append("%s mx:%s:%d" % (domain, domain, sink.port))
# No MX record; an IPv6 address where nobody listens stands in front of an IPv4 address.
records.update({("bare.example", "AAAA"): ["::1"], ("bare.example", "A"): ["127.0.0.1"], ("six.example", "MX"): ["10 mx.six.example"], ("mx.six.example", "AAAA"): ["::1"]})
routes.append("bare.example mx:bare.example:%d" % plain.port)
try:
    six = Sink(host="::1") if socket.has_ipv6 else None
except OSError:
    six = None
if six:
    routes.append("six.example mx:six.example:%d" % six.port)

dns = Responder(records, signed=["signed.example"])
dns.behave("_%d._tcp.mx.failing.signed.example" % keeping.port, "servfail")
dns.behave("_%d._tcp.mx.forged.signed.example" % keeping.port, "forged")

site = Site(settings=merged(dns.settings(), {
    "tls": {"domains": [{"names": ["mail.example.com"], "certificates": [{"certificate": SERVER, "key": SERVER}]}]},
    "queue": {"retry_first": "1 h"},
    "relay": {"authorities": AUTHORITY.replace(".pem", ".crt"), "mta_sts_port": web.server_port, "dead_time": 0, "dead_time_most": 0, "idle_time": "100 ms", "routes": routes}}))


def send(recipient, extra="", requiretls=False):
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        if requiretls:
            session.command("STARTTLS", 220)
            client = ssl.create_default_context(cafile=AUTHORITY.replace(".pem", ".crt"))
            session.socket = client.wrap_socket(session.socket, server_hostname="mail.example.com")
            session.hello()
        session.command("MAIL FROM:<anna@example.com>" + (" REQUIRETLS" if requiretls else ""), 250)
        session.command("RCPT TO:<%s>" % recipient, 250)
        session.data(message(message_id, to=recipient, sender="anna@example.com", extra=extra, body="Nobody else's business.\r\n"))
        session.quit()
    return message_id


def arrived(sink, message_id):
    def look():
        return [message for message in list(sink.messages) if message_id.encode() in message.data]
    return wait_until(look, 15 * slow_build(), "message %s at the sink\n%s" % (message_id, "\n".join(site.log().splitlines()[-15:])))[0]


def policy_of(domain, host=0):
    return site.ctl_json("tls-policy", domain)["hosts"][host]


@case
def a_policy_is_kept_over_the_death_of_the_relay():
    # What the child has counted so far goes with it: this comes before what is counted.
    arrived(signed, send("first@sts.example"))
    equal(fetched["sts.example"], 1)
    del POLICIES["sts.example"]
    kept = os.path.join(site.base, "spool", "mta-sts", "sts.example")
    contains(open(kept).read(), "mode: enforce")
    for child in site.server.children("relay"):
        os.kill(child, signal.SIGKILL)
    arrived(signed, send("again@sts.example"))
    contains(site.wait_for_log("relayed", "recipient=again@sts.example")[0], "policy=mta-sts")
    equal(fetched["sts.example"], 1, "fetched again")
    equal(site.ctl_json("tls-policy", "sts.example")["mta_sts"]["mode"], "enforce")


@cases_of([("DANE", "good.signed.example", keeping, "dane", "TLSv1.3 verified"), ("DANE by an authority", "ta.signed.example", signed, "dane", "TLSv1.3 verified"),
           ("records that are not usable", "unusable.signed.example", keeping, "dane", "TLSv1.3"), ("no records", "none.signed.example", signed, "opportunistic", "TLSv1.3"),
           ("records that nobody signed", "open.example", keeping, "opportunistic", "TLSv1.3"), ("MTA-STS", "sts.example", signed, "mta-sts", "TLSv1.3 verified"),
           ("MTA-STS, testing", "trial.example", keeping, "mta-sts", "TLSv1.3"), ("a policy that is not there", "down.example", keeping, "opportunistic", "TLSv1.3")])
def mail_goes_by_the_rule_that_holds(domain, sink, rule, tls):
    equal(arrived(sink, send("x@" + domain)).tls, "TLSv1.3")
    line = site.wait_for_log("relayed", "recipient=x@%s" % domain)[0]
    contains(line, "policy=%s " % rule)
    contains(line, 'tls="%s"' % tls if " " in tls else "tls=%s " % tls)
    equal(policy_of(domain)["policy"], rule)


@cases_of([("another key", "wrong.signed.example", "4.7.5"), ("no TLS", "clear.signed.example", "4.7.10"), ("TLSA records can't be had", "failing.signed.example", "4.4.3"),
           ("TLSA records are forged", "forged.signed.example", "4.4.3"), ("a host that is not named", "stray.example", "4.7.5"),
           ("an authority, but another name", "othername.signed.example", "4.7.5")])
def mail_waits_rather_than_go_otherwise(domain, status):
    message_id = send("x@" + domain)
    contains(site.wait_for_log("relay-put-off", "recipient=x@%s" % domain, seconds=15 * slow_build())[0], "status=" + status)
    for sink in (keeping, plain, signed):
        check(not any(message_id.encode() in message.data for message in sink.messages), "nothing was sent")


@case
def who_does_not_want_tls_gets_by():
    arrived(keeping, send("no@wrong.signed.example", extra="TLS-Required: No\r\n"))
    contains(site.wait_for_log("relayed", "recipient=no@wrong.signed.example")[0], "policy=not-required")


@case
def requiretls_goes_all_the_way():
    taken = arrived(keeping, send("secret@good.signed.example", requiretls=True))
    contains(taken.sender, " REQUIRETLS")
    contains(site.wait_for_log("relayed", "recipient=secret@good.signed.example")[0], "policy=dane")


@cases_of([("nobody says that it is the right host", "secret@open.example", b"5.7.30"), ("a host that does not know it", "secret@sts.example", b"5.7.30"),
           ("a host without TLS", "secret@clear.signed.example", b"5.7.10")])
def requiretls_comes_back_with_the_header_only(recipient, status):
    send(recipient, requiretls=True)

    def look():
        return [text for text in site.messages("anna@example.com") if b"Action: failed" in text and recipient.encode() in text]
    text = wait_until(look, 15 * slow_build(), "a notice about %s\n%s" % (recipient, "\n".join(site.log().splitlines()[-15:])))[0]
    contains(text, b"Status: " + status)
    contains(text, b"Content-Type: text/rfc822-headers")
    check(b"Nobody else's business" not in text, "the text is not in it")


@case
def addresses_of_both_families_are_tried():
    arrived(plain, send("x@bare.example"))
    site.wait_for_log("relay-host-failed", "host=bare.example", "address=[::1]:%d" % plain.port)
    if six:
        arrived(six, send("x@six.example"))


@case
def posternctl_shows_what_holds_and_how_it_came_out():
    shown = site.ctl("tls-policy", "good.signed.example").stdout
    check(re.search(r"mx\.good\.signed\.example +yes +dane +authenticated +TLSA 3 1 1 of _%d\._tcp\.mx\.good" % keeping.port, shown), shown)
    equal(policy_of("stray.example")["used"], False)
    site.ctl("tls-policy", expect=2)
    site.ctl("tls-policy", "report", "--day", "yesterday", expect=2)
    # What a child has counted is on the disk when it ends.
    site.server.stop()
    reports = {report["policies"][0]["policy"]["policy-domain"]: report for report in json.loads(site.ctl("tls-policy", "report").stdout)}

    def results(domain):
        return [detail["result-type"] for policy in reports[domain]["policies"] for detail in policy.get("failure-details", [])]
    good = reports["good.signed.example"]["policies"][0]
    equal((good["policy"]["policy-type"], good["summary"]["total-failure-session-count"]), ("tlsa", 0))
    check(good["summary"]["total-successful-session-count"] >= 2, good)
    for domain, result in (("wrong.signed.example", "validation-failure"), ("clear.signed.example", "starttls-not-supported"), ("unusable.signed.example", "tlsa-invalid"),
                           ("failing.signed.example", "dnssec-invalid"), ("stray.example", "validation-failure"), ("trial.example", "certificate-not-trusted"),
                           ("othername.signed.example", "certificate-host-mismatch"), ("down.example", "sts-policy-fetch-error")):
        contains(results(domain), result, domain)
    equal(json.loads(site.ctl("tls-policy", "report", "trial.example").stdout)["policies"][0]["policy"]["policy-string"][:2], ["version: STSv1", "mode: testing"])
    site.ctl("tls-policy", "report", "never.example", expect=1)


with site.running():
    run_cases()
