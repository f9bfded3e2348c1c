#!/usr/bin/env bash
# En2ZhSum, word to word, as the paper has it; preprocess/README.md says why these choices.
# usage: ncls_en2zh.sh OUT NCLS_FOLDER [options of `vhm prepare trio`, which win over those below]
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '3s/^# //p' "$0" >&2
    exit 2
fi
out=$1
corpus=ncls:$2
shift 2

exec vhm prepare trio "$out" --source-lang en --target-lang zh \
    --cls "$corpus" --ms "$corpus" --mt "$corpus" \
    --segmentation word --chinese-words char --vocab-size 108700 --lowercase "$@"
