#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Milters: a small one of our own for every answer that there is, libmilter by python3-milter, and OpenDKIM."""
from postern_testing import *


NOT_ANSWERED = {"L": 0x80, "N": 0x40000, "B": 0x80000}  # steps: fields, their end, and pieces of the body


class Milter:
    """One milter on a socket: answers each session in a thread of its own, by what `behave` says."""

    def __init__(self, address, behave, steps=0x100000, actions=0x1ff):
        self.behave, self.steps, self.actions = behave, steps, actions
        self.sessions = []  # of each connection, the letters that it was told
        self.macros = {}
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(address)
            os.chmod(address, 0o777)
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", address))
        self.socket.listen(50)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        told = []
        self.sessions.append(told)
        stream = connection.makefile("rb")
        message = {}
        with contextlib.suppress(OSError), connection:
            while True:
                head = stream.read(4)
                if len(head) < 4:
                    return
                packet = stream.read(struct.unpack(">I", head)[0])
                letter, data = packet[:1].decode(), packet[1:]
                told.append(letter)
                texts = [text.decode("utf-8", "surrogateescape") for text in data.split(b"\0")[:-1]]
                if letter == "O":
                    reply(connection, "O", struct.pack(">III", 6, self.actions, self.steps))
                    continue
                if letter == "D":
                    self.macros.update(zip([texts[0][1:]] + texts[2::2], texts[1::2]))
                if letter == "Q":
                    return
                if letter in "DA":
                    continue
                if letter == "M":
                    message = {"M": texts, "R": [], "L": [], "B": b""}
                elif letter == "B":
                    message["B"] += data
                elif letter in "RL":
                    message[letter].append(texts)
                answers = self.behave(letter, texts, message)
                if self.steps & NOT_ANSWERED.get(letter, 0):
                    continue
                if answers is None:
                    answers = [("c", b"")]
                for kind, content in answers:
                    reply(connection, kind, content)


def reply(connection, letter, data=b""):
    connection.sendall(struct.pack(">I", len(data) + 1) + letter.encode() + data)


def text(*parts):
    return b"".join(part.encode() + b"\0" for part in parts)


def index(number):
    return struct.pack(">I", number)


def header(message, name):
    return next((value for key, value in message["L"] if key == name), "").strip()


seen = []  # whole messages of the second milter


def first(letter, texts, message):
    if letter == "M" and "refused-sender" in texts[0]:
        return [("y", text("571 5.7.1 not you"))]
    if letter == "R" and "<ben@" in texts[0] and "no-ben" in message["M"][0]:
        return [("y", text("452 4.2.2 not now"))]
    if letter == "T" and "no-data" in message["M"][0]:
        return [("r", b"")]
    if letter != "E":
        return None
    subject = header(message, "Subject")
    if subject == "everything":
        return [("h", text("X-Added", " at the\n\tend")), ("i", index(0) + text("X-On-Top", " yes")), ("m", index(1) + text("Subject", " changed")),
                ("m", index(1) + text("X-Bad", "")), ("e", text("<new@sender.example>")), ("+", text("<ben@example.com>")), ("-", text("<anna@example.com>")),
                ("b", b"another " * 20000), ("b", b"body\r\n"), ("p", b""), ("c", b"")]
    if subject == "hold":
        return [("q", text("looks odd")), ("c", b"")]
    if subject == "reject":
        return [("y", text("554-5.7.9 first\r\n554 5.7.9 second"))]
    if subject == "discard":
        return [("d", b"")]
    return None


def second(letter, texts, message):
    if letter == "E":
        seen.append(dict(message))
    return None


def broken(letter, texts, message):
    return [("?", b"nonsense")] if letter == "R" else None


stalled = threading.Event()


def stalls(letter, texts, message):
    if letter != "E":
        return None
    stalled.set()
    time.sleep(30)
    return []


scratch = tempfile.mkdtemp(prefix="postern-milter-")
os.chmod(scratch, 0o755)
atexit.register(shutil.rmtree, scratch, True)
ports = {name: free_port() for name in ("tempfail", "accept", "reject", "broken", "stalls", "none", "libmilter", "opendkim")}
broken_port, libmilter_port, opendkim_port = free_port(), free_port(), free_port()
first_milter = Milter(scratch + "/first", first)
second_milter = Milter(scratch + "/second", second, steps=0x100000 | 0x80 | 0x40000 | 0x80000)  # without an answer to fields and pieces
Milter(broken_port, broken)
Milter(scratch + "/stalls", stalls)


