# SPDX-License-Identifier: Apache-2.0
"""A host that takes mail, for tests: an SMTP or LMTP server on a port of loopback, which keeps what it gets, and misbehaves where told to.

    sink = Sink()                          # sink.port; sink.messages: each with .sender, .recipients, .commands, .data, .tls, .how, .begun, .answered
    sink = Sink(offers=("PIPELINING", "8BITMIME"), answers={"RCPT TO:<b@": "450 4.2.0 not now"})
    sink.answers["DATA"] = "554 5.6.0 no"  # by the start of a command; "greeting", "EHLO", "end" (of the text), "BDAT" too

Times (of the monotonic clock): MAIL came, and the answer to the text was sent; nothing: it could not be. The answer "close" ends the connection without a word; one that can be called is asked for when its time comes. `certificate`: (file, key) for STARTTLS.
"""
import socket
import ssl
import threading
import time

ALL = ("PIPELINING", "8BITMIME", "SIZE 10000000", "CHUNKING", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


class Message:
    def __init__(self, sender):
        self.sender, self.recipients, self.commands, self.data, self.how, self.tls = sender, [], [sender], b"", "", ""
        self.begun, self.answered = time.monotonic(), None


class _End(Exception):
    pass


class Sink:
    def __init__(self, offers=ALL, answers=None, certificate=None, lmtp=False, host="127.0.0.1", port=0):
        self.offers, self.answers, self.certificate, self.lmtp = tuple(offers), dict(answers or {}), certificate, lmtp
        self.messages = []
        self.commands = []  # of all connections, in the order in which they came
        self.connections = self.most_open = self.open = 0
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(200)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open += 1
                self.most_open = max(self.most_open, self.open)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._session(connection)
        except (_End, OSError):
            pass
        finally:
            connection.close()
            with self.lock:
                self.open -= 1

    def _answer(self, what, usual):
        for start, answer in list(self.answers.items()):
            if what.upper().startswith(start.upper()):
                if callable(answer):
                    answer = answer()
                if answer == "close":
                    raise _End()
                return answer
        return usual

    def _session(self, connection):
        stream = connection.makefile("rb")

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        def line():
            text = stream.readline()
            if not text:
                raise _End()
            return text

        say(self._answer("greeting", "220 sink.example ESMTP"))
        message, tls = None, ""
        while True:
            raw = line()
            command = raw.rstrip(b"\r\n").decode(errors="surrogateescape")
            word = command.split(" ")[0].split(":")[0].upper()
            with self.lock:
                self.commands.append(command)
            if word in ("EHLO", "LHLO", "HELO"):
                answer = self._answer(word, "")
                if answer or word == "HELO":
                    say(answer or "250 sink.example")
                    continue
                offers = list(self.offers) + (["STARTTLS"] if self.certificate and not tls else [])
                for number, offer in enumerate(["sink.example"] + offers):
                    say("250%s%s" % (" " if number == len(offers) else "-", offer))
            elif word == "STARTTLS":
                answer = self._answer("STARTTLS", "220 go on")
                say(answer)
                if not answer.startswith("220"):
                    continue
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.certificate)
                connection = context.wrap_socket(connection, server_side=True)
                stream, tls = connection.makefile("rb"), connection.version()
            elif word == "MAIL":
                answer = self._answer(command, "250 2.1.0 yes")
                message = Message(command) if answer.startswith("2") else None
                if message:
                    message.tls = tls
                say(answer)
            elif word == "RCPT":
                answer = self._answer(command, "250 2.1.5 yes" if message else "503 5.5.1 no MAIL")
                if answer.startswith("2"):
                    message.recipients.append(command[command.index("<") + 1:command.index(">")])
                    message.commands.append(command)
                say(answer)
            elif word == "DATA":
                answer = self._answer("DATA", "354 go on" if message and message.recipients else "503 5.5.1 no RCPT")
                say(answer)
                if not answer.startswith("354"):
                    continue
                data = b""
                while True:
                    text = line()
                    if text == b".\r\n":
                        break
                    data += text[1:] if text.startswith(b".") else text
                self._end(say, message, data, "DATA")
                message = None
            elif word == "BDAT":
                data = stream.read(int(command.split(" ")[1]))
                if not message or not message.recipients:
                    say("503 5.5.1 no RCPT")
                    continue
                answer = self._answer("BDAT", "")
                if answer:
                    say(answer)
                    continue
                self._end(say, message, data, "BDAT")
                message = None
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                say(self._answer(command, "250 2.0.0 yes"))

    def _end(self, say, message, data, how):
        message.data, message.how = data, how
        answer = self._answer("end", "250 2.0.0 taken")
        if answer.startswith("2"):
            with self.lock:
                self.messages.append(message)
        for recipient in message.recipients if self.lmtp else [""]:
            say(self._answer("end " + recipient, answer) if recipient else answer)
        message.answered = time.monotonic()
