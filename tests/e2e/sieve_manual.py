#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sieve(5) has every capability with an example that compiles, and says rightly which of them delivery offers."""
import json

from postern_testing import *

TOOL = program("postern-sieve")
here = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(here, "..", "..", "doc", "man", "sieve.5")
scratch = tempfile.mkdtemp(prefix="sieve-manual-")
atexit.register(shutil.rmtree, scratch)


def entries():
    """name → (what stands behind it, the example as a script)"""
    found, name, example = {}, None, None
    with open(PAGE, encoding="utf-8") as page:
        text = page.read()
    for line in text[text.index(".Sh EXTENSIONS"):text.index(".Sh LEVELS")].split("\n"):
        item = re.match(r"\.It Li (\S+) Pq (.*)$", line)
        if item:
            name, example = item.group(1).replace("\\&", ""), None
            found[name] = [item.group(2), None]
        elif line.startswith(".Bd -literal"):
            example = []
        elif line == ".Ed":
            found[name][1] = "\n".join(example) + "\n"
            example = None
        elif example is not None:
            example.append(line.replace("\\(dq", '"').replace("\\&", "").replace("\\e", "\\"))
    return found


ENTRIES = entries()
EXTENSIONS = {entry["name"]: entry for entry in json.loads(run(TOOL, "extensions", "--json").stdout)}


@case
def every_capability_is_in_the_manual_and_no_other():
    equal(sorted(ENTRIES), sorted(EXTENSIONS))


@case
def every_example_compiles_and_needs_its_capability():
    for name, (_, example) in sorted(ENTRIES.items()):
        check(example is not None, "%s has an example" % name)
        path = os.path.join(scratch, "example.sieve")
        with open(path, "w", encoding="utf-8") as out:
            out.write(example)
        done = run(TOOL, "check", "--system", "--json", path, expect=None)
        mistakes = [one["text"] for one in json.loads(done.stdout)[0]["mistakes"] if "does not offer" not in one["text"]]
        equal((name, done.returncode, mistakes), (name, 0, []))
        check('"%s"' % name in example.split(";\n")[0], "the example of %s requires it" % name)


@case
def the_manual_says_what_delivery_offers():
    for name, (marks, _) in sorted(ENTRIES.items()):
        equal((name, "not in delivery" in marks), (name, not EXTENSIONS[name]["delivery"]))
        equal((name, "system scripts" in marks), (name, EXTENSIONS[name]["system_only"]))


run_cases()