def at(name, **more):
    return dict({"address": "unix:%s/%s" % (scratch, name)}, **more)


main = free_port()
site = Site(accounts={"anna@example.com": "secret", "ben@example.com": "secret"}, settings={
    "listeners": {"smtp": {"milters": ["first", "second"], "sockets": [{"port": main, "address": "127.0.0.1"}] + [
        {"port": port, "address": "127.0.0.1", "milters": [name]} for name, port in ports.items()]}, "lmtp": {"milters": ["second"]}},
    "spool": {"large_message_bytes": 100000},
    "milters": {"first": at("first"), "second": at("second"), "tempfail": at("gone"), "accept": at("gone", when_down="accept"), "reject": at("gone", when_down="reject"),
                "broken": {"address": "inet:127.0.0.1:%d" % broken_port}, "stalls": at("stalls", end_of_message_time="1 s"),
                "libmilter": {"address": "inet:%d@localhost" % libmilter_port}, "opendkim": {"address": "inet:127.0.0.1:%d" % opendkim_port}}})
site.smtp = main


def send(port, sender="a@sender.example", recipients=("anna@example.com",), expect=250, chunked=False, **options):
    """Sends one message and gives its Message-ID and the reply to it."""
    message_id = new_id()
    content = message(message_id, **options)
    with Smtp(port) as session:
        session.hello()
        session.begin(sender, *recipients)
        if chunked:
            half = len(content) // 2
            session.command(b"BDAT %d\r\n" % half + content[:half], 250)
            answer = session.command(b"BDAT %d LAST\r\n" % (len(content) - half) + content[half:], expect)
        else:
            answer = session.data(content, expect)
        session.quit()
    return message_id, answer


@cases_of([("small", False, "Hello.\r\n"), ("by chunks", True, "Hello.\r\n"), ("large", False, "0123456789abcdef\r\n" * 20000)])
def every_change_reaches_the_mailbox_and_the_next_milter(chunked, body):
    del seen[:]
    message_id, _ = send(main, subject="everything", extra="X-Bad: gone\r\n", chunked=chunked, body=body)
    text = site.find_message("ben@example.com", message_id)
    check(text.startswith(b"Return-Path: <new@sender.example>\r\nX-On-Top: yes\r\nReceived: ") or text.startswith(b"Return-Path: <new@sender.example>\nX-On-Top: yes"), text[:300])
    for part in (b"Subject: changed", b"X-Added: at the", b"another another", b"body"):
        check(part in text, "%r in %r" % (part, text[:500]))
    for part in (b"X-Bad", b"Hello", b"0123456789"):
        check(part not in text, "%r not in the text" % part)
    equal(len([one for one in site.messages("anna@example.com") if message_id.encode() in one]), 0, "copies for the recipient that was taken away")
    equal(header(seen[-1], "Subject"), "changed", "what the second milter was told")
    check(seen[-1]["B"].endswith(b"another body\r\n") and len(seen[-1]["B"]) == 160006, "its body")
    site.wait_for_log("milter-verdict", "milter=first", "verdict=\"accept with 8 changes\"")


@case
def replies_are_those_of_the_milter():
    with Smtp(main) as session:
        session.hello()
        equal(session.command("MAIL FROM:<refused-sender@sender.example>"), (571, ["5.7.1 not you"]))
        session.command("MAIL FROM:<no-ben@sender.example>", 250)
        equal(session.command("RCPT TO:<ben@example.com>"), (452, ["4.2.2 not now"]))
        session.command("RCPT TO:<anna@example.com>", 250)
        session.command("RSET", 250)
        session.begin("no-data@sender.example", "anna@example.com")
        equal(session.command("DATA")[0], 550)
        session.begin("no-data@sender.example", "anna@example.com")
        equal(session.command(b"BDAT 5 LAST\r\nhello")[0], 550)
        session.quit()
    equal(send(main, subject="reject", expect=554)[1], (554, ["5.7.9 first", "5.7.9 second"]))
    message_id, _ = send(main, subject="discard")
    site.wait_for_log("message-thrown-away")
    letters = "".join(wait_until(lambda: [one for one in first_milter.sessions if "T" in one and "A" in one and one[-1] == "Q"], what="the end of that session")[0])
    equal(letters.replace("D", ""), "OCHMAMRRAMRTAMRTAQ", "commands of the first session")
    equal(first_milter.macros["j"], "mail.example.com")
    equal(first_milter.macros["{client_addr}"], "127.0.0.1")
    equal(len([one for one in site.messages("anna@example.com") if message_id.encode() in one]), 0, "copies of a discarded message")


