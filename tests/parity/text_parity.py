#!/usr/bin/env python3
"""common/text against the `tokenizers`, `jinja2` and `transformers` packages: ids, text and chat
prompts must be equal, on generated strings, on every character there is, and on all of GSM8K.

text_parity.py TOOL [STRINGS]    see oracle.py for what it needs
"""

import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

from oracle import MODEL, TEMPLATES, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
GSM8K = pathlib.Path(os.environ.get("RECKON_DATA") or ROOT.parent / "shared/data") / "gsm8k"
GENERATED = 10_000
SEED = 20240307


# Strings.

def characters():
    return [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def pools(every):
    def between(first, last):
        return [chr(c) for c in range(first, last + 1)]
    return [
        between(0x20, 0x7E),
        list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        list("0123456789") + list("٣२५৭๕０９½Ⅷ²①〇𝟗𞥑") + [chr(0x11DE3), chr(0x1CCF4)],
        [" "] * 6 + list("\t\n\r\v\f") + ["\n\n", "\u0085", "\u00a0", "\u1680", "\u2003", "\u2028",
                                          "\u202f", "\u3000", "\u200b", "\ufeff", "\u180e", "\x1c"],
        list("'’`\"") + ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'RE", "'l", "n't"],
        between(0x300, 0x36F) + ["e\u0301", "n\u0303", "\u0939\u093f", "\u1100\u1161\u11a8"],
        between(0xA0, 0x17F) + between(0x370, 0x52F),
        between(0x590, 0x6FF) + between(0x900, 0x97F) + between(0xE00, 0xE4F),
        between(0x3040, 0x30FF) + between(0x4E00, 0x4FFF) + between(0xAC00, 0xADFF),
        between(0x1F300, 0x1F64F) + ["\u200d", "\ufe0f", "👩‍👩‍👧", "🇩🇪"],
        between(0, 0x1F) + between(0x7F, 0x9F) + ["\x00"],
        list("+-*/=<>()[]{}$%#@!?.,;:_|~^&\\") + ["####", "<<", ">>", "$1,234.50", "```", "..."],
        ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<reponame>", "<|im_",
         "<|im_end|", "|>", "<|im_start|>user\n", "<file_sep>", "<filename>"],
        ["the", " the", "There are", " apples", "Answer:", "def f(x):\n    return", "http://a.b/c?d=1"],
        every,
    ]


def generated(count, every, seed=SEED):
    rng = random.Random(seed)
    groups = pools(every)
    for _ in range(count):
        chosen = rng.sample(groups, rng.randint(1, 4))
        pieces = []
        for _ in range(rng.choice((1, 2, 4, 8, 8, 16, 32))):
            piece = rng.choice(rng.choice(chosen))
            pieces.append(piece * rng.choice((1, 1, 1, 1, 2, 3, 9)))
        yield "".join(pieces)


def sweep(every):
    """Every character after and before a letter, a digit, a mark and spaces."""
    for start in range(0, len(every), 64):
        yield "".join(f"a{c}b1{c}!{c}? {c}  {c}\n" for c in every[start:start + 64])


def has_gsm8k():
    return all((GSM8K / f"{name}.jsonl").exists() for name in ("train", "test"))


def gsm8k():
    for name in ("train", "test"):
        with open(GSM8K / f"{name}.jsonl", encoding="utf-8") as lines:
            for line in lines:
                problem = json.loads(line)
                yield problem["question"]
                yield problem["answer"]


# Comparing.

class Comparison:
    def __init__(self, tool, tokenizer_json, tokenizer_config, kwargs=""):
        self.command = [tool, str(tokenizer_json), str(tokenizer_config), kwargs]
        self.failures = 0
        self.any_order = False

    def check(self, name, questions, wanted):
        if not questions or len(questions) != len(wanted):
            sys.exit(f"{name}: {len(questions)} questions, {len(wanted)} answers wanted")
        lines = "".join(json.dumps(q) + "\n" for q in questions)
        process = subprocess.run(self.command, input=lines.encode(), stdout=subprocess.PIPE)
        if process.returncode != 0:
            sys.exit(f"{name}: {' '.join(self.command)} exited {process.returncode}")
        answers = process.stdout.split(b"\n")[:-1]
        if len(answers) != len(wanted):
            sys.exit(f"{name}: {len(answers)} answers to {len(wanted)} questions")
        wrong = 0
        for question, answer, want in zip(questions, answers, wanted):
            got = json.loads(answer)
            if got != want and not (self.any_order and sorted(got) == sorted(want)):
                wrong += 1
                if wrong <= 5:
                    print(f"{name}: {question!r}\n  reckon {got!r}\n  oracle {want!r}")
        print(f"{name}: {len(wanted)} compared, {wrong} differ", flush=True)
        self.failures += wrong

    def encode(self, name, oracle, texts, special=True):
        oracle.encode_special_tokens = not special
        ids = [e.ids for e in oracle.encode_batch_fast(texts, add_special_tokens=False)]
        oracle.encode_special_tokens = False
        self.check(f"{name}, encode", [{"encode": t, "special": special} for t in texts], ids)
        return ids

    def decode(self, name, oracle, ids, skip_special=True):
        texts = oracle.decode_batch(ids, skip_special_tokens=skip_special)
        self.check(f"{name}, decode", [{"decode": i, "skip": skip_special} for i in ids], texts)


