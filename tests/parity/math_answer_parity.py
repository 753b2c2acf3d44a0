#!/usr/bin/env python3
"""Answers as MATH writes them: Reckon's equality against that of math-verify (Kydlicek 2025), over pairs
that this script makes.

math_answer_parity.py TOOL [--list]   --list prints every pair on which the two differ, by its reason

The pairs are spellings of random numbers, polynomials, tuples, sets, intervals and texts: equal ones, and ones
that differ. They fail the test where Reckon is wrong: it takes a pair for the other of equal and different than the
script made it. What math-verify says is counted beside it. docs/data.md has the figures.
"""

import collections
import fractions
import random
import subprocess
import sys

import oracle

PAIRS = 2000
SEED = 2103


def frac(rng, value, in_list=False):
    """A spelling of a rational number; in a list without commas, which would be read as the list's."""
    if value.denominator == 1:
        n = value.numerator
        forms = [str(n), f"{n}.0", f"\\frac{{{2 * n}}}{{2}}", f"{{{n}}}", f"{n + 1} - 1"]
        if n > 999 and not in_list:
            forms += [f"{n:,}", f"{n:,}".replace(",", "{,}")]
        return rng.choice(forms)
    a, b = value.numerator, value.denominator
    forms = [f"\\frac{{{a}}}{{{b}}}", f"\\dfrac{{{3 * a}}}{{{3 * b}}}", f"{a}/{b}", f"\\tfrac{{{a}}}{{{b}}}"]
    if a < 0:
        forms += [f"-\\frac{{{-a}}}{{{b}}}"]
    if 0 < a < 10 and b < 10:
        forms.append(f"\\frac{a}{b}")
    if a > b > 0:
        forms.append(f"{a // b}\\frac{{{a % b}}}{{{b}}}")
    rest = b
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest == 1 and b < 1000:
        forms.append(f"{a / b:.10f}".rstrip("0"))
    return rng.choice(forms)


def rational(rng):
    return fractions.Fraction(rng.randrange(-60, 2000) if rng.random() < 0.3 else rng.randrange(-30, 60),
                              rng.choice((1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20)))


def numbers(rng):
    value = rational(rng)
    return frac(rng, value), frac(rng, value), frac(rng, value + rng.choice((-1, 1, fractions.Fraction(1, 7))))


def powers(rng):
    base, exponent = rng.randrange(2, 9), rng.randrange(2, 9)
    value = base**exponent
    spell = [f"{base}^{{{exponent}}}", f"{base}^{exponent}", str(value), f"{base} \\cdot {base}^{{{exponent - 1}}}",
             f"\\frac{{{base}^{{{exponent + 1}}}}}{{{base}}}"]
    return rng.choice(spell), rng.choice(spell), rng.choice((str(value + 1), f"{base}^{{{exponent + 1}}}"))


def roots(rng):
    outer, inner = rng.randrange(1, 9), rng.choice((2, 3, 5, 6, 7, 10))
    def spell(k):
        forms = [f"{k}\\sqrt{{{inner}}}", f"\\sqrt{{{k * k * inner}}}", f"\\frac{{{k * inner}}}{{\\sqrt{{{inner}}}}}",
                 f"{k} \\cdot {inner}^{{1/2}}"]
        if inner < 10:
            forms.append(f"{k}\\sqrt{inner}")
        return rng.choice(forms)
    return spell(outer), spell(outer), rng.choice((spell(outer + 1), str(outer * inner), f"{outer}\\sqrt[3]{{{inner}}}"))


def sums(rng):
    a, b = rng.randrange(1, 9), rng.randrange(2, 8)
    root = rng.choice((2, 3, 5))
    forms = [f"{a}+{b}\\sqrt{{{root}}}", f"{b}\\sqrt{{{root}}} + {a}", f"\\sqrt{{{b * b * root}}}+{a}"]
    return rng.choice(forms), rng.choice(forms), f"{a}-{b}\\sqrt{{{root}}}"


def circles(rng):
    value = rational(rng)
    def spell(v):
        a, b = v.numerator, v.denominator
        return rng.choice([f"\\frac{{{a}\\pi}}{{{b}}}", f"\\frac{{{a}}}{{{b}}}\\pi", f"\\frac{{{2 * a}\\pi}}{{{2 * b}}}"])
    return spell(value), spell(value), spell(value + 1)


def complexes(rng):
    a, b = rng.randrange(1, 9), rng.randrange(2, 9)
    return rng.choice((f"{a}+{b}i", f"{b}i+{a}")), rng.choice((f"{a} + {b} i", f"{b}i + {a}")), f"{a}-{b}i"


def polynomials(rng):
    r, s = rng.randrange(-5, 6), rng.randrange(1, 6)
    signed = lambda n: f"{n:+d}"
    forms = [f"(x{signed(r)})(x{signed(s)})", f"x^2{signed(r + s)}x{signed(r * s)}", f"{r * s}{signed(r + s)}x+x^2"]
    forms = [form.replace("+0x", "").replace("+0", "").replace("-0", "") for form in forms]
    pick = lambda: rng.choice(("", "", "y = ", "f(x) = ")) + rng.choice(forms)
    return pick(), pick(), f"x^2{signed(r + s + 1)}x{signed(r * s)}"


