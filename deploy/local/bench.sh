#!/usr/bin/env bash
# Measures the speed of Reckon and of transformers on the same work, one after the other, and the time
# from `reckon train` to the first token. Called by `./dev bench`, which builds first. The numbers go
# into docs/results.md.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/reckon
model=${RECKON_MODELS:-$CACHE/models}/smollm2-135m
oracle=${RECKON_ORACLE:-$CACHE/oracle/bin/python}

echo "rollouts: 64 samples of 64 new tokens after prompts of 71; training: 8 sequences of 200 tokens"
reckon() {
  build/bin/reckon-engine-bench --model "$model" --prompts "$1" --samples $((64 / $1)) --new_tokens 64
}
echo "reckon, every prompt different:";      reckon 64
echo "reckon, four samples per prompt:";       reckon 16
echo "reckon, optimizer steps:";             build/bin/reckon-update-bench --model "$model"
echo "transformers (prompts all different), both:"
"$oracle" tests/bench/transformers_bench.py "$model" 64 71 64 8 200 2>/dev/null

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/first_token.textproto" <<TEXT
name: "first_token" output_dir: "$folder" model { path: "$model" }
data { train: "builtin" builtin { train_problems: 8 eval_problems: 8 } }
eval { samples: 0 max_new_tokens: 8 }
stage { eval {} }
TEXT
begin=$(date +%s.%N)
build/bin/reckon train "$folder/first_token.textproto" >"$folder/out" || { cat "$folder/out"; exit 1; }
# A line of the log: I20240131 12:34:56.123456 ...
first=$(sed -n 's/^I\(....\)\(..\)\(..\) \([0-9:.]*\) .*first token sampled/\1-\2-\3 \4/p' \
  "$folder"/first_token/logs/latest/actor-0.log | head -1)
awk -v a="$begin" -v b="$(date -d "$first" +%s.%N)" \
  'BEGIN { printf "{\"seconds_from_reckon_train_to_first_token\": %.2f}\n", b - a }'
grep "peak memory" "$folder/out"
