#!/usr/bin/env bash
# Rollout and training speed of Reckon and of transformers on the same work, one after the other, on
# this machine. Called by `./dev bench`, which builds first. The figures are for docs/results.md.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/reckon
model=${RECKON_MODELS:-$CACHE/models}/smollm2-135m
oracle=${RECKON_ORACLE:-$CACHE/oracle/bin/python}

echo "reckon: the engine, 16 prompts of 71 tokens x 4 samples x 64 new tokens"
build/bin/reckon-engine-bench --model "$model" --prompts 16 --samples 4 --prompt_tokens 71 --new_tokens 64
echo "reckon: the kernels alone, and forward and backward of 8 sequences of 200 tokens"
build/bin/reckon-model-bench "$model" 64 71 64 8 200
echo "transformers, both"
"$oracle" tests/bench/transformers_bench.py "$model" 64 71 64 8 200 2>/dev/null
