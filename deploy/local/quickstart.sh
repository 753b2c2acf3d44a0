#!/usr/bin/env bash
# SmolLM2-135M on built-in word problems: the pretrained model, SFT, two rounds of expert iteration.
# The numbers of problems are those that this machine can do in about ten minutes. Called by
# `./dev quickstart`, which builds first. Further options go to `reckon train`, e.g. --set seed=1.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/reckon
model=${RECKON_MODELS:-$CACHE/models}/smollm2-135m
[ -e "$model/model.safetensors" ] || { echo "quickstart: no model at $model: run ./dev setup" >&2; exit 1; }

run=runs/quickstart
number() { sed -n "s/^ *$1: *\([0-9]*\).*/\1/p" "$run/config.textproto"; }
resume=()
if grep -qs '"finished": *true' "$run/progress.json"; then
  mv "$run" "$run.$(date +%Y%m%d-%H%M%S)"
fi
if [ -e "$run/config.textproto" ]; then
  # A run has the problems that it began with; a second measurement would give another number.
  echo "An unfinished quickstart is in $run: resuming it."
  resume=(--resume)
  train=$(number train_problems)
  evals=$(number eval_problems)
else
  # The full size, 256 prompts and 160 evaluation problems, is for about 1,500 sampled tokens/s.
  speed=$(build/bin/reckon-engine-bench --model "$model" --prompts 8 --samples 8 --new_tokens 32 |
    sed -n 's/.*"sampled_tokens_per_s": *\([0-9]*\).*/\1/p')
  scale=$((speed * 100 / 1500))
  [ "$scale" -gt 100 ] && scale=100
  [ "$scale" -lt 25 ] && scale=25
  train=$((256 * scale / 100))
  evals=$((160 * scale / 100))
  echo "This machine samples about $speed tokens/s: $train training and $evals evaluation problems ($scale % of the full size)."
fi

exec build/bin/reckon train recipes/quickstart.textproto "${resume[@]}" \
  --set "model.path=$model" \
  --set "data.builtin.train_problems=$train" --set "data.builtin.eval_problems=$evals" "$@"