def random_ids(oracle, count):
    """Ids in any order, and many that are a single byte: broken UTF-8 of every kind."""
    rng = random.Random(SEED + 1)
    size = oracle.get_vocab_size()
    short = [i for i in range(size) if len(oracle.id_to_token(i)) <= 2]
    return [[rng.choice(short) if rng.random() < 0.8 else rng.randrange(size + 20)
             for _ in range(rng.randint(0, 24))] for _ in range(count)]


def compare_smollm2(comparison, oracle, every, seed):
    texts = list(generated(GENERATED, every, seed))
    ids = comparison.encode("generated strings", oracle, texts)
    comparison.decode("generated strings", oracle, ids)
    comparison.decode("generated strings with special tokens", oracle, ids[::5], skip_special=False)
    comparison.encode("special tokens as text", oracle, texts[::5], special=False)
    if seed != SEED:
        return
    comparison.encode("every character", oracle, list(sweep(every)))
    if has_gsm8k():
        ids = comparison.encode("GSM8K", oracle, list(gsm8k()))
        comparison.decode("GSM8K", oracle, ids)
    else:
        print(f"GSM8K: not compared, {GSM8K} is missing (set RECKON_DATA)")
    comparison.decode("random ids", oracle, random_ids(oracle, 10_000))


def split_by(number):
    """The pre-tokeniser of Llama 3 and Qwen2, which differ in how long a number's words are."""
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + number +
               r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
         "use_regex": False}]}


def trained(folder):
    """Vocabularies whose merges show where words end: SmolLM2's has no token of two digits."""
    from tokenizers import Tokenizer, models, trainers
    rng = random.Random(SEED + 4)
    corpus = [" ".join(rng.choice(("123", "1234", "12", "don't", "IT'S", "x'ſ", "we'Re", "(b", "\tc",
                                   "e\u0301", "!!\r\n", "\n\n  ", "5\u0661\u0662\u0663\u0664"))
                       + rng.choice(("", " ", "7", "'ll", "\n")) for _ in range(12))
              for _ in range(2_000)]
    for name, number, normalizer in (("Llama 3's pattern, trained", r"\p{N}{1,3}", None),
                                     ("Qwen2's pattern, trained", r"\p{N}", {"type": "NFC"})):
        empty = Tokenizer(models.BPE())
        spec = {**json.loads(empty.to_str()), "pre_tokenizer": split_by(number),
                "normalizer": normalizer,
                "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
                            "use_regex": False}}
        tokenizer = Tokenizer.from_str(json.dumps(spec))
        letters = json.loads((MODEL / "tokenizer.json").read_text())["model"]["vocab"]
        tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
            vocab_size=1_500, show_progress=False, special_tokens=["<|im_end|>"],
            initial_alphabet=[t for t in letters if len(t) == 1]))
        path = pathlib.Path(folder) / (re.sub(r"\W", "_", name) + ".json")
        tokenizer.save(str(path))
        yield name, path


def begins_with(token, file):
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False,
                  "use_regex": True}
    piece = {"SpecialToken": {"id": token, "type_id": 0}}
    number = file["model"]["vocab"][token]
    return {"type": "Sequence", "processors": [byte_level, {
        "type": "TemplateProcessing", "single": [piece, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [piece, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}}}]}


