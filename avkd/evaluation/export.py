"""`avkd export`: a trained detector as an ONNX file, kept only if it judges as the original does.

In fp32 the logits must agree; in int8 (activations and weights of 8 bits, their ranges seen on
validation files) what that costs is measured on validation files and written into the file.
"""

import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avkd import durable, runtime
from avkd.config.evaluation_config import ExportConfig
from avkd.data.clip_items import ClipItem
from avkd.data.datasets import WindowClips
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch
from avkd.evaluation.evaluate import UNCALIBRATED
from avkd.evaluation.recalibrate import validation_items
from avkd.evaluation.validation import Validation
from avkd.models import onnx_file, starter
from avkd.models.model_file import load_detector
from avkd.models.model_header import ModelHeader
from avkd.models.onnx_file import INPUTS, OUTPUTS, OnnxDetector
from avkd.outcome import Bug, ExitCode, Outcome
from avkd.runtime import Runtime

MAX_LOGIT_DIFFERENCE = 1e-3
"""Between torch and the exported network in fp32."""
_OPSET = 17
_COMPARED_FRAMES, _FEWEST_CLIPS = 128, 16
_MADE_UP_CLIPS = 4


class _OfTensors(nn.Module):
    """A detector that answers with the tensors of its output, without those that are None."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *views: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor for tensor in self.model(*views) if tensor is not None)


def export(config: ExportConfig) -> Outcome:
    """`avkd export`.

    Raises:
        ModelFileError: the model file is no detector, or damaged.
        ModuleNotFoundError: onnx or onnxruntime is not installed; the message says how to get it.
        ValueError: the network cannot be exported to ONNX, the corpora do not fit it, or its AUC
            falls by more than allowed; nothing is written.
        Bug: the exported network does not judge as the original does; nothing is written.
    """
    machine = runtime.start(device="cpu", threads=config.threads)
    model, header = load_detector(config.model)
    seen = header.input_of(ModelInput.read, config.model)
    items, missing, _ = validation_items(config.model, config.data, header, seen)
    if config.precision == "int8" and len({item.sample.label for item in items}) < 2:
        raise ValueError("data: its validation files are of one class only, so there is no AUC")
    body = _as_onnx(model, header, config)
    seen_clips = list(_of_files(items, seen))
    views = [*_made_up(header, config.batch), *seen_clips]
    facts: dict[str, Any] = {
        "exported_from": header.sha256,
        "starter": str(config.model) if starter.is_starter(config.model) else None,
        "precision": config.precision,
        "batch": config.batch,
        "fp32_clips_compared": sum(len(clip) for clip, *_ in views),
        "fp32_max_logit_difference": _checked_difference(model, body, config, views),
    }
    text = f"largest difference of a logit in fp32: {facts['fp32_max_logit_difference']:.1e}"
    if config.precision == "int8":
        body = _quantised(body, seen_clips)
        int8 = OnnxDetector(onnx_file.run_of(body), batch=config.batch)
        facts |= _cost(model, int8, header, items, seen, machine, config)
        text += "\n" + _in_words(facts)
        if facts["auc_loss"] > config.max_auc_loss:
            raise ValueError(
                f"{_in_words(facts)}; more than the {config.max_auc_loss:g} allowed: give more "
                "validation files, --precision fp32, or allow it with --max_auc_loss"
            )
    provenance = {**header.provenance, "export": facts}
    with durable.replacing(config.out) as temporary:
        temporary.write_bytes(
            onnx_file.finished(body, replace(header, provenance=provenance, sha256=""))
        )
        onnx_file.load(temporary)
    text += f"\nwrote {config.out}"
    if missing:
        text += f"\n{missing} further validation files were not prepared and took no part"
    return Outcome(text, ExitCode.SOME_SKIPPED if missing else ExitCode.DONE)


def _as_onnx(model: nn.Module, header: ModelHeader, config: ExportConfig) -> bytes:
    """The network in fp32, for any number of clips unless ``config.batch`` fixes it.

    Raises:
        ValueError: it has an operation that ONNX lacks.
    """
    with onnx_file.needing("export"):
        import onnx
        import torch.onnx
    views = onnx_file.made_up_views(header.preprocessing, config.batch or 2)
    traced = _OfTensors(model).eval()
    with torch.no_grad():
        outputs = OUTPUTS[: len(traced(*views))]
    names = [*INPUTS[: len(views)], *outputs]
    with tempfile.TemporaryDirectory(prefix="avkd-export-") as folder, warnings.catch_warnings():
        path = Path(folder, "plain.onnx")
        warnings.simplefilter("ignore")  # tracing warns of every size that it takes for fixed
        try:
            torch.onnx.export(
                traced,
                views,
                path,
                input_names=names[: len(views)],
                output_names=list(outputs),
                dynamic_axes=None if config.batch else {name: {0: "batch"} for name in names},
                opset_version=_OPSET,
                # Says the same as the newer exporter in a quarter of the time and needs no other
                # package; that torch from 2.6 to 2.14 has it was looked up.
                dynamo=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{config.model}: cannot be exported to ONNX: {reason}") from error
        message = onnx.load(path)
    for node in message.graph.node:
        # The value of a Pad, left out by an empty name, would keep onnxruntime from making it part
        # of its convolution: in int8 it was two thirds of the time.
        while node.input and not node.input[-1]:
            del node.input[-1]
    content: bytes = message.SerializeToString()
    return content


def _made_up(header: ModelHeader, batch: int | None) -> Iterator[tuple[Tensor, ...]]:
    """Batches of noise of several sizes, as far as the file allows them."""
    sizes = [batch] if batch else range(1, _MADE_UP_CLIPS)
    for seed, size in enumerate(sizes):
        yield onnx_file.made_up_views(header.preprocessing, size, seed)


def _of_files(items: Sequence[ClipItem], seen: ModelInput) -> Iterator[tuple[Tensor, ...]]:
    """Single clips, evenly over all windows of all files; damaged ones left out."""
    clips = WindowClips(items, seen)
    count = min(len(clips), max(_FEWEST_CLIPS, _COMPARED_FRAMES // seen.clip_frames))
    for place in np.linspace(0, len(clips) - 1, count).round().astype(int):
        batch, _, _ = clips[int(place)]
        if isinstance(batch, ClipBatch):
            yield seen.see(batch, batch.student)


def _checked_difference(
    model: nn.Module, body: bytes, config: ExportConfig, views: Iterable[tuple[Tensor, ...]]
) -> float:
    """The largest difference of a logit.

    Raises:
        Bug: it is too large.
    """
    exported = OnnxDetector(onnx_file.run_of(body), batch=config.batch)
    with torch.no_grad():
        found = [(model(*given).logit - exported(*given).logit).abs().max() for given in views]
    largest = float(torch.stack(found).max())
    if not largest <= MAX_LOGIT_DIFFERENCE:
        raise Bug(
            f"{config.model}: in ONNX its logits differ by up to {largest:.2g}, more than "
            f"{MAX_LOGIT_DIFFERENCE:g}; nothing was written; please report this"
        )
    return largest


def _quantised(body: bytes, clips: Sequence[tuple[Tensor, ...]]) -> bytes:
    """The network with weights and activations of 8 bits, their ranges as seen on the clips."""
    with onnx_file.needing("export"):
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

    class Clips(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(clips)

        def get_next(self) -> dict[str, np.ndarray] | None:
            views = next(self._left, None)
            if views is None:
                return None
            return {n: view.numpy() for n, view in zip(INPUTS, views, strict=False)}

    with tempfile.TemporaryDirectory(prefix="avkd-export-") as folder:
        plain, prepared, small = (Path(folder, f"{n}.onnx") for n in ("plain", "prepared", "int8"))
        plain.write_bytes(body)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(small),
            Clips(),
            per_channel=True,
            # Of all pairs the one that onnxruntime computes fast on x86 (VNNI).
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return small.read_bytes()


def _cost(
    model: nn.Module,
    int8: nn.Module,
    header: ModelHeader,
    items: Sequence[ClipItem],
    seen: ModelInput,
    machine: Runtime,
    config: ExportConfig,
) -> dict[str, Any]:
    """What 8 bits do to the scores of the validation files."""
    rule = header.decision or UNCALIBRATED
    scored = [
        replace(
            Validation.of(
                one, items, seen, machine, batch_size=config.batch_size, show_progress=True
            ),
            pooling=rule.pooling,
        )
        for one in (model, int8)
    ]
    (labels, before), (_, after) = (one.labels_and_logits for one in scored)
    aucs = [one.values()["video_auc"] for one in scored]
    drift = np.abs(after - before)
    changed = [rule.decide(a) != rule.decide(b) for a, b in zip(before, after, strict=True)]
    return {
        "datasets": sorted({item.sample.dataset for item in items}),
        "files": len(labels),
        "auc_fp32": aucs[0],
        "auc_int8": aucs[1],
        "auc_loss": aucs[0] - aucs[1],
        "mean_logit_drift": float(drift.mean()),
        "max_logit_drift": float(drift.max()),
        "logit_deviation": float(before.std()),
        "changed_decisions": sum(changed),
    }


def _in_words(facts: Mapping[str, Any]) -> str:
    return (
        f"int8 on {facts['files']} validation files of {', '.join(facts['datasets'])} (which also "
        f"gave its ranges): AUC {facts['auc_fp32']:.4f} before, {facts['auc_int8']:.4f} after, a "
        f"loss of {facts['auc_loss']:.4f}; logits drift by {facts['mean_logit_drift']:.3f} on "
        f"average, {facts['max_logit_drift']:.3f} at most (their deviation is "
        f"{facts['logit_deviation']:.3f}); {facts['changed_decisions']} decisions change"
    )
