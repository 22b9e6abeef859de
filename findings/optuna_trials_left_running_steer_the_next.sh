#!/usr/bin/env bash
# Optuna 5.0.0, TPESampler with a seed: a trial that was asked for and never told (its process was ended, and a storage keeps it as RUNNING)
# changes what is suggested next. The sampler takes running trials for bad ones by default (constant_liar=True), also where one process
# works alone, so a search that goes on after its process was ended is another search, although seed and finished trials are the same;
# with constant_liar=False it is the same. And a sampler that is made again with its seed draws its first values again, whatever the study
# holds: going on in a new process repeats trials.
# Seen: "left running: 0.2690, none left: 0.1909; without the liar 0.1909 and 0.1909; first process [0.5488, 0.7152, 0.6028], second the
# same: True". Fails when a running trial changes nothing, or the second process draws on.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" --quiet --disable-pip-version-check install optuna==5.0.0
cat > "$work/seen.py" <<'PY'
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = f"sqlite:///{sys.argv[1]}/study.db"


def following(left_running, **options):
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, (trial.suggest_float("x", 0, 1) - 0.3) ** 2)
    if left_running:
        study.ask().suggest_float("x", 0, 1)
    study.sampler = optuna.samplers.TPESampler(seed=1, **options)
    return round(study.ask().suggest_float("x", 0, 1), 4)


def first_values():
    study = optuna.create_study(storage=storage, study_name="s", load_if_exists=True, sampler=optuna.samplers.TPESampler(seed=0))
    found = []
    for _ in range(3):
        trial = study.ask()
        found.append(round(trial.suggest_float("x", 0, 1), 4))
        study.tell(trial, found[-1])
    return found


left, none = following(True), following(False)
without = [following(one, constant_liar=False) for one in (True, False)]
begin, again = first_values(), first_values()
print(f"left running: {left:.4f}, none left: {none:.4f}; without the liar {without[0]:.4f} and {without[1]:.4f}; "
      f"first process {begin}, second the same: {begin == again}")
raise SystemExit(not (left != none and without[0] == without[1] == none and begin == again))
PY
"$work/env/bin/python" "$work/seen.py" "$work" || { echo "changed" >&2; exit 1; }
