#!/usr/bin/env python3
"""SentencePiece models in common/text against the `sentencepiece` package: ids and text must be equal on
generated strings, broken UTF-8 and random ids, for models trained here as Llama 2's was and others.

sentence_piece_parity.py TOOL [STRINGS]    see oracle.py for what it needs
"""

import io
import json
import pathlib
import random
import sys
import tempfile

from oracle import MODEL, TEMPLATES, run
from text_parity import SEED, Comparison, characters, generated, gsm8k, has_gsm8k, sweep

GENERATED = 8_000
# Appended to a serialized ModelProto, sets normalizer_spec.add_dummy_prefix = false.
NO_DUMMY_PREFIX = bytes([0x1A, 2, 0x18, 0])


def models(every):
    """(name, serialized model)."""
    import sentencepiece
    corpus = ["".join(c for c in text if " " <= c < "\u0600") for text in generated(6_000, every[:0x3100], SEED + 7)]
    corpus += [" ".join(random.Random(i).choices(
        "There are 12 apples, and  she sells 3 of them each day for $4.50 . How many    are left?\tAnswer: "
        "<<3*4=12>>12 #### 42 don't café naïve 你好".split(" "), k=12)) for i in range(3_000)]
    llama2 = dict(model_type="bpe", vocab_size=6_000, character_coverage=0.99, byte_fallback=True,
                  split_digits=True, normalization_rule_name="identity", add_dummy_prefix=True,
                  remove_extra_whitespaces=False, allow_whitespace_only_pieces=True)
    for name, change in (
            ("Llama 2's settings", {}),
            ("no byte fallback, user-defined pieces", dict(
                byte_fallback=False, user_defined_symbols=["<<", "  ", "apples", "an"])),
            ("Unigram, byte fallback", dict(model_type="unigram", vocab_size=2_000)),
            ("Unigram, NFKC of ASCII, extra spaces removed", dict(
                model_type="unigram", vocab_size=2_000, byte_fallback=False,
                normalization_rule_name="nmt_nfkc", remove_extra_whitespaces=True)),
            ("no space before the text, words across digits and scripts", dict(
                add_dummy_prefix=False, split_digits=False, split_by_unicode_script=False,
                split_by_whitespace=False, vocab_size=5_500))):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus), model_writer=model, minloglevel=2,
            num_threads=1, **{**llama2, **change})
        yield name, model.getvalue()
    shipped = list(TEMPLATES.glob("lib/python3*/site-packages/mistral_common/data/tokenizer.model.v1"))
    if not shipped:
        sys.exit(f"{TEMPLATES} has no SentencePiece vocabulary (./dev setup --oracle)")
    yield "a vocabulary as shipped", shipped[0].read_bytes()


def broken_bytes(count):
    rng = random.Random(SEED + 8)
    parts = [bytes([b]) for b in range(256)] + [b"\xe2\x96\x81", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
                                                b"\xc0\xaf", b"\xf0\x9f\x8d", "é".encode(), b" ab"]
    return [b"".join(rng.choices(parts, k=rng.randint(1, 16))) for _ in range(count)]


def split_at_specials(text, specials):
    """[(special or None, piece of text)], the leftmost special first."""
    while text:
        places = sorted((text.find(s), s) for s in specials if s in text)
        if not places:
            yield None, text
            return
        at, special = places[0]
        yield None, text[:at]
        yield special, ""
        text = text[at + len(special):]


def compare(tool, folder, name, model, texts, every):
    import sentencepiece
    path = pathlib.Path(folder) / "tokenizer.model"
    path.write_bytes(model)
    whole = sentencepiece.SentencePieceProcessor(model_proto=model)
    piece = sentencepiece.SentencePieceProcessor(model_proto=model + NO_DUMMY_PREFIX)
    comparison = Comparison(tool, path, MODEL / "tokenizer_config.json")

    if "ASCII" in name:  # `tokenizers` normalises by graphemes, `sentencepiece` by code points
        texts = [t for t in texts if t.isascii() and t.isprintable()]
    if "shipped" in name:  # its pieces of many spaces have one score, and are joined in another order
        texts = [t for t in texts if " " * 8 not in t]
    # Of paths with one score the two libraries take another; the pieces are the same.
    comparison.any_order = "Unigram" in name
    ids = [piece.encode(t) for t in texts]
    comparison.check(f"{name}, encode", [{"encode": t, "special": False} for t in texts], ids)
    comparison.check(f"{name}, beginning", [{"begin": t} for t in texts],
                     [[whole.bos_id(), *whole.encode(t)] for t in texts])
    specials = ["<unk>", "<s>", "</s>"]
    rng = random.Random(SEED + 9)
    with_specials = ["".join(rng.choices([*specials, "<s", " ", t[:20], t[:3]], k=6)) for t in texts[::4]]
    comparison.check(f"{name}, special tokens", [{"encode": t, "special": True} for t in with_specials], [
        sum(([piece.piece_to_id(s)] if s else piece.encode(p)
             for s, p in split_at_specials(t, specials)), []) for t in with_specials])
    comparison.any_order = False
    comparison.check(f"{name}, decode", [{"decode": i, "skip": True} for i in ids],
                     [piece.decode([x for x in i if x != piece.unk_id()]) for i in ids])
    if "Llama 2" in name:
        comparison.check(f"{name}, every character",
                         [{"encode": t, "special": False} for t in sweep(every)],
                         [piece.encode(t) for t in sweep(every)])
        noise = [[rng.randrange(3, piece.vocab_size() if rng.random() < 0.3 else 259)
                  for _ in range(rng.randint(0, 20))] for _ in range(10_000)]
        comparison.check(f"{name}, random ids, decode", [{"decode": i, "skip": True} for i in noise],
                         [piece.decode(i) for i in noise])
    if "ASCII" in name:
        return comparison.failures
    broken = broken_bytes(10_000)
    comparison.check(f"{name}, broken UTF-8", [{"encode_hex": b.hex()} for b in broken],
                     [piece.encode(b) for b in broken])
    return comparison.failures


def main():
    every = characters()
    count = int(sys.argv[2]) if len(sys.argv) == 3 else GENERATED
    texts = list(generated(count, every, SEED + 6)) + ["", " ", "  a", "a  ", "\u2581", "\u2581 a"]
    texts += list(gsm8k())[:5_000] if has_gsm8k() else []
    texts = [t.replace("<|im_end|>", "</s>").replace("<|im_start|>", "<s>") for t in texts]
    with tempfile.TemporaryDirectory() as folder:
        failures = sum(compare(sys.argv[1], folder, name, model, texts, every)
                       for name, model in models(every))
    sys.exit(f"{failures} differ" if failures else 0)


if __name__ == "__main__":
    run(main, MODEL / "tokenizer_config.json")
