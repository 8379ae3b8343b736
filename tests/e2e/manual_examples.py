#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every example of mappings(5) and of the guides is tried as it is printed.

In a manual page (mdoc), comments mark what is tried; in a guide (Markdown), comments of HTML, `<!-- … -->`, do the same:

  .\\" tables [CODE…]         the next display is a mappings file, which must compile without a message but those CODEs
  .\\" general                the next display is the general table of the next tables
  .\\" probe TABLE STRING [flags=LETTERS] => FLAGS OUTPUT    what the last tables answer; FLAGS `-` for none, `A|B` for one of both
  .\\" probe TABLE STRING => none                            no entry matches
  .\\" match PATTERN STRING [FIELD…], no-match PATTERN STRING
  .\\" provokes               in the item of a message: the lines behind it (`| text`, `general| text`, `aliases| text`; {x*300} repeats x)
                             make the compiler print that message
Words are quoted as in the shell.
"""
import html
import shlex
import shutil

from postern_testing import *

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
# What a table file that shows one table only leaves out.
RELAY = "\nORIG_SEND_ACCESS\n\n  tcp_local|*|tcp_local|*   $NRelaying$ not$ permitted\n"
place = tempfile.mkdtemp(prefix="postern-manual-")
atexit.register(shutil.rmtree, place)


def text_of_display(lines):
    """What a reader sees of a literal display."""
    return "".join(line.replace("\\e", "\\").replace("\\&", "").replace("\\-", "-") + "\n" for line in lines)


def parts_of_manual(name):
    """("comment", text), ("display", text) and ("item", text), in order."""
    display = None
    with open(os.path.join(ROOT, "doc", "man", name)) as file:
        for line in file.read().split("\n"):
            if line.startswith(".Bd -literal"):
                display = []
            elif line == ".Ed":
                yield "display", text_of_display(display or [])
                display = None
            elif display is not None:
                display.append(line)
            elif line.startswith('.\\" '):
                yield "comment", line[4:]
            elif line.startswith(".It "):
                yield "item", line[4:]


def parts_of_guide(name):
    display = None
    with open(os.path.join(ROOT, "doc", "guide", name)) as file:
        for line in file.read().split("\n"):
            if line.startswith("```"):
                if display is None:
                    display = []
                else:
                    yield "display", "".join(line + "\n" for line in display)
                    display = None
            elif display is not None:
                display.append(line)
            elif line.startswith("<!-- ") and line.endswith(" -->"):
                yield "comment", html.unescape(line[5:-4])


class Example:
    """A configuration directory of its own."""
    count = 0

    def __init__(self, tables, general="", aliases=""):
        Example.count += 1
        self.path = os.path.join(place, str(Example.count))
        os.mkdir(self.path)
        self.mappings = os.path.join(self.path, "mappings")
        for name, text in (("mappings", tables), ("general.txt", general), ("aliases", aliases)):
            if text:
                with open(os.path.join(self.path, name), "w") as file:
                    file.write(text)

    def messages(self):
        done = run(program("postern-compile"), "--config", self.path, "--check", expect=None)
        return re.findall(r": (?:error|warning|note) ([EWN]\d\d): (.*)", done.stderr)

    def probe(self, table, string, flags):
        done = run(program("posternctl"), "--json", "probe", "--mappings", self.mappings, "--table", table, "--flags", flags, "--", string, expect=None)
        check(done.returncode in (0, 1), done.stderr)
        return json.loads(done.stdout)


def try_probe(example, words):
    arrow = words.index("=>")
    table, string, *options = words[:arrow]
    want = words[arrow + 1:]
    flags = "".join(option[6:] for option in options if option.startswith("flags="))
    answer = example.probe(table, string, flags)
    shown = "%s %r: %r" % (table, string, answer)
    if want == ["none"]:
        check(not answer["matched"], shown)
        return
    check(answer["matched"], shown)
    check(answer["flags"] in ["".join(sorted(one)) for one in want[0].replace("-", "").split("|")], shown)
    if len(want) > 1:
        equal(answer["output"], want[1], shown)


def try_document(name, parts):
    """Makes a case of each example."""
    kind, wanted, general, example, item, provoking = None, [], "", None, None, None

    def one_case(title, function):
        function.__name__ = "%s: %s" % (name, title)
        case(function)

    def finish_provoking():
        nonlocal provoking
        if provoking is not None:
            def provoke(code=item.split()[0], texts=provoking):
                told = [message[0] for message in Example(texts["tables"], texts["general"], texts["aliases"]).messages()]
                check(code in told, "%s is not among %r" % (code, told))
            one_case("%s is provoked" % item.split()[0], provoke)
        provoking = None

    for what, text in parts:
        if what == "item":
            finish_provoking()
            item = text
        elif what == "display":
            if kind == "general":
                general = text
            elif kind == "tables":
                whole = text if "ORIG_SEND_ACCESS" in text else text + RELAY
                example = Example(whole, general)
                def compiles(example=example, wanted=wanted):
                    equal([message for message in example.messages() if message[0] not in wanted], [])
                    equal(sorted(set(wanted) - {message[0] for message in example.messages()}), [], "messages that do not come")
                one_case("tables %s" % text.split()[0], compiles)
                general = ""
            kind = None
        elif provoking is not None and re.match(r"(general|aliases)?\|", text):
            kind_of_text, _, line = text.partition("|")
            line = re.sub(r"\{(.)\*(\d+)\}", lambda found: found[1] * int(found[2]), line[1:] if line.startswith(" ") else line)
            provoking[kind_of_text or "tables"] += line.lstrip("\\") + "\n"
        else:
            words = shlex.split(text) if re.match(r"(tables|general|probe|match|no-match|provokes)\b", text) else [""]
            if words[0] in ("tables", "general"):
                kind, wanted = words[0], words[1:]
            elif words[0] == "probe" and "=>" in words:
                one_case(text, lambda example=example, words=words: try_probe(example, words[1:]))
            elif words[0] in ("match", "no-match"):
                def matches(words=words):
                    done = json.loads(run(program("posternctl"), "--json", "match", "--", *words[1:3], expect=None).stdout)
                    equal(done["matched"], words[0] == "match")
                    if len(words) > 3:
                        equal(done["fields"], words[3:])
                one_case(text, matches)
            elif words[0] == "provokes":
                provoking = {"tables": "", "general": "", "aliases": ""}
    finish_provoking()


try_document("mappings.5", parts_of_manual("mappings.5"))
try_document("from-postfix-access-maps.md", parts_of_guide("from-postfix-access-maps.md"))


@case
def every_message_of_the_compiler_is_in_the_manual_and_no_other():
    known = set()
    for folder in ("mapping", "tools"):
        for name in os.listdir(os.path.join(ROOT, "src", folder)):
            if not name.endswith((".cc", ".h")):
                continue
            with open(os.path.join(ROOT, "src", folder, name)) as file:
                text = file.read()
            known |= set(re.findall(r'"([EWN]\d\d)"', text)) | set(re.findall(r"(?:error|warning) ([EW]\d\d):", text))
    items = [text for what, text in parts_of_manual("mappings.5") if what == "item" and re.fullmatch(r"[EWN]\d\d", text)]
    equal(items, sorted(items, key=lambda code: ("EWN".index(code[0]), code)), "order")
    equal(set(items), known - {"E00"})


run_cases()
