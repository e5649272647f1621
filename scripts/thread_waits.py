"""How fast is a training step, by how its threads wait for each other? For a busy machine.

Usage: python scripts/thread_waits.py [ROUNDS]
A step of a small 3D network with two threads, each setting in a process of its own, in turn; one
line each: setting, steps a second, steps a CPU second, load of the machine.
"""

import os
import subprocess
import sys

SETTINGS = {
    "default": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spin 1000": {"GOMP_SPINCOUNT": "1000"},
    "spin 10000": {"GOMP_SPINCOUNT": "10000"},
}
STEPS = """
import time, torch
from torch import nn
torch.set_num_threads(2)
torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv3d(3, 8, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(8), nn.ReLU(),
    nn.Conv3d(8, 16, 3, stride=(1, 2, 2), padding=1), nn.ReLU(),
    nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 1),
)
clips = torch.randn(4, 3, 25, 32, 32)
optimizer = torch.optim.SGD(network.parameters(), 1e-3)
def step():
    optimizer.zero_grad()
    network(clips).square().mean().backward()
    optimizer.step()
for _ in range(3):
    step()
wall, cpu, number = time.monotonic(), time.process_time(), 0
while time.monotonic() - wall < 12:
    step()
    number += 1
print(f"{number / (time.monotonic() - wall):.2f} {number / (time.process_time() - cpu):.1f}")
"""


def main(rounds: int = 3) -> None:
    """Print a line for each round and setting."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("OMP", "GOMP"))}
    for number in range(rounds):
        names = [*SETTINGS][number % 4 :] + [*SETTINGS][: number % 4]
        for name in names:
            environment = {**plain, **SETTINGS[name]}
            command = [sys.executable, "-c", STEPS]
            told = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            print(name, told.stdout.decode().strip(), f"{os.getloadavg()[0]:.0f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        raise SystemExit(__doc__)
    main(*map(int, sys.argv[1:]))
