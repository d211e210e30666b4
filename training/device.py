"""Which device computes, and in which precision."""

import torch

from embedding.errors import DataInvalid

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_device(name: str, *, local_rank: int = 0) -> torch.device:
    """The device of that name; ``auto`` is this rank's GPU if there is one, else the CPU.

    Raises:
        DataInvalid: a name that torch does not know, or a GPU that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DataInvalid(f"no device {name!r}; known: auto, cpu, cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise DataInvalid(f"no device {name!r}; known: auto, cpu, cuda")
    if device.type == "cuda":
        if not torch.cuda.device_count():
            raise DataInvalid("no GPU is found here; set device=cpu")
        if device.index is None:
            device = torch.device("cuda", local_rank)
        if device.index >= torch.cuda.device_count():
            raise DataInvalid(
                f"{torch.cuda.device_count()} GPUs are found here, {device} is not among them; "
                "start as many processes as there are GPUs"
            )
        torch.cuda.set_device(device)
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """float32 or bfloat16; ``auto`` is bfloat16 where the hardware computes it natively.

    Elsewhere bfloat16 is emulated, and slower than float32.

    Raises:
        DataInvalid: for a name that is not known.
    """
    if name == "auto":
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    if name not in PRECISIONS:
        raise DataInvalid(f"no precision {name!r}; known: auto, {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities()
    return bool(known.get("amx_bf16") or known.get("avx512_bf16"))


def head_precision(name: str, run: torch.dtype, device: torch.device) -> torch.dtype:
    """Of products with class centres: ``auto`` is the run's on a GPU and float32 on a CPU."""
    if name == "auto":
        return run if device.type == "cuda" else torch.float32
    return choose_precision(name, device)
