# SPDX-License-Identifier: Apache-2.0
"""A name server for tests: answers from a dictionary, over UDP and TCP on one port of loopback, counts what it was asked, and misbehaves
where it is told to.

    dns = Responder({("example.net", "MX"): ["10 mx.example.net"], ("mx.example.net", "A"): ["192.0.2.1"]})
    dns.behave("silent.example", "silent")     # also: servfail, truncate (over UDP), wrong_id (a forged answer before the right one)

A name without any record does not exist; one with records of other types has none of this one. CNAME records are followed within the
dictionary.
"""
import collections
import ipaddress
import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "OPT": 41}
TTL = 300


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
    pieces = [text[i:i + 255].encode() for i in range(0, len(text), 255)] or [b""]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)


class Responder:
    def __init__(self, records):
        self.records = {}
        self.behaviours = {}
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
        return {"resolver": dict({"servers": ["127.0.0.1:%d" % self.port], "trust_anchor_file": ""}, **more)}

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
        if how == "silent":
            return []
        if how == "servfail":
            return [self._packet(query[:2], question, 2, [])]
        if how == "truncate" and not tcp:
            return [self._packet(query[:2], question, 0, [], truncated=True)]
        found, at_name = [], name
        for _ in range(20):
            here = self.records.get(at_name, {})
            texts = here.get(kind)
            if texts is None and "CNAME" in here:
                found.append((at_name, "CNAME", here["CNAME"][0]))
                at_name = here["CNAME"][0].lower()
                continue
            found += [(at_name, kind, text) for text in texts or []]
            break
        code = 0 if at_name in self.records else 3
        right = self._packet(query[:2], question, code, found)
        if not tcp and len(right) > 1232:
            return [self._packet(query[:2], question, 0, [], truncated=True)]
        if how == "wrong_id" and not tcp:
            forged = self._packet(bytes([query[0] ^ 0xff, query[1]]), question, 0, [(name, "A", "203.0.113.66")])
            return [forged, right]
        return [right]

    @staticmethod
    def _packet(number, question, code, found, truncated=False):
        flags = 0x8180 | (0x0200 if truncated else 0) | code
        body = b""
        for name, kind, text in found:
            data = wire_record(kind, text)
            body += wire_name(name) + struct.pack(">HHIH", TYPES[kind], 1, TTL, len(data)) + data
        authority = b""
        if not found or code:
            soa = wire_name("ns.test") + wire_name("root.test") + struct.pack(">IIIII", 1, 3600, 600, 86400, TTL)
            authority = b"\0" + struct.pack(">HHIH", TYPES["SOA"], 1, TTL, len(soa)) + soa
        return number + struct.pack(">HHHHH", flags, 1, len(found), 1 if authority else 0, 0) + question + body + authority
