#!/bin/bash
# What the project set out to reach on one GPU, within 8 minutes: an older build (the second checkout) beside this one.
#   bash benchmarks/gpu.sh OLD_CHECKOUT [DATA]
# PYTHON: an interpreter with torch and what both builds need (default: python). Then the tests, as far as the time reaches.
set -u
old=${1:?an older checkout: git worktree add OLD_CHECKOUT 49cf7cb} new=$(cd "$(dirname "$0")/.." && pwd)
export AAM_TEST_DATA=${2:-$new/../shared/data}
python=${PYTHON:-python} out=$(mktemp -d) start=$SECONDS
left() { echo $((460 - SECONDS + start > 1 ? 460 - SECONDS + start : 1)); }

"$python" -c 'import torch; print(torch.__version__, torch.cuda.get_device_name())' || exit
for side in new old; do
    folder=${!side} compiled=
    [ "$side" = new ] && compiled=--compiled
    PYTHONPATH=$folder/src:$folder timeout $(($(left) / 2)) "$python" "$new/benchmarks/gpu.py" --output "$out/$side.json" $compiled ||
        echo "$side: not measured to its end" >&2
    [ -f "$out/$side.json" ] || echo '{}' >"$out/$side.json"
done
PYTHONPATH=$new/src:$new "$python" "$new/benchmarks/gpu.py" --table "$out/old.json" "$out/new.json"

echo "tests that compare this GPU with the CPU:"
AAM_TEST_GPU=1 PYTHONPATH=$new/src:$new timeout "$(left)" "$python" -m pytest -q --timeout 200 "$new/tests/test_gpu.py" 2>&1 | tail -n 25
# The others see no GPU. One process to a file of tests, as many at a time as there are cores to spare.
cd "$new" || exit
find tests -name 'test_*.py' | PYTHONPATH=$new/src:$new timeout "$(left)" xargs -P "$(($(nproc) / 2))" -I{} \
    "$python" -m pytest -q -m "not slow" -p no:cacheprovider --timeout 240 {} >"$out/tests.log" 2>&1
echo "tests that see no GPU: $(grep -c '^FAILED' "$out/tests.log") failed; $(grep -cE '^[0-9]+ passed|passed' "$out/tests.log") files ended, of $(find tests -name 'test_*.py' | wc -l)"
grep '^FAILED' "$out/tests.log"
echo "figures and the log of the tests: $out"
