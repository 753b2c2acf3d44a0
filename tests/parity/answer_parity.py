#!/usr/bin/env python3
"""The answer rules of common/task against the regular expressions that define them, applied by Python's
re module to generated strings and, where it is available, to all of GSM8K.

answer_parity.py TOOL    needs no package.
"""

import fractions
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
# The forms of common/task/reward/number.h.
SPACE = rb"(?: |\xc2\xa0|\xe2\x80\xaf)"
DECIMAL = rb"(?:[0-9]+|[0-9]*\.[0-9]+)"
NUMBER = re.compile(rb"[+-]?" + DECIMAL)
EXPONENT = re.compile(rb"([+-]?" + DECIMAL + rb")[eE]([+-]?[0-9]{1,3})")
THOUSANDS = re.compile(rb"[+-]?[0-9]{1,3}(?:" + SPACE + rb"[0-9]{3})+(?:\.[0-9]+)?")
FRACTION = re.compile(rb"([+-]?)(?:([0-9]{1,9}) )?([0-9]{1,18}) ?/ ?([0-9]{1,9})")
# What FindStrict and FindFlexible of exact_match.h widen a match over. These are Reckon's own rules:
# the harness stops at the match.
HALF = rb"\xc2[\xbc-\xbe]"
RIGHT = re.compile(rb"(?:(?<=[0-9])(?:" + HALF + rb"|[eE][+-]?[0-9][0-9.,]*|(?:" + SPACE
                   + rb"|(?:" + SPACE + rb")?[-/:*+=^](?:" + SPACE + rb")?)\$?[0-9][0-9.,]*))*")
RUN = rb"-?[0-9.,$]*[0-9]"


def strict(text):
    match = STRICT.search(text)
    return match and match.group(1)


def flexible(text):
    matches = FLEXIBLE.findall(text)
    return [part for part in matches[-1] if part][0] if matches else None


def number(text):
    """The number as a Fraction, or None."""
    plain = text.strip().replace(b",", b"").replace(b"$", b"")
    plain = re.sub(rb"\.\Z", b"", plain)
    plain = re.sub(rb" ?%\Z", b"", plain)
    if THOUSANDS.fullmatch(plain):
        plain = re.sub(SPACE, b"", plain)
    if match := EXPONENT.fullmatch(plain):
        places = int(match[2])
        if abs(places) > 400:
            return None
        return fractions.Fraction(match[1].decode()) * fractions.Fraction(10) ** places
    if match := FRACTION.fullmatch(plain):
        whole, above, below = (int(part or 0) for part in match.groups()[1:])
        if below == 0 or (match[2] is not None and above >= below):
            return None
        value = whole + fractions.Fraction(above, below)
        return -value if match[1] == b"-" else value
    return fractions.Fraction(plain.decode()) if NUMBER.fullmatch(plain) else None


def whole_strict(text):
    match = STRICT.search(text)
    return match and match[1] + RIGHT.match(text, match.end())[0]


def whole_flexible(text):
    matches = list(FLEXIBLE.finditer(text))
    if not matches:
        return None
    begin, end = matches[-1].span()
    if text[end - 1:end].isdigit() and re.match(HALF, text[end:]):
        end += 2
    slash = False
    while True:
        before, digit = text[:begin], text[begin:begin + 1].isdigit()
        if digit and (match := re.search(rb"(" + RUN + rb")[/:]\Z", before)):
            slash = before.endswith(b"/")
        elif (digit or text[begin:begin + 1] == b"-") and (
                match := re.search(rb"(" + RUN + rb")[eE]\+?\Z", before)):
            pass
        elif digit and slash and (match := re.search(rb"(" + RUN + rb") \Z", before)):
            return text[match.start():end]
        elif digit and (match := re.search(rb"(" + RUN + rb")(?:\xc2\xa0|\xe2\x80\xaf)\Z", before)):
            pass
        else:
            return text[begin:end]
        begin = match.start()


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
          "/", ":", "1/2", "e", "%", "000", "\u202f", "\u00bd", "*", "=",
          "<<", ">>", "<", ">", "<<2*3=6>>", "<<1 + 1 = 2>>", "=", "+", "apples", "e5", "\t", "\r",
          "\u2212", "\uff15", "\u00a0", "\u0665", "\x1c", "\x85", "\x0b", "The answer is ", "Question:"]
NUMERIC = ["0", "1", "5", "00", "18", ".", ",", "-", "+", "$", " ", "0.50", "1,000"]
FORMS = ["1", "12", "000", "345", " ", " ", "/", "/", "e", "E", "-", "%", ".", "\u00a0", "\u202f", ":", "#### "]


def generated():
    rng = random.Random(SEED)
    for i in range(GENERATED):
        pieces = (NUMERIC, FORMS, PIECES, PIECES)[i % 4]
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
    assert len(fields) == 6 * len(texts), (len(fields), len(texts))

    wrong = 0
    canonical = {}
    for i, text in enumerate(texts):
        got = [field[1:] if field[:1] == b"+" else None for field in fields[6 * i:6 * i + 6]]
        value = number(text)
        expected = [strict(text), flexible(text), got[2], equation_key(text),
                    whole_strict(text), whole_flexible(text)]
        if (value is None) != (got[2] is None):
            expected[2] = value
        elif value is not None:
            # The canonical form has the value, and no other form of the value exists.
            if fractions.Fraction(got[2].decode()) != value or canonical.setdefault(value, got[2]) != got[2]:
                expected[2] = value
        # What is right by the harness is right here, but for matches that are a part of an expression:
        # equal text after its deletions, equal number.
        for part in (strict(text), flexible(text)):
            form = part and harness_form(part)
            if form and NUMBER.fullmatch(form) and number(part) != fractions.Fraction(form.decode()):
                expected.append("the harness reads " + repr(form))
        if got != expected:
            wrong += 1
            if wrong <= 10:
                print(f"{text!r}\n  Reckon {got}\n  Python {expected}")
    found = [sum(field != b"-" for field in fields[k::6]) for k in range(3)]
    print(f"{len(texts)} texts ({found[0]} strict, {found[1]} flexible, {found[2]} numbers), "
          f"{wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