def variants(folder):
    """The same vocabulary in other clothes: (name, tokenizer.json)."""
    def added(number, content, special, normalized):
        return {"id": number, "content": content, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": normalized, "special": special}
    file = json.loads((MODEL / "tokenizer.json").read_text())
    size = len(file["model"]["vocab"])
    byte_level = file["pre_tokenizer"]["pretokenizers"][1]
    file["added_tokens"] += [
        added(size, "tool é", False, True), added(size + 1, "<|im_", True, False),
        added(size + 2, " the", False, False), added(file["model"]["vocab"]["'s"], "'s", False, True),
        added(size + 3, "é b", False, True), added(size + 4, "\u0120qzxq", False, True)]
    file["model"]["merges"] = [m.split(" ") if isinstance(m, str) else m
                               for m in file["model"]["merges"]]
    yield from trained(folder)
    for name, change in (("GPT-2's pre-tokeniser", {"pre_tokenizer": byte_level}),
                         ("more added tokens", {}),
                         ("Llama 3's pattern", {"pre_tokenizer": split_by(r"\p{N}{1,3}")}),
                         ("Qwen2's pattern and NFC", {"pre_tokenizer": split_by(r"\p{N}"),
                                                      "normalizer": {"type": "NFC"}}),
                         ("Llama 3's post-processor", {"post_processor": begins_with("<|im_start|>", file)}),
                         ("ignore_merges", {"model": {**file["model"], "ignore_merges": True}})):
        path = pathlib.Path(folder) / (re.sub(r"\W", "_", name) + ".json")
        path.write_text(json.dumps({**file, **change}))
        yield name, path


def compare_variants(tool, every, count):
    from tokenizers import Tokenizer
    failures = 0
    rng = random.Random(SEED + 2)
    texts = ["12345 1234x", "123456 don'ſ IT'S 12\u0661\u0662", "IT'S I'LL 'ſ 'ſt we'Re", "a (b)\t\tc \n\n  d\r\n!\n", "e\u0301 é \u1100\u1161"]
    extra = ["tool é", "<|im_", " the", "'s", "é b", "\u0120qzxq", "the ", "tool é b", "<|im_end|>"]
    texts += [t + "".join(rng.choices(extra, k=3)) + t[:9] for t in generated(count, every)]
    texts += list(gsm8k())[:1_000] if has_gsm8k() else []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in variants(folder):
            comparison = Comparison(tool, path, MODEL / "tokenizer_config.json")
            oracle = Tokenizer.from_file(str(path))
            ids = comparison.encode(name, oracle, texts)
            comparison.decode(name, oracle, ids, skip_special=False)
            comparison.decode(name, oracle, ids)
            comparison.encode(name + ", special tokens as text", oracle, texts, special=False)
            comparison.check(name + ", beginning", [{"begin": "a"}], [oracle.encode("a").ids])
            failures += comparison.failures
    return failures


def conversations():
    rng = random.Random(SEED + 3)
    contents = [t for t in generated(3_000, characters()[:0x3000])] + ["", "\n", " x ", "{{ 1 }}"]
    for _ in range(2_000):
        roles = rng.choice((["user"], ["system", "user"], ["user", "assistant", "user"],
                            ["assistant"], ["user", "system"], ["tool", "user"], []))
        yield [[role, rng.choice(contents)] for role in roles], rng.random() < 0.5


# Llama 2's as it is published with the model, written down here because no package carries it.
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception("
    "'Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + "
    "system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}"
    "{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}"
    "{% endif %}{% endfor %}")


def templates():
    """(name, chat template) of what TRL ships for the families it trains, and two more."""
    yield "SmolLM2", json.loads((MODEL / "tokenizer_config.json").read_text())["chat_template"]
    yield "Llama 2", LLAMA2
    shipped = sorted(TEMPLATES.glob("lib/python3*/site-packages/trl/chat_templates/*.jinja"))
    if not shipped:
        sys.exit(f"{TEMPLATES} has no chat templates (./dev setup --oracle)")
    for path in shipped:
        yield path.stem, path.read_bytes().decode()


def thoughtful(chats):
    """The same with Qwen3's thoughts, and white space at the ends, in some contents."""
    rng = random.Random(SEED + 5)
    marks = ["<think>", "</think>", "\n", "\n\n", " ", "\u3000", "\x1c", "<tool_response>",
             "</tool_response>", "4", "\u200b"]
    for chat, prompt in chats:
        if chat and all(role != "tool" for role, _ in chat):
            yield [[role, content if rng.random() < 0.4 else
                    "".join(rng.choices(marks, k=rng.randint(0, 8)))] for role, content in chat], prompt


def compare_chat(tool):
    import datetime
    import jinja2
    from transformers.utils.chat_template_utils import _compile_jinja_template
    chats = [(c, p) for c, p in conversations() if all(role != "tool" for role, _ in c)]
    chats = chats[:250] + list(thoughtful(chats))[:250]
    day = datetime.datetime(2024, 7, 26)
    failures = refused = rendered = 0
    for name, template in templates():
        tokens = {"bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "<pad>", "unk_token": "<unk>"}
        for kwargs in ({}, {"enable_thinking": False}):
            compiled = _compile_jinja_template(template)
            wanted = []
            for chat, prompt in chats:
                messages = [{"role": role, "content": content} for role, content in chat]
                try:
                    wanted.append(compiled.render(
                        messages=messages, add_generation_prompt=prompt, tools=None, documents=None,
                        strftime_now=day.strftime, **tokens, **kwargs))
                except (jinja2.TemplateError, TypeError, ValueError):
                    wanted.append(None)
            refused += wanted.count(None)
            rendered += len(wanted) - wanted.count(None)
            with tempfile.TemporaryDirectory() as folder:
                config = pathlib.Path(folder) / "tokenizer_config.json"
                config.write_text(json.dumps({"chat_template": template, **tokens}))
                comparison = Comparison(tool, MODEL / "tokenizer.json", config, json.dumps(kwargs))
                comparison.check(f"chat of {name} {kwargs or ''}",
                                 [{"chat": chat, "prompt": prompt} for chat, prompt in chats], wanted)
                failures += comparison.failures
    print(f"chat: {rendered} rendered, {refused} refused by both")
    return failures


# Prints where it is from and the variables that transformers gives to a template.
PRINTS = "{{ %r }}" + "".join("|{{ %s if %s is defined else '-' }}" % (n, n) for n in (
    "bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "think_token", "image_token", "image"))


def folders():
    """(name, {file: content}), all with one tokenizer.json; contents other than texts are JSON."""
    config, jinja, tool = "tokenizer_config.json", "chat_template.jinja", "additional_chat_templates/tool_use.jinja"
    base = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": PRINTS % "config"}
    named = [{"name": "default", "template": PRINTS % "first"}, {"name": "tool_use", "template": "no"},
             {"name": "default", "template": PRINTS % "second"}]
    added = {"content": "<s>", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    special = {"bos_token": added, "eos_token": "</s>", "sep_token": "<sep>", "think_token": "<think>"}
    decoder = {"added_tokens_decoder": {"2": {**added, "special": True}}}
    yield "a text", {config: base}
    yield "a file before it", {config: base, jinja: PRINTS % "jinja"}
    yield "and others beside it", {config: base, jinja: PRINTS % "jinja", tool: "no"}
    yield "only others", {config: base, tool: "no"}
    yield "a default among the others", {config: base, jinja: PRINTS % "jinja", tool: "no",
                                         "additional_chat_templates/default.jinja": PRINTS % "other"}
    yield "a list", {config: {**base, "chat_template": named}}
    yield "a list without a default", {config: {**base, "chat_template": named[1:2]}}
    yield "an object", {config: {**base, "chat_template": {"default": PRINTS % "object", "rag": "no"}}}
    yield "none", {config: {**base, "chat_template": None}}
    yield "tokens", {config: {**base, "bos_token": "<b>", "pad_token": {**added, "__type": "AddedToken"},
                              "unk_token": None, "image_token": "<i>"}}
    yield "extra tokens", {config: {**base, "extra_special_tokens": {"image": "<i>", "sep_token": "<x>"}}}
    yield "a list of extra tokens", {config: {**base, "additional_special_tokens": ["<i>"]}}
    yield "tokens of an old folder", {config: {**base, "eos_token": "<e>", "pad_token": "<p>"},
                                      "special_tokens_map.json": special, "added_tokens.json": {"<new>": 3}}
    yield "tokens of a newer folder", {config: {**base, **decoder, "eos_token": "<e>"},
                                       "special_tokens_map.json": special}
    yield "a processor's", {config: base, "chat_template.json": {"chat_template": "no"}}


def compare_folders(tool):
    """Where the chat template and its variables are, in folders of files that disagree."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoTokenizer
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<s>", special=True)])
    failures = count = 0
    for name, files in folders():
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            tokenizer.save(str(folder / "tokenizer.json"))
            (folder / "additional_chat_templates").mkdir()
            for file, content in files.items():
                (folder / file).write_text(content if isinstance(content, str) else json.dumps(content))
            try:
                wanted = AutoTokenizer.from_pretrained(folder).apply_chat_template(
                    [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True)
            except ValueError:
                wanted = None
            done = subprocess.run([tool, folder], input=json.dumps({"chat": [["user", "Hi"]], "prompt": True}),
                                  capture_output=True, text=True)
            have = json.loads(done.stdout) if done.returncode == 0 else None
            count += 1
            if have != wanted:
                failures += 1
                print(f"folder with {name}: {have} {done.stderr.strip()}, transformers {wanted}")
    print(f"folders: {count}")
    return failures


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: text_parity.py TOOL [STRINGS]")
    from tokenizers import Tokenizer
    every = characters()
    oracle = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    comparison = Comparison(sys.argv[1], MODEL / "tokenizer.json", MODEL / "tokenizer_config.json")
    count = int(sys.argv[2]) if len(sys.argv) == 3 else GENERATED
    for start in range(0, count, GENERATED):
        compare_smollm2(comparison, oracle, every, SEED + start)
    failures = comparison.failures + compare_chat(sys.argv[1]) + compare_folders(sys.argv[1])
    failures += compare_variants(sys.argv[1], every, count // 5)
    sys.exit(f"{failures} differ" if failures else 0)


if __name__ == "__main__":
    run(main, MODEL / "tokenizer.json", MODEL / "tokenizer_config.json")