@case
def commands_in_one_packet_are_answered_in_order():
    with Smtp(main) as session:
        session.hello()
        message_id = new_id()
        session.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<anna@example.com>\r\nRCPT TO:<ben@example.com>\r\nDATA\r\n")
        equal([session.reply()[0] for _ in range(4)], [250, 250, 250, 354])
        session.send(message(message_id) + b".\r\nMAIL FROM:<refused-sender@sender.example>\r\nNOOP\r\n")
        equal([session.reply()[0] for _ in range(3)], [250, 571, 250])
    site.find_message("ben@example.com", message_id)


@case
def a_quarantined_message_waits_until_it_is_released():
    message_id, answer = send(main, subject="hold")
    held = wait_until(lambda: site.ctl_json("queue", "held", "list"), 10 * slow_build(), "a held message")
    contains(json.dumps(held), "milter first: looks odd")
    site.ctl("queue", "held", "release", answer[1][0].split()[-1])
    site.find_message("anna@example.com", message_id)


@case
def what_is_down_has_its_setting():
    with Smtp(ports["tempfail"]) as session:
        session.hello()
        equal(session.command("MAIL FROM:<a@sender.example>")[0], 451)
        session.command("NOOP", 250)
    with Smtp(ports["reject"]) as session:
        session.hello()
        equal(session.command("MAIL FROM:<a@sender.example>")[0], 550)
    message_id, _ = send(ports["accept"])
    site.find_message("anna@example.com", message_id)
    site.wait_for_log("milter-failed", "milter=accept", "then=accept")
    with Smtp(ports["broken"]) as session:
        session.hello()
        session.command("MAIL FROM:<a@sender.example>", 250)
        equal(session.command("RCPT TO:<anna@example.com>")[0], 451)
    site.wait_for_log("milter-failed", "milter=broken", "stage=rcpt")


@case
def a_stalled_milter_holds_up_nobody_else():
    with Smtp(ports["stalls"]) as session:
        session.hello()
        session.begin("a@sender.example", "anna@example.com")
        session.command("DATA", 354)
        session.send(message() + b".\r\n")
        check(stalled.wait(5 * slow_build()), "the milter has the message")
        message_id, _ = send(main)
        site.find_message("anna@example.com", message_id)
        equal(session.reply()[0], 451)


@case
def lmtp_has_milters_too():
    del seen[:]
    with Smtp(site.lmtp) as session:
        session.hello(lmtp=True)
        session.begin("a@sender.example", "anna@example.com", "ben@example.com")
        session.command("DATA", 354)
        session.send(message() + b".\r\n")
        equal([session.reply()[0] for _ in range(2)], [250, 250])
    equal(len(seen[-1]["R"]), 2, "recipients")


# Debian's packages are for Debian's interpreter.
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def has_module(name):
    return subprocess.run([PYTHON, "-c", "import " + name], stderr=subprocess.DEVNULL).returncode == 0


