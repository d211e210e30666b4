"""Which device and which precision a name stands for."""

from pathlib import Path

import pytest
import torch

from embedding.errors import DataInvalid
from training.device import choose_device, choose_precision, head_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
HAS_GPU = torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="needs a GPU, and torch finds none")


def test_the_cpu_can_be_asked_for() -> None:
    """Whatever else there is."""
    assert choose_device("cpu") == CPU


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU here")
def test_without_a_gpu_the_cpu_computes() -> None:
    """That is what auto means."""
    assert choose_device("auto", local_rank=3) == CPU


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU here")
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_a_gpu_that_is_not_there_is_refused(name: str) -> None:
    """The message says what to set instead."""
    with pytest.raises(DataInvalid, match="no GPU is found here; set device=cpu"):
        choose_device(name)


@pytest.mark.parametrize("name", ["gpu", "tpu", "", "cpu:x", "Auto", "meta", "mps"])
def test_an_unknown_device_is_refused(name: str) -> None:
    """Before a network is built; the message names the known ones."""
    with pytest.raises(DataInvalid, match=f"no device '{name}'; known: auto, cpu, cuda"):
        choose_device(name)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_rank_takes_its_own_gpu(name: str) -> None:
    """By its number on this machine."""
    last = torch.cuda.device_count() - 1
    assert choose_device(name, local_rank=last) == torch.device("cuda", last)
    assert torch.cuda.current_device() == last


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_beyond_the_last_is_refused() -> None:
    """As one that is not there."""
    with pytest.raises(DataInvalid):
        choose_device(f"cuda:{torch.cuda.device_count()}")


@pytest.mark.parametrize(
    ("name", "expected"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
@pytest.mark.parametrize("device", [CPU, CUDA], ids=["cpu", "cuda"])
def test_a_precision_can_be_asked_for(
    name: str, expected: torch.dtype, device: torch.device
) -> None:
    """The same on every device."""
    assert choose_precision(name, device) == expected


@pytest.mark.parametrize("name", ["float16", "bf16", "", "double"])
def test_an_unknown_precision_is_refused(name: str) -> None:
    """The message names the known ones."""
    with pytest.raises(
        DataInvalid, match=f"no precision '{name}'; known: auto, float32, bfloat16"
    ):
        choose_precision(name, CPU)


def test_auto_is_bfloat16_where_the_processor_computes_it() -> None:
    """As the kernel tells; emulated it would be slower than float32."""
    file = Path("/proc/cpuinfo")
    if not file.is_file():
        pytest.skip("needs /proc/cpuinfo, which Linux has")
    flags = set(file.read_text().split())
    is_native = bool(flags & {"avx512_bf16", "amx_bf16"})
    expected = torch.bfloat16 if is_native else torch.float32
    assert choose_precision("auto", CPU) == expected


@pytest.mark.parametrize("run", [torch.float32, torch.bfloat16])
def test_the_head_follows_the_run_on_a_gpu_alone(run: torch.dtype) -> None:
    """A CPU multiplies float32 faster, even in a run of bfloat16."""
    assert head_precision("auto", run, CUDA) == run
    assert head_precision("auto", run, CPU) == torch.float32


def test_the_precision_of_the_head_can_be_asked_for() -> None:
    """On every device, whatever the run has."""
    assert head_precision("bfloat16", torch.float32, CPU) == torch.bfloat16
    assert head_precision("float32", torch.bfloat16, CUDA) == torch.float32
    with pytest.raises(DataInvalid, match="no precision 'half'"):
        head_precision("half", torch.float32, CPU)
