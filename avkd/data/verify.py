"""`avkd verify`: whether every stored track still is what it was when it was written."""

from tqdm import tqdm

from avkd.config.data_config import VerifyConfig
from avkd.data.crops.crop_store import CropStore
from avkd.outcome import ExitCode, Outcome


def run_verify(config: VerifyConfig) -> Outcome:
    """Read every record of every corpus and hold it against its digest.

    Returns:
        How many there are, and the damaged ones; `ExitCode.NOTHING_USABLE` if there are any.

    Raises:
        FileNotFoundError: a folder holds no prepared corpus.
    """
    lines, num_damaged = [], 0
    for folder in config.data:
        store = CropStore(folder)
        paths = store.paths()
        progress = tqdm(paths, desc="verify", unit="track")
        damaged = [path for path in progress if not store.verify(path)]
        num_damaged += len(damaged)
        lines.append(f"{folder}: {len(paths)} tracks, {len(damaged)} damaged")
        lines += [f"  {path} in {folder / 'shards' / store.row(path).shard}" for path in damaged]
    if num_damaged:
        lines.append("copy the shards again, or prepare the corpora anew in other folders")
    code = ExitCode.NOTHING_USABLE if num_damaged else ExitCode.DONE
    return Outcome("\n".join(lines), code)
