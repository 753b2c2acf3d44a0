"""`reckon serve` as the `openai` package sees it, and its greedy texts and log-probabilities beside those of
transformers' generate, for SmolLM2-135M in fp32: completions, chats, streams, several choices, stops,
seeds, concurrent requests, errors, keys, and its end on SIGTERM.

Usage: serve_parity.py, with RECKON_BIN; see oracle.py for what it needs.
"""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import oracle

BIN = pathlib.Path(os.environ.get("RECKON_BIN", "."))
PROMPTS = ["The capital of France is", "Question: Tom has 3 apples and buys 4 more. How many has he?\nAnswer:",
           "def fibonacci(n):\n"]
CHATS = [[{"role": "user", "content": "Name three colours."}],
         [{"role": "system", "content": "You answer in one word."},
          {"role": "user", "content": "What is 2 + 2?"}]]
TOKENS = 24
KEY = "k" * 40


class Server:
    """One `reckon serve` process."""

    def __init__(self, *options):
        self.process = subprocess.Popen([BIN / "reckon", "serve", "--model", oracle.MODEL, "--fp32",
                                         "--kv-cache-mib", "256", "--listen", "127.0.0.1:0", *options],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("http://"):
            sys.exit(f"reckon serve did not start: {line!r}, exit code {self.process.wait()}")
        self.url = line.split()[0]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


class Reference:
    """transformers' greedy answers."""

    def __init__(self):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
        logging.disable_progress_bar()
        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(oracle.MODEL, dtype=torch.float32)
        self.tokenizer = AutoTokenizer.from_pretrained(oracle.MODEL)

    def ids(self, prompt):
        if isinstance(prompt, str):
            return self.tokenizer(prompt).input_ids
        return self.tokenizer.apply_chat_template(prompt, add_generation_prompt=True,
                                                  return_dict=True)["input_ids"]

    def greedy(self, prompt):
        """Text, and of each of its tokens the log-probability and the five likeliest."""
        ids = self.torch.tensor([self.ids(prompt)])
        out = self.model.generate(ids, attention_mask=self.torch.ones_like(ids), do_sample=False,
                                  max_new_tokens=TOKENS, output_logits=True, return_dict_in_generate=True)
        new = out.sequences[0, ids.shape[1]:].tolist()
        logprobs, likeliest = [], []
        for token, logits in zip(new, out.logits):
            table = self.torch.log_softmax(logits[0], -1)
            logprobs.append(table[token].item())
            likeliest.append(table.topk(5).values.tolist())
        ends = self.model.generation_config.eos_token_id
        if new and new[-1] in (ends if isinstance(ends, list) else [ends]):
            new.pop()
        return self.tokenizer.decode(new, skip_special_tokens=True), logprobs[:len(new)], likeliest[:len(new)]


FAILED = []


def check(what, good, why=""):
    print(f"{'ok' if good else 'FAILED'}: {what}{'' if good else f': {why}'}", flush=True)
    if not good:
        FAILED.append(what)


def close(ours, theirs):
    return len(ours) == len(theirs) and all(abs(a - b) < 2e-3 for a, b in zip(ours, theirs))


def greedy(client, reference):
    for prompt in PROMPTS:
        text, logprobs, likeliest = reference.greedy(prompt)
        choice = client.completions.create(model="smollm2-135m", prompt=prompt, max_tokens=TOKENS,
                                           temperature=0, logprobs=5).choices[0]
        check(f"completion of {prompt[:20]!r}", choice.text == text, f"{choice.text!r}, not {text!r}")
        check("its log-probabilities", close(choice.logprobs.token_logprobs, logprobs),
              f"{choice.logprobs.token_logprobs}, not {logprobs}")
        check("the likeliest tokens", all(close(sorted(ours.values(), reverse=True), theirs) for ours, theirs
                                          in zip(choice.logprobs.top_logprobs, likeliest)))
        check("its tokens are its text", "".join(choice.logprobs.tokens) == text)
    for messages in CHATS:
        text, logprobs, likeliest = reference.greedy(messages)
        reply = client.chat.completions.create(model="smollm2-135m", messages=messages, max_tokens=TOKENS,
                                               temperature=0, logprobs=True, top_logprobs=5)
        choice = reply.choices[0]
        check(f"chat {messages[-1]['content']!r}", choice.message.content == text,
              f"{choice.message.content!r}, not {text!r}")
        check("its log-probabilities", close([each.logprob for each in choice.logprobs.content], logprobs))
        check("the likeliest tokens", all(close([other.logprob for other in ours.top_logprobs], theirs)
                                          for ours, theirs in zip(choice.logprobs.content, likeliest)))
        check("prompt tokens", reply.usage.prompt_tokens == len(reference.ids(messages)),
              f"{reply.usage.prompt_tokens}, not {len(reference.ids(messages))}")


def streams(client):
    asked = {"model": "smollm2-135m", "messages": CHATS[0], "max_tokens": TOKENS, "temperature": 0.8, "seed": 11,
             "n": 2, "logprobs": True, "top_logprobs": 2}
    whole = client.chat.completions.create(**asked)
    texts, finish, logprobs, usage = ["", ""], [None, None], [[], []], None
    for chunk in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finish[choice.index] = choice.finish_reason or finish[choice.index]
            if choice.logprobs:
                logprobs[choice.index] += [each.logprob for each in choice.logprobs.content]
    check("a stream says what the whole reply says",
          texts == [choice.message.content for choice in whole.choices]
          and finish == [choice.finish_reason for choice in whole.choices]
          and logprobs == [[each.logprob for each in choice.logprobs.content] for choice in whole.choices]
          and usage == whole.usage, f"{texts} {finish} {usage}")
    check("two choices differ", texts[0] != texts[1])
    asked = {"model": "smollm2-135m", "prompt": PROMPTS, "max_tokens": TOKENS, "temperature": 1, "seed": 3,
             "top_p": 0.9, "extra_body": {"top_k": 50}}
    whole = client.completions.create(**asked)
    texts = [""] * len(PROMPTS)
    for chunk in client.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    check("so does one of several prompts", texts == [choice.text for choice in whole.choices])
    plain = client.completions.create(model="smollm2-135m", prompt=PROMPTS[0], max_tokens=TOKENS, temperature=0)
    word = plain.choices[0].text.split()[4]
    cut = client.completions.create(model="smollm2-135m", prompt=PROMPTS[0], max_tokens=TOKENS, temperature=0,
                                    stop=[word])
    check("a stop string", cut.choices[0].text == plain.choices[0].text.split(word)[0]
          and cut.choices[0].finish_reason == "stop" and plain.choices[0].finish_reason == "length",
          f"{cut.choices[0].text!r} of {plain.choices[0].text!r} at {word!r}")


async def concurrent(url):
    import openai
    client = openai.AsyncOpenAI(base_url=url, api_key="none", timeout=600)

    async def sample(seed, prompt):
        reply = await client.completions.create(model="smollm2-135m", prompt=prompt, max_tokens=TOKENS, seed=seed)
        return reply.choices[0].text

    alone = await sample(1, PROMPTS[0])
    batched = await asyncio.gather(*[sample(seed, PROMPTS[seed % 3]) for seed in range(2, 10)],
                                   sample(1, PROMPTS[0]))
    check("one seed, one text, whatever else is batched", batched[-1] == alone,
          f"{batched[-1]!r}, not {alone!r}")
    check("other seeds, other texts", len(set(batched)) > 5)


def errors(client):
    import openai

    def refused(kind, **asked):
        try:
            client.completions.create(**{"model": "smollm2-135m", "prompt": "a", "max_tokens": 1, **asked})
        except kind as error:
            return error
        return None

    error = refused(openai.BadRequestError, temperature=-1)
    check("400 names the field", error is not None and error.param == "temperature", repr(error))
    error = refused(openai.BadRequestError, prompt="a " * 9000)
    check("400 for a prompt that does not fit", error is not None and error.code == "context_length_exceeded",
          repr(error))
    error = refused(openai.NotFoundError, model="another")
    check("404 for another model", error is not None and error.code == "model_not_found", repr(error))


def keys():
    import openai
    with tempfile.TemporaryDirectory(prefix="reckon_serve_") as folder:
        path = pathlib.Path(folder) / "keys"
        path.write_text(KEY + "\n")
        path.chmod(0o600)
        server = Server("--api-key-file", path, "--name", "named")
        try:
            openai.OpenAI(base_url=server.url, api_key="wrong", max_retries=0).models.list()
            check("a wrong key is refused", False)
        except openai.AuthenticationError:
            check("a wrong key is refused", True)
        models = openai.OpenAI(base_url=server.url, api_key=KEY).models.list().data
        check("the right key is not", [model.id for model in models] == ["named"], models)
        check("SIGTERM ends a server that has nothing to do", server.end() == 0)


def ends(server, client):
    stream = client.completions.create(model="smollm2-135m", prompt=PROMPTS[0], max_tokens=64, temperature=0,
                                       stream=True)
    text = next(iter(stream)).choices[0].text
    server.process.send_signal(signal.SIGTERM)
    finish = None
    for chunk in stream:
        text += chunk.choices[0].text
        finish = chunk.choices[0].finish_reason or finish
    check("a request that it has when it is stopped is finished", finish in ("length", "stop"), finish)
    check("then it ends with 0", server.process.wait(120) == 0)


def main():
    import openai
    reference = Reference()
    server = Server()
    try:
        client = openai.OpenAI(base_url=server.url, api_key="none", timeout=600, max_retries=0)
        check("its models", [model.id for model in client.models.list()] == ["smollm2-135m"])
        greedy(client, reference)
        streams(client)
        asyncio.run(concurrent(server.url))
        errors(client)
        ends(server, client)
    finally:
        server.process.kill()
    keys()
    sys.exit(f"failed: {', '.join(FAILED)}" if FAILED else 0)


if __name__ == "__main__":
    oracle.run(main, oracle.MODEL)
