#!/usr/bin/env python3
"""The answer rules of common/task against the regular expressions that define them, applied by Python's
re module to generated strings and, where it is available, to all of GSM8K.

answer_parity.py TOOL    needs no package.
"""

import decimal
import json
import os
import pathlib
import random
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
GSM8K = pathlib.Path(os.environ.get("RECKON_DATA") or ROOT.parent / "shared/data") / "gsm8k"
GENERATED = 200_000
SEED = 20240307

# lm-evaluation-harness, tasks/gsm8k: the two filters, and what exact_match leaves out.
STRICT = re.compile(rb"#### (\-?[0-9\.\,]+)")
FLEXIBLE = re.compile(rb"(-?[$0-9.,]{2,})|(-?[0-9]+)")
IGNORED = [rb",", rb"\$", rb"(?s).*#### ", rb"\.$"]
MARK = re.compile(rb"<<(.*?)>>")
NUMBER = re.compile(rb"[+-]?([0-9]+|[0-9]*\.[0-9]+)")


def strict(text):
    match = STRICT.search(text)
    return match and match.group(1)


def flexible(text):
    matches = FLEXIBLE.findall(text)
    return [part for part in matches[-1] if part][0] if matches else None


def number(text):
    """The number as a Decimal, or None."""
    plain = text.strip().replace(b",", b"").replace(b"$", b"")
    plain = re.sub(rb"\.\Z", b"", plain)
    return decimal.Decimal(plain.decode()) if NUMBER.fullmatch(plain) else None


def equation_key(text):
    marks = MARK.findall(text)
    if marks:
        return b"".join(b"<<" + b"".join(mark.split()) + b">>" for mark in marks)
    return b" ".join(text.split())


def harness_form(text):
    for pattern in IGNORED:
        text = re.sub(pattern, b"", text)
    return text


PIECES = ["#### ", "####", "#", " ", "\n", "-", "$", ".", ",", "0", "1", "7", "18", "1,000", "3.50",
          "<<", ">>", "<", ">", "<<2*3=6>>", "<<1 + 1 = 2>>", "=", "+", "apples", "e5", "\t", "\r",
          "\u2212", "\uff15", "\u00a0", "\u0665", "\x1c", "\x85", "\x0b", "The answer is ", "Question:"]
NUMERIC = ["0", "1", "5", "00", "18", ".", ",", "-", "+", "$", " ", "0.50", "1,000"]


def generated():
    rng = random.Random(SEED)
    for i in range(GENERATED):
        pieces = NUMERIC if i % 3 == 0 else PIECES
        yield "".join(rng.choices(pieces, k=rng.randrange(12))).encode()


def gsm8k():
    for name in ("train.jsonl", "test.jsonl"):
        if (GSM8K / name).exists():
            for line in (GSM8K / name).open(encoding="utf-8"):
                for text in json.loads(line).values():
                    yield text.encode()
        else:
            print(f"without {GSM8K / name}: it is missing (set RECKON_DATA)")


def main(tool):
    texts = [*generated(), *gsm8k()]
    done = subprocess.run([tool], input=b"".join(text + b"\0" for text in texts), check=True,
                          stdout=subprocess.PIPE)
    fields = done.stdout.split(b"\0")[:-1]
    assert len(fields) == 4 * len(texts), (len(fields), len(texts))

    wrong = 0
    canonical = {}
    for i, text in enumerate(texts):
        got = [field[1:] if field[:1] == b"+" else None for field in fields[4 * i:4 * i + 4]]
        value = number(text)
        expected = [strict(text), flexible(text), got[2], equation_key(text)]
        if (value is None) != (got[2] is None):
            expected[2] = value
        elif value is not None:
            # The canonical form has the value, and no other form of the value exists.
            if decimal.Decimal(got[2].decode()) != value or canonical.setdefault(value, got[2]) != got[2]:
                expected[2] = value
        # What is right by the harness is right here: equal text after its deletions, equal number.
        for part in (strict(text), flexible(text)):
            form = part and harness_form(part)
            if form and NUMBER.fullmatch(form) and number(part) != decimal.Decimal(form.decode()):
                expected.append("the harness reads " + repr(form))
        if got != expected:
            wrong += 1
            if wrong <= 10:
                print(f"{text!r}\n  Reckon {got}\n  Python {expected}")
    found = [sum(field != b"-" for field in fields[k::4]) for k in range(3)]
    print(f"{len(texts)} texts ({found[0]} strict, {found[1]} flexible, {found[2]} numbers), "
          f"{wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