LIBMILTER = r"""
import sys
import Milter
class Ours(Milter.Base):
    def connect(self, name, family, address): self.said = ["connect %s %s" % (name, address[0])]; return Milter.CONTINUE
    def hello(self, name): self.said.append("helo " + name); return Milter.CONTINUE
    def envfrom(self, sender, *parameters): self.said.append("mail %s %s" % (sender, " ".join(parameters))); self.fields = 0; self.bytes = 0; return Milter.CONTINUE
    def envrcpt(self, recipient, *parameters): self.said.append("rcpt " + recipient); return Milter.CONTINUE
    def data(self): self.said.append("data"); return Milter.CONTINUE
    def header(self, name, value): self.fields += 1; self.subject = value if name == "Subject" else getattr(self, "subject", ""); return Milter.CONTINUE
    def eoh(self): return Milter.CONTINUE
    def body(self, piece): self.bytes += len(piece); return Milter.CONTINUE
    def eom(self):
        if self.subject == "refuse":
            self.setreply("550", "5.7.8", "one", "two")
            return Milter.REJECT
        self.addheader("X-Said", "; ".join(self.said) + "; %d fields, %d bytes" % (self.fields, self.bytes))
        self.addheader("X-Id", self.getsymval("i") + " " + self.getsymval("{client_addr}"), 0)
        self.chgheader("Subject", 1, "by libmilter")
        self.addrcpt("<ben@example.com>", "NOTIFY=NEVER")
        self.chgfrom("<bounces@sender.example>")
        self.replacebody("replaced\r\n")
        return Milter.CONTINUE
    def abort(self): return Milter.CONTINUE
    def close(self): return Milter.CONTINUE
Milter.factory = Ours
Milter.set_flags(Milter.ADDHDRS | Milter.CHGHDRS | Milter.CHGBODY | Milter.ADDRCPT_PAR | Milter.ADDRCPT | Milter.CHGFROM)
Milter.runmilter("postern-test", sys.argv[1], 60)
"""


@contextlib.contextmanager
def background(port, *arguments):
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: can_connect(port), 15 * slow_build(), "%s listens" % arguments[0])
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def can_connect(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@case
def libmilter_understands_us():
    if not has_module("Milter"):
        raise Skip("python3-milter is not installed")
    with background(libmilter_port, PYTHON, "-c", LIBMILTER, "inet:%d@127.0.0.1" % libmilter_port):
        # Two messages in one session, the first one given up.
        with Smtp(ports["libmilter"]) as session:
            session.hello()
            session.begin("x@sender.example", "anna@example.com")
            session.command("RSET", 250)
            message_id = new_id()
            session.begin("a@sender.example", "anna@example.com")
            answer = session.data(message(message_id))
            session.quit()
        text = site.find_message("ben@example.com", message_id).replace(b"\r\n", b"\n")
        for part in (b"mail <x@sender.example> ; rcpt <anna@example.com>; mail <a@sender.example> ; rcpt <anna@example.com>; data; 5 fields, 8 bytes", b"helo client.example.net",
                     b"\nX-Id: %s 127.0.0.1\n" % answer[1][0].split()[-1].encode(), b"\nSubject: by libmilter\n", b"\n\nreplaced\n", b"Return-Path: <bounces@sender.example>"):
            check(part in text, "%r in %r" % (part, text))
        equal(send(ports["libmilter"], subject="refuse", expect=550)[1], (550, ["5.7.8 one", "5.7.8 two"]))


@case
def opendkim_signs():
    opendkim = foreign("opendkim")
    key = os.path.join(scratch, "key.pem")
    run("openssl", "genrsa", "-out", key, "2048")
    os.chmod(key, 0o600)
    configuration = os.path.join(scratch, "opendkim.conf")
    with open(configuration, "w") as file:
        file.write("Domain sender.example\nSelector test\nKeyFile %s\nSocket inet:%d@127.0.0.1\nMode sv\nInternalHosts 127.0.0.1\nCanonicalization relaxed/relaxed\n"
                   "Background no\nSyslog no\nRequireSafeKeys no\nUserID root\n" % (key, opendkim_port))
    with background(opendkim_port, opendkim, "-f", "-x", configuration):
        message_id, _ = send(ports["opendkim"], sender="sender@sender.example", body="Hello.\r\n.. and dots\r\n\r\n", extra="X-Folded: one\r\n\ttwo\r\n")
        text = site.find_message("anna@example.com", message_id)
    check(b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example;" in text, text)
    if not has_module("dkim"):
        raise Skip("signed; python3-dkim, which would verify it, is not installed")
    public = run("openssl", "rsa", "-in", key, "-pubout").stdout
    record = "v=DKIM1; k=rsa; p=" + "".join(public.splitlines()[1:-1])
    signed = text[text.index(b"\n", text.index(b"Return-Path")) + 1:].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    verify = "import dkim, sys; sys.exit(not dkim.verify(sys.stdin.buffer.read(), dnsfunc=lambda name, **_: sys.argv[1].encode()))"
    equal(subprocess.run([PYTHON, "-c", verify, record], input=signed).returncode, 0, "what verifying the signature says")


with site.running():
    run_cases()
