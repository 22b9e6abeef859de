"""``aam doctor``: what a report of a problem needs, in one screen."""

from __future__ import annotations

from aam.cli.configs import DoctorConfig


def doctor(config: DoctorConfig = DoctorConfig()) -> None:
    """Report what AAM finds on this machine, and whether it works: what a report of a problem needs."""
    from aam.cli.run.diagnosis import run_diagnosis

    run_diagnosis(config)
