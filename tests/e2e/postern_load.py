# SPDX-License-Identifier: Apache-2.0
"""Load whose every message is accounted for: what got "250" must be in each of its mailboxes exactly once, with its content.

Each attempt has a Message-ID of its own. A message that got no answer, or "4xx", may be there once or not at all.
"""
from postern_testing import *

ACCOUNTS = list(ACCOUNTS)


class Load:
    """Threads that send until stop(). Connections that break are opened again; refusals are counted."""

    def __init__(self, site, threads=6, per_session=10, largest=30000, lmtp_too=True, pause=0.0, patience=20, seed=None):
        self.site, self.per_session, self.largest, self.pause, self.patience = site, per_session, largest, pause, patience
        self.accepted = {}     # Message-ID → (recipients, SHA-256 of the body)
        self.unanswered = set()
        self.refused = collections.Counter()
        self.broken = 0
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.seed = seed if seed is not None else random.randrange(10**9)
        self.threads = [threading.Thread(target=self._work, args=(index, lmtp_too and index % 3 == 2), daemon=True) for index in range(threads)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60 * slow_build())
        check(not any(thread.is_alive() for thread in self.threads), "a load thread hangs")

    def run_for(self, seconds):
        self.start()
        time.sleep(seconds)
        self.stop()
        return self

    def wait_accepted(self, number, seconds=30):
        """Waits until that many more messages have been accepted."""
        goal = len(self.accepted) + number
        wait_until(lambda: len(self.accepted) >= goal, seconds * slow_build(), "%d messages accepted; refused: %r, broken: %d" % (
            goal, dict(self.refused), self.broken))

    def _work(self, index, lmtp):
        chance = random.Random("%d/%d" % (self.seed, index))
        while not self.over.is_set():
            try:
                with Smtp(self.site.lmtp if lmtp else self.site.smtp, timeout=self.patience) as session:
                    session.hello(lmtp=lmtp)
                    for _ in range(self.per_session):
                        if self.over.is_set():
                            break
                        self._send(session, chance, lmtp)
                        if self.pause:
                            time.sleep(self.pause)
            except (OSError, Closed, AssertionError):
                with self.lock:
                    self.broken += 1
                time.sleep(0.02)

    def _send(self, session, chance, lmtp):
        recipients = chance.sample(ACCOUNTS, 1 if chance.random() < 0.8 else 2)
        size = chance.choice([0, 100, 3000, 10000, self.largest])
        lines = [b".dot" if chance.random() < 0.05 else b"%032x" % chance.getrandbits(128) * 2 for _ in range(size // 66)]
        body = b"".join(line + CRLF for line in lines)
        message_id = new_id("load.example")
        text = stuffed(message(message_id, to=recipients[0], body="") + body) + b".\r\n"
        session.send("MAIL FROM:<load@sender.example>\r\n" + "".join("RCPT TO:<%s>\r\n" % one for one in recipients) + "DATA\r\n")
        codes = [session.reply() for _ in range(len(recipients) + 2)]
        taken = [one for one, reply in zip(recipients, codes[1:-1]) if reply[0] == 250]
        first_refusal = next((reply for reply in codes[:-1] if reply[0] >= 400), None)  # the others follow from it
        if first_refusal:
            with self.lock:
                self.refused["%d %s" % (first_refusal[0], first_refusal[1][0])] += 1
            time.sleep(0.01)
        if codes[-1][0] != 354:
            if codes[-1][0] == 421:
                raise Closed("421")
            session.command("RSET")
            return
        with self.lock:
            self.unanswered.add(message_id)
        session.send(text)
        digest = hashlib.sha256(body).digest()
        if lmtp:
            replies = [session.reply() for _ in taken]
            answered = [one for one, reply in zip(taken, replies) if reply[0] == 250]
        else:
            replies = [session.reply()]
            answered = taken if replies[0][0] == 250 else []
        with self.lock:
            if answered:
                self.accepted[message_id] = (answered, digest)
            if len(answered) == len(taken):
                self.unanswered.discard(message_id)
            for code, texts in replies:
                if code >= 400:
                    self.refused["%d %s" % (code, texts[0])] += 1

    # ---- afterwards

    def in_mailboxes(self):
        """(account, Message-ID) → SHA-256 of each copy's body."""
        found = collections.defaultdict(list)
        for account in ACCOUNTS:
            for path in self.site.files(account):
                try:
                    with open(path, "rb") as file:
                        head, _, body = file.read().partition(b"\n\n")
                except FileNotFoundError:
                    continue
                match = re.search(rb"(?mi)^Message-ID: <(.*)>$", head)
                name = match.group(1).decode() if match else "no Message-ID: " + path
                found[account, name].append(hashlib.sha256(body.replace(b"\n", b"\r\n")).digest())
        return found

    def verify(self, seconds=30):
        """Waits until all accepted messages are there; then compares every mailbox with what was promised."""
        promised = {(one, message_id): digest for message_id, (taken, digest) in self.accepted.items() for one in taken}
        end = time.monotonic() + seconds * slow_build()
        while True:
            found = self.in_mailboxes()
            missing = [key for key in promised if key not in found]
            if not missing or time.monotonic() > end:
                break
            time.sleep(0.2)
        twice = [key for key, copies in found.items() if len(copies) > 1]
        damaged = [key for key, digest in promised.items() if key in found and any(copy != digest for copy in found[key])]
        strange = [key for key in found if key[1] not in issued_ids or (key[1] in self.accepted and key not in promised and key[1] not in self.unanswered)]
        report = "%d accepted for %d mailboxes; %d missing, %d twice, %d damaged, %d never sent; refused %r; %d connections broken" % (
            len(self.accepted), len(promised), len(missing), len(twice), len(damaged), len(strange), dict(self.refused), self.broken)
        if missing or twice or damaged or strange:
            raise AssertionError("%s\nmissing %r\ntwice %r\ndamaged %r\nstrange %r\nlog:\n%s" % (
                report, missing[:5], twice[:5], damaged[:5], strange[:5], self.site.log()[-6000:]))
        return report

