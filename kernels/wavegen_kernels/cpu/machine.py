"""What the processor that Numba compiles for can do, and which sources were compiled for it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from llvmlite import binding
from numba.core.registry import cpu_target

_PROBE = """
define <16 x float> @probe(<16 x float> %x) {
  %y = fadd <16 x float> %x, %x
  ret <16 x float> %y
}
"""


def target() -> tuple[str, str, str]:
    """Triple, processor and features that Numba compiles for; NUMBA_CPU_NAME and
    NUMBA_CPU_FEATURES change the last two."""
    context: Any = cpu_target.target_context
    return context.codegen().magic_tuple()


def assembly(ir: str, triple: str = "", processor: str = "", features: str = "") -> str:
    """The machine code of LLVM's text, readable; for Numba's target where no other is named."""
    if not triple:
        triple, processor, features = target()
    machine = binding.Target.from_triple(triple).create_target_machine(
        cpu=processor, features=features, opt=3
    )
    return machine.emit_assembly(binding.parse_assembly(ir))


@cache
def lanes() -> int:
    """float32 numbers in the widest vector: 16 (AVX-512), 8 (AVX2) or 4 (SSE2, Arm).

    Seen in what LLVM makes of an addition: a list of features may be empty, because the
    processor's name already implies them.
    """
    code = assembly(_PROBE)
    return 16 if "zmm" in code else 8 if "ymm" in code else 4


@cache
def many_registers() -> bool:
    """Whether there are 32 vector registers (AVX-512, Arm) instead of 16."""
    return lanes() == 16 or not target()[0].startswith(("x86", "i"))


@cache
def dot_product() -> str | None:
    """LLVM's name of the integer dot product (four int8 products a lane); None: there is none."""
    features = target()[2].split(",")
    if "+avx512vnni" in features and lanes() == 16:
        return "llvm.x86.avx512.vpdpbusd.512"
    if ("+avxvnni" in features or "+avx512vnni" in features) and lanes() == 8:
        return "llvm.x86.avx512.vpdpbusd.256"
    return None


@cache
def fingerprint() -> str:
    """Hash of all sources that are compiled into the loop."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources())).hexdigest()[:16]


def sources() -> list[Path]:
    """The files whose code or constants are compiled into the loop."""
    here = Path(__file__).parent
    others = (
        here.parent / name for name in ("predictor.py", "random.py", "steering.py", "weights.py")
    )
    return [*sorted(here.glob("*.py")), *others]
