"""The rollouts of `./dev bench rollout` in llama.cpp, for the ratio in docs/performance.md. Prints one JSON object.

Usage: llama_cpp_bench.py MODEL PROMPTS SAMPLES PROMPT_TOKENS NEW_TOKENS THREADS

The weights of the model folder are written to a GGUF file as they are, in bf16, and checked: after the same
prompts, llama.cpp and transformers must give the same next token. Then all prompts are decoded in one batch, each
is copied to its other samples, and all samples are decoded together, one token a step, each with llama.cpp's own
sampler at temperature 1.
"""

import json
import pathlib
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import gguf
import llama_cpp
import numpy as np
import torch
from transformers import AutoModelForCausalLM

folder = pathlib.Path(sys.argv[1])
prompts, samples, prompt_tokens, new_tokens, threads = map(int, sys.argv[2:7])
config = json.loads((folder / "config.json").read_text())
sequences = prompts * samples


def tensors():
    """The names and the bf16 numbers of the folder's one safetensors file."""
    data = np.memmap(folder / "model.safetensors", dtype=np.uint8, mode="r")
    size = int(data[:8].view(np.uint64)[0])
    for name, entry in json.loads(data[8:8 + size].tobytes()).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "BF16":
            sys.exit(f"llama_cpp_bench: {name} is {entry['dtype']}, not BF16")
        begin, end = entry["data_offsets"]
        yield name, data[8 + size + begin:8 + size + end].view(np.uint16).reshape(entry["shape"])


def write_gguf(path):
    """A model without a vocabulary, whose texts the ids of tokens replace here."""
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, values in tensors():
        kind = name.split(".")[-2]
        if kind in ("q_proj", "k_proj"):
            # llama.cpp rotates neighbours, and Hugging Face's layout the halves of a head.
            rows, inputs = values.shape
            of = heads if kind == "q_proj" else kv_heads
            values = values.reshape(of, 2, rows // of // 2, inputs).swapaxes(1, 2).reshape(rows, inputs)
        name = names.get_name(name, try_suffixes=(".weight",))
        if values.ndim == 1:
            writer.add_tensor(name, (values.astype(np.uint32) << 16).view(np.float32))
        else:
            writer.add_tensor(name, np.ascontiguousarray(values).view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Decoder:
    """A context of llama.cpp in which each sequence has keys and values of its own."""

    def __init__(self, path):
        self.keep = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.keep, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = sequences * ((prompt_tokens + new_tokens + 255) // 256 * 256)
        params.n_batch = max(prompts * prompt_tokens, sequences)
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.model or not self.context:
            sys.exit("llama_cpp_bench: llama.cpp cannot load the model")
        self.batch = llama_cpp.llama_batch_init(params.n_batch, 0, 1)
        self.samplers = []
        for seed in range(sequences):
            # A chain keeps its buffer between two tokens.
            self.samplers.append(llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params()))
            llama_cpp.llama_sampler_chain_add(self.samplers[-1], llama_cpp.llama_sampler_init_dist(seed))
        self.pool = ThreadPoolExecutor(threads)

    def decode(self, rows):
        """Rows are of a sequence, a position, a token, and whether its logits are wanted."""
        for i, (sequence, position, token, wanted) in enumerate(rows):
            self.batch.token[i], self.batch.pos[i] = token, position
            self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, sequence
            self.batch.logits[i] = wanted
        self.batch.n_tokens = len(rows)
        if code := llama_cpp.llama_decode(self.context, self.batch):
            sys.exit(f"llama_cpp_bench: llama_decode failed with {code}")

    def decode_prompts(self, ids):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), False)
        last = len(ids[0]) - 1
        self.decode([(p, i, token, i == last) for p, row in enumerate(ids) for i, token in enumerate(row)])
        return [p * (last + 1) + last for p in range(len(ids))]

    def logits(self, row):
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, row), (config["vocab_size"],)).copy()

    def sample(self, rows):
        """A token of each sequence, drawn from the logits of its row."""
        llama_cpp.llama_get_logits_ith(self.context, rows[0])  # waits for the pass, before threads read

        def draw(first):
            return [(s, llama_cpp.llama_sampler_sample(self.samplers[s], self.context, rows[s]))
                    for s in range(first, len(rows), threads)]

        return dict(pair for part in self.pool.map(draw, range(threads)) for pair in part)

    def rollouts(self, ids, tokens):
        # The first prompts' places are sequences 0, 1, 2, .. of which llama.cpp makes one pass.
        rows = self.decode_prompts(ids)
        memory = llama_cpp.llama_get_memory(self.context)
        for s in range(len(ids), sequences):
            llama_cpp.llama_memory_seq_cp(memory, s % len(ids), s, -1, -1)
        drawn = self.sample([rows[s % len(ids)] for s in range(sequences)])
        for step in range(tokens - 1):
            self.decode([(s, len(ids[0]) + step, drawn[s], True) for s in range(sequences)])
            drawn = self.sample(list(range(sequences)))


def check(decoder, ids):
    """Both programs round to bf16 in other places, so tokens that are nearly equally likely may change their order."""
    rows = decoder.decode_prompts(ids)
    with torch.no_grad():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        wanted = torch.log_softmax(model(torch.tensor(ids)).logits[:, -1].float(), -1).numpy()
    for row, expected in zip(rows, wanted):
        got = decoder.logits(row)
        got -= np.log(np.exp(got - got.max()).sum()) + got.max()
        likely = np.argsort(expected)[-100:]
        if (worst := np.abs(got - expected)[likely].max()) > 0.5:
            sys.exit(f"llama_cpp_bench: llama.cpp and transformers differ by {worst} in a log-probability")


torch.manual_seed(0)
ids = torch.randint(min(100, config["vocab_size"] // 4), min(40000, config["vocab_size"]), (prompts, prompt_tokens)).tolist()
with tempfile.TemporaryDirectory(prefix="reckon_bench_") as out:
    path = pathlib.Path(out) / "model.gguf"
    write_gguf(path)
    decoder = Decoder(path)
    check(decoder, ids[:2])
decoder.rollouts(ids, 2)
begin = time.time()
decoder.rollouts(ids, new_tokens)
print(json.dumps({"sampled_tokens_per_s": round(sequences * new_tokens / (time.time() - begin), 1)}))
