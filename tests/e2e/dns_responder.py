# SPDX-License-Identifier: Apache-2.0
"""A name server for tests: answers from a dictionary, over UDP and TCP on one port of loopback, counts what it was asked, and misbehaves
where it is told to.

    dns = Responder({("example.net", "MX"): ["10 mx.example.net"], ("mx.example.net", "A"): ["192.0.2.1"]})
    dns.behave("silent.example", "silent")     # also: servfail, truncate (over UDP), wrong_id (a forged answer before the right one)

A name without any record does not exist; one with records of other types has none of this one. CNAME records are followed within the
dictionary.

    dns = Responder({…}, signed=["signed.example"])     # zones with DNSSEC: settings() names a trust anchor for them

Zones that are signed have one key (RFC 6605, P-256). What does not exist there is denied for its very name (RFC 4470), as no such record.
`forged`, a further way to misbehave, spoils the signatures of a name; with `dns.strips = True` none are handed out at all.
"""
import atexit
import base64
import collections
import ipaddress
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "OPT": 41, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "TLSA": 52}
TTL = 300
ECDSA_P256 = 13


def wire_name(name):
    name = name.rstrip(".")
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def wire_record(kind, text):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(text).packed
    if kind == "MX":
        preference, host = text.split()
        return struct.pack(">H", int(preference)) + wire_name(host)
    if kind in ("PTR", "CNAME", "NS"):
        return wire_name(text)
    if kind == "TLSA":
        usage, selector, matching, data = text.split()
        return bytes([int(usage), int(selector), int(matching)]) + bytes.fromhex(data)
    pieces = [text[i:i + 255].encode() for i in range(0, len(text), 255)] or [b""]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)


def openssl(*arguments, input=None):
    return subprocess.run(("openssl",) + arguments, input=input, stdout=subprocess.PIPE, check=True).stdout


