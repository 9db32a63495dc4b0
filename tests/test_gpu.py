"""What only a GPU can show: captured steps, the same bits twice, no waiting, bounded memory."""

import pytest
import torch
from test_objectives import make_agent, make_replay

import envs
from envs.batched import BatchedEnv

pytestmark = pytest.mark.gpu
N, STEPS = 257, 50


def cuda_env(task: str = "walker_walk", num_envs: int = N, **options: object) -> BatchedEnv:
    return envs.make(task, num_envs, device="cuda", seed=3, **options)


def actions(env: BatchedEnv, device: str = "cuda") -> torch.Tensor:
    """Return (STEPS, N, A) uniform actions, the same on every device."""
    shape = (STEPS, env.num_envs, env.action_dim)
    return (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1).to(device)


def test_a_control_step_is_one_graph_after_the_first() -> None:
    env = cuda_env()
    env.reset()
    for action in actions(env)[:3]:
        env.step(action)
    (graph,) = env._engine._control_steps.values()
    assert graph._graph is not None


def test_cuda_steps_as_warps_cpu_device() -> None:
    """One control step from the same states: float32 sums in another order, and a contact that flips now and then."""
    cuda, cpu = cuda_env(num_envs=31), envs.make("walker_walk", 31, engine="warp", seed=3)
    cuda.reset(), cpu.reset()
    differences = []
    for action in actions(cpu, "cpu"):
        cpu.load_state_dict(cuda.state_dict())
        one, two = cuda.step(action.cuda())["state"].cpu(), cpu.step(action)["state"]
        differences.append((one - two).abs().amax(1))
    found = torch.cat(differences)
    assert found.median() < 1e-4 and found.quantile(0.95) < 1e-2


@pytest.mark.parametrize("task", ["acrobot_swingup", "pendulum_swingup", "cartpole_three_poles"])
def test_the_deterministic_option_gives_the_same_bits_without_contacts(task: str) -> None:
    def play() -> torch.Tensor:
        env = cuda_env(task, deterministic=True)
        env.reset()
        return torch.stack([env.step(action)["state"] for action in actions(env)])

    assert torch.equal(play(), play())


@pytest.mark.parametrize("options", [{}, {"pixels": True, "distraction": "video"}, {"measures": True}])
def test_a_step_does_not_wait_for_the_device(options: dict[str, object]) -> None:
    """Resets included: torch raises at whatever makes the host wait."""
    env = cuda_env(time_limit=20, stagger=True, **options)
    env.reset()
    steps = actions(env)
    for action in steps[:5]:
        env.step(action)  # compiles and captures
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for action in steps:
            timestep = env.step(action)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(value.device.type == "cuda" for value in timestep.values())
    torch.cuda._sleep(2 * 10**9)  # clock cycles, a second: who waits for Warp or for a copy comes back after it
    env.step(steps[0])
    assert not torch.cuda.current_stream().query()


def test_actions_that_are_not_finite_are_named_within_some_steps() -> None:
    env = cuda_env()
    env.reset()
    with pytest.raises(ValueError, match="actions must be finite"):
        for _ in range(100):
            env.step(torch.full((N, env.action_dim), torch.nan, device="cuda"))
            torch.cuda.synchronize()


def test_a_simulation_that_diverges_is_named_within_some_steps() -> None:
    env = cuda_env()
    env.reset()
    state, first = env.state_dict(), 1 + env.model.nq  # time and positions come before speeds
    state["physics"][2, first : first + env.model.nv] = torch.nan
    env.load_state_dict(state)
    with pytest.raises(ValueError, match="the simulation of walker_walk diverged"):
        for action in actions(env):
            env.step(action)
            torch.cuda.synchronize()


def test_stepping_does_not_take_more_and_more_memory() -> None:
    env = cuda_env(pixels=True, distraction="video", time_limit=20, stagger=True)
    env.reset()
    used = []
    for action in [*actions(env), *actions(env)]:
        env.step(action)
        torch.cuda.synchronize()
        free, total = torch.cuda.mem_get_info()
        used.append(total - free)
    assert used[-1] - used[STEPS // 2] < 2**20


@pytest.mark.parametrize("name", ["infopower", "infopower-plus", "dreamer", "c-dreamer", "repo", "r2"])
def test_updates_are_compiled_in_bfloat16_and_do_not_wait(name: str) -> None:
    agent, replay = make_agent(name, "cuda"), make_replay("cuda")
    agent.update(replay)  # compiles
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        metrics = agent.update(replay)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(value.device.type == "cuda" and value.isfinite() for value in metrics.values())
