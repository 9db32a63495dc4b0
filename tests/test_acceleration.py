"""Updates that are compiled, or in bfloat16: the same mathematics. And memory that is kept."""

import resource
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from test_objectives import MODELS, make_agent, make_replay

from agents.acceleration import autocast, compiled, keep_memory
from agents.infopower import InfoPower
from world_models.bounds import BOUNDS

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def losses_of(agent: InfoPower) -> dict[str, torch.Tensor]:
    """Return means of the losses, and of what is imagined, on the same rows with the same noise."""
    torch.manual_seed(1)
    rows, _ = make_replay().sample(5, 7)
    with autocast(agent.config.precision, agent.device):
        losses, trace, _ = agent.model_losses(rows, rows["reward"])
        before, after, reward, drawn, _ = agent.imagined(trace, rows)
    found = losses | {"before": before, "after": after, "imagined": reward, "entropy": drawn.entropy()}
    found["kl"] = trace.post.kl(trace.prior)
    assert {value.dtype for value in found.values()} == {torch.float32}
    return {name: value.detach() for name, value in found.items()}


def test_auto_is_for_cuda_alone() -> None:
    def function() -> None: ...

    assert compiled(function, "auto", CPU) is function is compiled(function, "off", CUDA)
    assert compiled(function, "auto", CUDA) is not function is not compiled(function, "on", CPU)
    with autocast("auto", CPU):
        assert not torch.is_autocast_enabled("cpu")
    with autocast("bfloat16", CPU):
        assert torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_rounds_layers_alone(name: str) -> None:
    """An update is float32 at its ends, near to the whole one, and moves float32 parameters."""
    whole, half = make_agent(name), make_agent(name)
    half.config = replace(half.config, precision="bfloat16")
    exact, rounded = losses_of(whole), losses_of(half)
    assert any(not torch.equal(value, rounded[key]) for key, value in exact.items())
    for key, value in exact.items():
        assert (value.mean() - rounded[key].mean()).abs() < 0.05 * (1 + value.abs().mean()), key
    metrics = half.update(make_replay())
    assert all(value.isfinite() for value in metrics.values())
    assert {value.dtype for value in half.nets.parameters()} == {torch.float32}


@pytest.mark.parametrize("bound", BOUNDS)
def test_every_bound_is_differentiated_where_it_is_compiled(bound: str) -> None:
    """As on CUDA, but for the code that the compiler makes in the end."""
    agent = make_agent("infopower")
    agent.model.bound = BOUNDS[bound]
    agent.model.critic = BOUNDS[bound].critic(agent.model.core.stoch, agent.config.model.embed, 11)
    agent.model_losses = torch.compile(agent.model.losses, backend="aot_eager")
    rows, _ = make_replay().sample(5, 7)
    losses, _, _ = agent.model_losses(rows, rows["reward"])
    losses["information"].mean().backward()
    assert all(parameter.grad is not None for parameter in agent.model.critic.parameters())


@pytest.mark.parametrize(("name", "scorer"), [("infopower-plus", "critic"), ("r2", "projection")])
def test_scores_are_not_rounded(name: str, scorer: str) -> None:
    agent, kinds = make_agent(name), set()
    agent.config = replace(agent.config, precision="bfloat16")
    getattr(agent.model, scorer).register_forward_hook(lambda module, given, found: kinds.add(found.dtype))
    agent.update(make_replay())
    assert kinds == {torch.float32}


@pytest.mark.parametrize("name", ["infopower", "r2"])
def test_what_is_compiled_computes_the_same(name: str) -> None:
    """Traced as for the compiler, and then run as it was traced: that needs no compiler of C++."""
    plain, agent = make_agent(name), make_agent(name)
    agent.model_losses = torch.compile(agent.model.losses, backend="eager")
    agent.imagined = torch.compile(agent.imagine, backend="eager")
    expected, found = losses_of(plain), losses_of(agent)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, msg=key)


@pytest.mark.parametrize("posterior", ["observation", "recurrent"])
def test_what_is_imagined_is_compiled_whole(posterior: str) -> None:
    """As one graph, however many steps there are."""
    agent, graphs = make_agent("infopower", posterior=posterior), list[int]()

    def backend(module: torch.fx.GraphModule, example: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(len(module.graph.nodes))
        return module.forward

    rows, _ = make_replay().sample(5, 7)
    trace = agent.model.observe(rows)
    torch.compile(agent.imagine, backend=backend)(trace, rows)
    assert len(graphs) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told to keep memory")
def test_freed_memory_is_used_again() -> None:
    """A page of fresh memory costs a fault when it is first written."""
    pages = 2**24 * 4 // resource.getpagesize()  # of the tensor below

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(2**24)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    keep_memory()
    for _ in range(16):  # until the seven places of glibc's cache for the crumbs of aligned memory are taken
        faults()
    assert faults() < pages / 10
