"""The ring: hand-worked cases, a plain-Python oracle, memory, disk."""

import logging
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

from agents.replay import ReplayBuffer, available_memory, map_scratch_file

L, N = 7, 3


def make_row(t: int, num_envs: int = N) -> TensorDict:
    """Return a row whose every value tells where it belongs."""
    t_, n = torch.full((num_envs,), t), torch.arange(num_envs)
    values = {"t": t_, "env": n, "pixels": (t_ * 5 + n).to(torch.uint8)[:, None, None, None].expand(-1, 2, 3, 5)}
    return TensorDict(values, batch_size=[num_envs])


def fill(steps: int, directory: Path | None = None) -> ReplayBuffer:
    replay = ReplayBuffer(L * N, N, "cpu", directory)
    for t in range(steps):
        replay.add(make_row(t))
    return replay


def seeded_sample(replay: ReplayBuffer) -> tuple[TensorDict, torch.Tensor]:
    torch.manual_seed(1)
    return replay.sample(13, 3)


def test_eleven_rows_in_a_ring_of_seven() -> None:
    replay = fill(11)
    assert (replay.head, replay.size, len(replay)) == (4, 7, 21)
    # places 0..6 hold time steps 7 8 9 10 4 5 6; flat place t * 3 + n
    assert replay.rows["t"].tolist() == [t for t in (7, 8, 9, 10, 4, 5, 6) for _ in range(3)]
    assert replay.latest(5)["t"].tolist() == [[6, 7, 8, 9, 10]] * 3
    assert replay.latest(5)["env"].tolist() == [[0] * 5, [1] * 5, [2] * 5]
    batch, index = replay.sample(1000, 7)  # one start is left: every slice is the whole ring in order
    assert batch["t"].tolist() == [[4, 5, 6, 7, 8, 9, 10]] * 1000
    assert set(batch["env"][:, 0].tolist()) == {0, 1, 2}
    assert index[batch["env"][:, 0] == 2][0].tolist() == [14, 17, 20, 2, 5, 8, 11]


@pytest.mark.parametrize("steps", [2, 7, 8, 13, 29])
@pytest.mark.parametrize("length", [1, 2])
def test_starts_are_uniform_over_what_is_held(steps: int, length: int) -> None:
    replay = fill(steps)
    torch.manual_seed(0)
    batch, _ = replay.sample(21_000, length)
    lowest, held = max(0, steps - L), min(steps, L)
    starts = held - length + 1
    counts = torch.bincount((batch["t"][:, 0] - lowest) * N + batch["env"][:, 0], minlength=starts * N)
    expected = 21_000 / (starts * N)
    assert len(counts) == starts * N
    assert ((counts - expected).abs() < 5 * expected**0.5).all(), counts


operations = st.lists(st.tuples(st.sampled_from(["add", "write", "reload"]), st.integers(1, 5)), max_size=40)