def tuples(rng):
    values = [rational(rng) for _ in range(rng.choice((2, 2, 3)))]
    spell = lambda vs: rng.choice(("({})", "\\left({}\\right)", "( {} )")).format(", ".join(frac(rng, v, True) for v in vs))
    other = list(values)
    other[0] += 1
    return spell(values), spell(values), spell(other)


def intervals(rng):
    low = rng.randrange(-9, 9)
    high = low + rng.randrange(1, 9)
    l, r = rng.choice("(["), rng.choice(")]")
    forms = [f"{l}{low},{high}{r}", f"\\left{l}{low}, {high}\\right{r}"]
    if l == "(" and r == ")" and rng.random() < 0.5:
        forms = [f"(-\\infty,{low})", f"x < {low}", f"(-\\infty, {low})"]
        return rng.choice(forms), rng.choice(forms), f"(-\\infty,{low}]"
    flip = {"(": "[", "[": "("}[l]
    return rng.choice(forms), rng.choice(forms), rng.choice((f"{flip}{low},{high}{r}", f"{l}{low},{high + 1}{r}"))


def unions(rng):
    low = rng.randrange(-9, 9)
    high = low + rng.randrange(1, 9)
    a, b = f"(-\\infty, {low})", f"({high}, \\infty)"
    return f"{a} \\cup {b}", rng.choice((f"{a}\\cup{b}", f"{b} \\cup {a}")), f"{a} \\cup [{high}, \\infty)"


def sets(rng):
    values = rng.sample(range(-9, 30), rng.choice((2, 3)))
    def spell(vs):
        vs = [frac(rng, fractions.Fraction(v), True) if rng.random() < 0.2 else str(v) for v in vs]
        rng.shuffle(vs)
        return rng.choice(("\\{{{}\\}}", "{}", "\\left\\{{ {} \\right\\}}")).format(", ".join(vs))
    return spell(values), spell(values), spell([values[0] + 50, *values[1:]])


def percents(rng):
    n = rng.randrange(1, 100)
    return f"{n}\\%", rng.choice((f"{n}\\%", str(n), f"{n}.0\\%")), f"{n + 1}\\%"


def units(rng):
    n = rng.randrange(1, 300)
    unit = rng.choice(("\\text{ cm}", "\\text{ square units}", "^\\circ", "\\text{ inches}^2", "\\mathrm{\\,kg}"))
    return f"{n}{unit}", rng.choice((str(n), f"{n}{unit}")), str(n + 1)


def texts(rng):
    words = ["Evelyn", "Friday", "even", "odd", "no solution", "parabola", "true", "neither"]
    word, other = rng.sample(words, 2)
    spell = lambda w: rng.choice((f"\\text{{{w}}}", w, f"\\text{{ {w} }}"))
    return spell(word), spell(word), spell(other)


def letters(rng):
    letter, other = rng.sample("ABCDE", 2)
    spell = lambda c: rng.choice((c, f"\\text{{({c})}}", f"({c})", f"\\textbf{{({c})}}", f"\\text{{{c}}}"))
    return spell(letter), spell(letter), spell(other)


KINDS = [numbers, numbers, numbers, powers, roots, roots, sums, circles, complexes, polynomials, polynomials,
         tuples, tuples, intervals, unions, sets, sets, percents, units, texts, letters]


def pairs():
    rng = random.Random(SEED)
    for i in range(PAIRS):
        kind = KINDS[i % len(KINDS)]
        reference, same, other = kind(rng)
        equal = rng.random() < 0.6
        yield kind.__name__, reference, same if equal else other, equal


def main():
    list_all = "--list" in sys.argv
    import math_verify
    table = list(pairs())
    done = subprocess.run([sys.argv[1]], input="".join(f"{a}\0{b}\0" for _, a, b, _ in table).encode(), check=True,
                          stdout=subprocess.PIPE)
    verdicts = done.stdout.decode().split()
    assert len(verdicts) == len(table), (len(verdicts), len(table))

    def peer(text):
        return math_verify.parse(f"${text}$", parsing_timeout=None)

    counts = collections.defaultdict(collections.Counter)
    wrong = 0
    for (kind, reference, answer, equal), verdict in zip(table, verdicts):
        said = math_verify.verify(peer(reference), peer(answer), timeout_seconds=None)
        name = {"same": True, "different": False}.get(verdict)
        counts[kind]["pairs"] += 1
        counts[kind]["undecided"] += name is None
        counts[kind]["agree"] += name is said
        counts[kind]["math-verify wrong"] += said != equal
        if name is not None and name != equal:
            wrong += 1
            print(f"wrong: {reference}   {answer}   Reckon: {verdict}, made {'equal' if equal else 'different'}")
        elif list_all and name is not said:
            print(f"{kind}: {reference}   {answer}   Reckon: {verdict}, math-verify: {said}, made {equal}")
    total = collections.Counter()
    for kind, count in counts.items():
        total += count
        print(f"{kind:12}" + "".join(f"  {key} {count[key]:4}" for key in ("pairs", "agree", "undecided", "math-verify wrong")))
    print(f"{len(table)} pairs: {total['agree']} agree, {total['undecided']} not decided by Reckon, {wrong} wrong; "
          f"math-verify {total['math-verify wrong']} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    oracle.run(main)
