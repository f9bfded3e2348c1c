"""GPUs by what their makers publish, and the share of it that training is taken to reach.

Rates are dense tensor-core rates for 16 bits and for TF32 (``--matmul-precision high``; a V100 has none), and
the plain rate for 32 bits, as torch multiplies matrices by default; of the data sheets of V100 SXM2 (2020),
A100 SXM 80 GB (2021), H100 SXM (2023) and H200 SXM (2024).
Nothing here was measured.
"""

from dataclasses import dataclass

TERA, GIGA = 10**12, 10**9


@dataclass(frozen=True)
class Device:
    """Operations a second (a multiply-add is two) in 16 bits, TF32 and 32 bits, and bytes of memory."""

    name: str
    sixteen_bits: float
    tf32: float
    thirty_two_bits: float
    memory: int

    def multiply_adds(self, halved: bool, tf32: bool = False) -> float:
        """Multiply-adds a second at the published peak."""
        if halved:
            return self.sixteen_bits / 2
        return (self.tf32 if tf32 else self.thirty_two_bits) / 2


DEVICES = {
    one.name: one
    for one in (
        Device("v100", 125 * TERA, 15.7 * TERA, 15.7 * TERA, 32 * GIGA),
        Device("a100", 312 * TERA, 156 * TERA, 19.5 * TERA, 80 * GIGA),
        Device("h100", 989 * TERA, 494.5 * TERA, 67 * TERA, 80 * GIGA),
        Device("h200", 989 * TERA, 494.5 * TERA, 67 * TERA, 141 * GIGA),
    )
}
DEFAULT = "a100"
UTILISATION = 0.3