@settings(deadline=None, max_examples=60)
@given(operations=operations, length=st.integers(1, 11), num_envs=st.integers(1, 5), seed=st.integers(0, 99))
def test_it_is_a_list_that_forgets(operations: list[tuple[str, int]], length: int, num_envs: int, seed: int) -> None:
    torch.manual_seed(seed)
    replay, oracle, t = ReplayBuffer(length * num_envs, num_envs), [], 0
    for name, k in operations:
        if name == "add":
            for _ in range(k):
                replay.add(TensorDict({"x": t * num_envs + torch.arange(num_envs)}, batch_size=[num_envs]))
                oracle = [*oracle, [t * num_envs + n for n in range(num_envs)]][-length:]
                t += 1
        elif name == "write" and len(oracle) >= k:
            _, index = replay.sample(1, k)
            replay.write_back(index, TensorDict({"x": torch.full((1, k), -t)}, batch_size=[1, k]))
            newest = (replay.head - 1) % length
            for place in index[0].tolist():
                age = (newest - place // num_envs) % length
                oracle[len(oracle) - 1 - age] = list(oracle[len(oracle) - 1 - age])
                oracle[len(oracle) - 1 - age][place % num_envs] = -t
        elif name == "reload":
            saved, replay = replay.state_dict(), ReplayBuffer(length * num_envs, num_envs)
            replay.load_state_dict(saved)
        assert len(replay) == len(oracle) * num_envs
        if oracle:
            everything = replay.latest(len(oracle))["x"].T.tolist()
            assert everything == oracle
            slices, _ = replay.sample(5, min(k, len(oracle)))
            columns = [list(column) for column in zip(*oracle, strict=True)]
            runs = [c[i : i + slices.shape[1]] for c in columns for i in range(len(c) - slices.shape[1] + 1)]
            assert all(s in runs for s in slices["x"].tolist())


def test_a_part_reads_its_environments_from_the_same_storage() -> None:
    replay = fill(11)
    part = replay.part(range(1, 3))
    assert len(part) == 14 and len(replay) == 21
    assert part.latest(2)["t"].tolist() == [[9, 10]] * 2 and part.latest(2)["env"].tolist() == [[1, 1], [2, 2]]
    batch, index = part.sample(1000, 3)
    assert set(batch["env"].flatten().tolist()) == {1, 2}
    assert torch.equal(replay.gather(index)["t"], batch["t"])
    part.write_back(index[:1], TensorDict({"t": torch.full((1, 3), 99)}, batch_size=[1, 3]))
    assert replay.gather(index)["t"][0].tolist() == [99] * 3
    replay.add(make_row(11))
    assert replay.part(range(1, 2)).latest(1)["t"].tolist() == [[11]]


def test_a_share_of_a_part_s_batch_is_drawn_from_everybody() -> None:
    replay = fill(11)
    part = replay.part(range(2, 3), shared=0.4)
    torch.manual_seed(0)
    batch, index = part.sample(15_000, 7)  # one start is left: every slice is the whole ring in order
    counts = torch.bincount(batch["env"][:6000, 0], minlength=N)
    assert ((counts - 2000).abs() < 5 * 2000**0.5).all(), counts
    assert (batch["env"][6000:] == 2).all() and index[-1].tolist() == [14, 17, 20, 2, 5, 8, 11]
    assert part.latest(2)["env"].tolist() == [[2, 2]]
    for share, places in {0.0: [], 0.4: [12, 15, 18, 0, 3, 6, 9]}.items():
        batch, index = replay.part(range(2, 3), share).sample(500, 7)
        assert index[batch["env"][:, 0] == 0][:1].flatten().tolist() == places
    foreign = index[batch["env"][:, 0] == 0][0]
    values = torch.stack([torch.arange(100, 107), torch.arange(200, 207)])  # for environment 0, and for 2
    part.write_back(torch.stack([foreign, index[-1]]), TensorDict({"t": values}, batch_size=[2, 7]))
    written = [[103, 7, 203], [104, 8, 204], [105, 9, 205], [106, 10, 206], [100, 4, 200], [101, 5, 201], [102, 6, 202]]
    assert replay.rows["t"].view(L, N).tolist() == written


def test_write_back_reaches_the_sampled_rows_only() -> None:
    replay = fill(11)
    torch.manual_seed(3)
    _, index = replay.sample(1, 5)
    replay.write_back(index, TensorDict({"t": torch.tensor([[101, 103, 107, 109, 113]])}, batch_size=[1, 5]))
    changed = [place for place, (a, b) in enumerate(zip(replay.rows["t"], fill(11).rows["t"], strict=True)) if a != b]
    assert sorted(changed) == sorted(index[0].tolist())
    assert replay.gather(index)["t"].tolist() == [[101, 103, 107, 109, 113]]


@pytest.mark.parametrize("steps", [0, 5, 7, 11])
@pytest.mark.parametrize("on_disk", [False, True])
def test_state_is_exact_and_no_larger_than_what_is_held(tmp_path: Path, steps: int, on_disk: bool) -> None:
    replay = fill(steps)
    torch.save(replay.state_dict(), tmp_path / "replay.pt")
    restored = ReplayBuffer(L * N, N, "cpu", tmp_path / "scratch" if on_disk else None)
    restored.load_state_dict(torch.load(tmp_path / "replay.pt", weights_only=True, mmap=True))
    for buffer in (replay, restored):
        for t in range(steps, steps + 4):
            buffer.add(make_row(t))
    (batch, index), (batch_again, index_again) = seeded_sample(replay), seeded_sample(restored)
    assert torch.equal(index, index_again)
    assert (batch == batch_again).all()
    held = replay.state_dict()["rows"]["pixels"]
    assert held.untyped_storage().nbytes() == held.numel()


def test_a_replay_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="saved replay is 7 x 3 rows, this one 11 x 3"):
        ReplayBuffer(11 * N, N).load_state_dict(fill(5).state_dict())


def test_pixels_on_disk_sample_the_same_and_leave_nothing_behind(tmp_path: Path) -> None:
    in_memory, on_disk = (seeded_sample(fill(11, directory))[0] for directory in (None, tmp_path / "scratch"))
    assert (in_memory == on_disk).all()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_memory_is_stated_and_refused_before_it_is_taken(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level(logging.INFO):
        fill(1)
    assert "replay: 21 rows, 0.00 GB on cpu" in caplog.text
    with pytest.raises(
        ValueError, match=r"needs 46000.00 GB on cpu, .* available: lower --replay-size or .*--replay-dir"
    ):
        ReplayBuffer(10**12, 1).add(make_row(0, 1))  # 2 int64 and 30 bytes a row
    with pytest.raises(ValueError, match=r"pixels need 30000.00 GB in .*, .* available: lower --replay-size"):
        map_scratch_file(tmp_path, 30 * 10**12)
    assert list(tmp_path.iterdir()) == []


def test_a_control_group_limits_what_is_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 5000 bytes 4000 are in use, of which 1000 are page cache that is given back: 2000 are left."""
    monkeypatch.setattr("agents.replay.Path", lambda path: tmp_path / path.removeprefix("/"))
    files = {
        "proc/meminfo": "MemTotal:       11 kB\nMemAvailable:       7 kB\n",
        "sys/fs/cgroup/memory.current": "4000\n",
        "sys/fs/cgroup/memory.stat": "anon 3000\ninactive_file 1000\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    limit, cpu = tmp_path / "sys/fs/cgroup/memory.max", torch.device("cpu")
    assert available_memory(cpu) == 7 * 1024  # the machine's alone
    for told, available in {"max": 7 * 1024, "5000": 2000, "999999": 7 * 1024}.items():
        limit.write_text(f"{told}\n")
        assert available_memory(cpu) == available


def test_too_short_a_replay_says_so() -> None:
    with pytest.raises(ValueError, match="which holds 3 of each environment: raise --prefill"):
        fill(3).sample(2, 5)
    with pytest.raises(ValueError, match="latest 5 steps"):
        fill(3).latest(5)
    with pytest.raises(ValueError, match="capacity 2 must be at least the number of environments, 3"):
        ReplayBuffer(2, 3)