class Zone:
    """A signed zone with its key. Records are (type, data) in wire form."""

    def __init__(self, name):
        self.name = name
        self.directory = tempfile.TemporaryDirectory()
        self.key = os.path.join(self.directory.name, "key.pem")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        self.dnskey = struct.pack(">HBB", 257, 3, ECDSA_P256) + openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER")[-64:]
        total = sum(byte << (0 if i & 1 else 8) for i, byte in enumerate(self.dnskey))
        self.tag = (total + (total >> 16)) & 0xffff  # RFC 4034 appendix B
        self.signatures = {}

    def anchor(self):
        return "%s. IN DNSKEY 257 3 %d %s\n" % (self.name, ECDSA_P256, base64.b64encode(self.dnskey[4:]).decode())

    def signature(self, owner, kind, records):
        """The RRSIG record (RFC 4034 section 3.1)."""
        known = self.signatures.get((owner, kind, tuple(records)))
        if known:
            return known
        now = int(time.time())
        head = struct.pack(">HBBIIIH", kind, ECDSA_P256, len(owner.split(".")), TTL, now + 86400, now - 3600, self.tag) + wire_name(self.name)
        signed = head + b"".join(wire_name(owner) + struct.pack(">HHIH", kind, 1, TTL, len(data)) + data for data in sorted(records))
        der = openssl("dgst", "-sha256", "-sign", self.key, input=signed)
        numbers, at = b"", 2
        for _ in range(2):
            numbers += der[at + 2:at + 2 + der[at + 1]].lstrip(b"\0").rjust(32, b"\0")
            at += 2 + der[at + 1]
        self.signatures[owner, kind, tuple(records)] = head + numbers
        return head + numbers

    def denial(self, owner, kinds):
        """The NSEC record that says that a name has only these types (RFC 4034 section 4.1)."""
        bits = bytearray(32)
        for kind in set(kinds) | {TYPES["RRSIG"], TYPES["NSEC"]}:
            bits[kind // 8] |= 0x80 >> kind % 8
        bits = bytes(bits).rstrip(b"\0")
        return b"\1\0" + wire_name(owner) + bytes([0, len(bits)]) + bits


class Responder:
    def __init__(self, records, signed=()):
        self.zones = [Zone(name) for name in signed]
        self.records = {}
        self.behaviours = {}
        self.strips = False
        self.asked = collections.Counter()  # (name, type) → times, over UDP and TCP
        self.asked_by_tcp = collections.Counter()
        for (name, kind), texts in records.items():
            self.add(name, kind, *texts)
        while True:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket()
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self.udp.close()
                self.tcp.close()
        self.tcp.listen(64)
        threading.Thread(target=self._serve_udp, daemon=True).start()
        threading.Thread(target=self._serve_tcp, daemon=True).start()

    def add(self, name, kind, *texts):
        self.records.setdefault(name.lower(), {}).setdefault(kind, []).extend(texts)

    def behave(self, name, how):
        self.behaviours[name.lower()] = how

    def settings(self, **more):
        """What the configuration of a site says to ask here."""
        anchor = ""
        if self.zones:
            file = tempfile.NamedTemporaryFile("w", suffix=".key", delete=False)
            file.write("".join(zone.anchor() for zone in self.zones))
            file.close()
            os.chmod(file.name, 0o644)
            atexit.register(os.unlink, file.name)
            anchor = file.name
        return {"resolver": dict({"servers": ["127.0.0.1:%d" % self.port], "trust_anchor_file": anchor}, **more)}

    def zone_of(self, name):
        return next((zone for zone in self.zones if name == zone.name or name.endswith("." + zone.name)), None)

    def _serve_udp(self):
        while True:
            query, peer = self.udp.recvfrom(4096)
            for answer in self._answers(query, tcp=False):
                self.udp.sendto(answer, peer)

    def _serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection):
        with connection, connection.makefile("rb") as stream:
            while True:
                head = stream.read(2)
                if len(head) < 2:
                    return
                query = stream.read(struct.unpack(">H", head)[0])
                for answer in self._answers(query, tcp=True):
                    connection.sendall(struct.pack(">H", len(answer)) + answer)

    def _answers(self, query, tcp):
        """Zero, one or two packets."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        question = query[12:at + 5]
        number = struct.unpack(">H", query[at + 1:at + 3])[0]
        kind = next((name for name, value in TYPES.items() if value == number), str(number))
        name = ".".join(labels).lower()
        self.asked[name, kind] += 1
        if tcp:
            self.asked_by_tcp[name, kind] += 1
        how = self.behaviours.get(name)
        # The OPT record behind the question (RFC 6891, 3225): whether signatures are wanted.
        extended = query[at + 5:at + 8] == b"\0\0\x29"
        secure = extended and query[at + 12] & 0x80 != 0 and not self.strips

        def packet(*arguments, **options):
            return self._packet(query[:2], question, *arguments, extended=extended, secure=secure, **options)

        if how == "silent":
            return []
        if how == "servfail":
            return [packet(2, [])]
        if how == "truncate" and not tcp:
            return [packet(0, [], truncated=True)]
        found, at_name = [], name
        for _ in range(20):
            here = self.records.get(at_name, {})
            texts = here.get(kind)
            if texts is None and "CNAME" in here:
                found.append((at_name, "CNAME", [wire_record("CNAME", here["CNAME"][0])]))
                at_name = here["CNAME"][0].lower()
                continue
            zone = self.zone_of(at_name)
            if kind == "DNSKEY" and zone and zone.name == at_name:
                found.append((at_name, kind, [zone.dnskey]))
            elif texts:
                found.append((at_name, kind, [wire_record(kind, text) for text in texts]))
            break
        code = 0 if at_name in self.records or self.zone_of(at_name) else 3
        right = packet(code, found, denied=at_name if not found or found[-1][0] != at_name else None, forged=how == "forged")
        if not tcp and len(right) > 1232:
            return [packet(0, [], truncated=True)]
        if how == "wrong_id" and not tcp:
            forged = self._packet(bytes([query[0] ^ 0xff, query[1]]), question, 0, [(name, "A", [wire_record("A", "203.0.113.66")])])
            return [forged, right]
        return [right]

    def _packet(self, number, question, code, found, truncated=False, denied=None, forged=False, extended=False, secure=False):
        flags = 0x8180 | (0x0200 if truncated else 0) | code

        def section(sets):
            body, count = b"", 0
            for owner, kind, records in sets:
                records = [(TYPES[kind], data) for data in records]
                zone = self.zone_of(owner)
                if zone and secure:
                    signature = zone.signature(owner, TYPES[kind], [data for _, data in records])
                    records.append((TYPES["RRSIG"], signature[:-1] + bytes([signature[-1] ^ forged])))
                for type_number, data in records:
                    body += wire_name(owner) + struct.pack(">HHIH", type_number, 1, TTL, len(data)) + data
                    count += 1
            return body, count

        answer, answers = section(found)
        sets = []
        if not truncated and (denied is not None or not found):
            zone = self.zone_of(denied or "")
            sets.append((zone.name if zone else "", "SOA", [wire_name("ns.test") + wire_name("root.test") + struct.pack(">IIIII", 1, 3600, 600, 86400, TTL)]))
            if zone and secure:
                sets.append((denied, "NSEC", [zone.denial(denied, [TYPES[kind] for kind in self.records.get(denied, {})])]))
        authority, authorities = section(sets)
        more = b"\0" + struct.pack(">HHIH", TYPES["OPT"], 1232, 0x8000 if secure else 0, 0) if extended else b""
        return number + struct.pack(">HHHHH", flags, 1, answers, authorities, 1 if extended else 0) + question + answer + authority + more
