"""The benchmark of empowerment: what it makes of runs that are there."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import empowerment


def test_what_a_term_adds_is_counted_seed_by_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Early is the mean of the evaluations before the last; a seed that a variant lacks counts for none."""
    ends = {"both": (7.0, 11.0, 2.0), "model": (5.0, 3.0, 1.0), "neither": (4.0, 1.0)}
    for name, values in ends.items():
        for seed, value in enumerate(values):
            run = tmp_path / f"agent-{name}-{seed}"
            run.mkdir()
            evaluations = [1.0 + seed, 5.0 + seed, value]
            rows = [{"step": 2 * i, "eval/return": each} for i, each in enumerate(evaluations)]
            lines = [json.dumps(row) for row in [{"step": 0, "loss": 0.5}, *rows]]
            (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    empowerment.report(tmp_path, [0, 1, 2])
    told = capsys.readouterr().out
    assert "walker_stand --distraction agent: seeds 0, 1\n" in told and "cartpole" not in told
    assert "| in model and reward | 4 (3 to 4); 3, 4 | 9 (7 to 11); 7, 11 |" in told
    assert "| what the first adds to in the model alone | 0 (0 to 0); 0, 0 | 5 (2 to 8); 2, 8 |" in told
    assert "| what the first adds to in neither | 0 (0 to 0); 0, 0 | 6 (3 to 10); 3, 10 |" in told
