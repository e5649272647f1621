"""Runs `avkd prepare` or `avkd predict` in parts on a Ray cluster; needs `pip install 'avkd[ray]'`.

Usage: python scripts/on_ray.py PARTS CPUS prepare|predict ...
  PARTS  into how many parts the files are dealt (--shard i/PARTS)
  CPUS   of one part; give the verb as many --workers
RAY_ADDRESS names the cluster; unset = this machine. All machines see the same files and the same
--out. A part whose machine dies is begun again and goes on where it was (predict: with --resume
true), and so may anything else: a SLURM array, one process without --shard.
"""

import subprocess
import sys

import ray
from tqdm import tqdm

SKIPPED, NOTHING_USABLE = 3, 4  # exit codes of a part that is done
TRIES = 4  # of a part, all machines together


def main(parts: int, cpus: int, arguments: list[str]) -> int:
    """Run all parts; the exit code is the gravest of theirs."""
    run = ray.remote(num_cpus=cpus, max_retries=TRIES - 1)(run_part)
    ray.init(log_to_driver=False, include_dashboard=False)
    waiting = [run.remote(arguments, index, parts) for index in range(parts)]
    codes = []
    with tqdm(total=parts, desc=f"avkd {arguments[0]}", unit="part") as progress:
        while waiting:
            done, waiting = ray.wait(waiting)
            for part, code, said in ray.get(done):
                codes.append(code)
                progress.update()
                if code not in (0, SKIPPED, NOTHING_USABLE):
                    progress.write(f"part {part}/{parts} ended with {code}: {said}", sys.stderr)
    failed = [code for code in codes if code not in (0, SKIPPED, NOTHING_USABLE)]
    return max(failed, default=SKIPPED if any(codes) else 0)


def run_part(arguments: list[str], index: int, parts: int) -> tuple[int, int, str]:
    """One part: which, its exit code and the last it said."""
    command = [sys.executable, "-m", "avkd", *arguments, "--shard", f"{index}/{parts}"]
    done = subprocess.run(command, capture_output=True, text=True)
    return index, done.returncode, done.stderr.strip()[-2000:]


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[3] not in ("prepare", "predict"):
        sys.exit(__doc__)
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
