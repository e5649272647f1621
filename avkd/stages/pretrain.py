"""Stage one: on real talking faces, each modality's student predicts the other's teacher.

No labels, no negatives (RealForensics, Haliassos et al. 2022, section 3). Because a low loss can be
fake (a code of the frame index alone satisfies it), held-out meters decide whether the result is
worth keeping: a model at chance retrieval is not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avkd import runtime
from avkd.config.load import to_yaml
from avkd.config.training_config import PretrainConfig
from avkd.data import audio_features, build, transforms, view_strip
from avkd.data.datasets import ClipItem, TrainingClips, WindowClips, training_loader
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch, ShuffledBatches
from avkd.models.build import build_cross_modal_network
from avkd.models.cross_modal_network import CrossModalNetwork
from avkd.models.model_file import save_model
from avkd.objectives import representation_health as health
from avkd.objectives.agreement import center_per_step, negative_cosine
from avkd.outcome import ExitCode, Outcome
from avkd.runtime import Runtime
from avkd.training import optim
from avkd.training.loop import StepOutput
from avkd.training.run import plan_of, train
from avkd.training.run_log import RunLog

_ALARMING_POSITION_SHARE = 0.5
_CLIPS_IN_PICTURE = 4


class PretrainStep(nn.Module):
    """Both cross-modal losses on one batch of clips with sound."""

    def __init__(self, network: CrossModalNetwork, config: PretrainConfig) -> None:
        super().__init__()
        self.network = network
        self.config = config

    def forward(self, batch: ClipBatch) -> StepOutput:
        """Both students lose the same instants; the teachers see them."""
        mel = _log_mel(batch)
        size = self.config.video.image_size
        output = self.network(
            transforms.apply_video(batch.frames, batch.student, size),
            transforms.apply_video(batch.frames, batch.teacher, size),
            transforms.apply_audio(mel, batch.student),
            mel,
        )
        video_loss = self._loss(output.video_prediction, output.audio_target)
        audio_loss = self._loss(output.audio_prediction, output.video_target)
        terms = {
            "loss/video_predicts_audio": video_loss,
            "loss/audio_predicts_video": audio_loss,
            "targets/video_spread": torch.tensor(health.target_spread(output.video_target)),
            "targets/audio_spread": torch.tensor(health.target_spread(output.audio_target)),
        }
        return StepOutput(video_loss + audio_loss, terms)

    def parameter_groups(self) -> list[optim.ParameterGroup]:
        """Everything follows the schedule but the predictors, which keep the base rate."""
        groups = []
        for name in ("video_student", "audio_student"):
            student = getattr(self.network, name)
            for part in ("encoder", "projector", "predictor"):
                module = getattr(student, part)
                groups += optim.groups_of(module, f"{name}_{part}", scheduled=part != "predictor")
        return groups

    def after_update(self, progress: float) -> None:
        """The teachers follow."""
        self.network.update_teachers(self.config.momentum(progress))

    def _loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        if self.config.target_center == "per_step":
            target = center_per_step(target)
        return negative_cosine(prediction, target)


def pretrain(config: PretrainConfig) -> Outcome:
    """Run stage one; leaves the run folder with ``model.safetensors`` if it learnt something.

    Raises:
        ValueError: the data hold no usable clip with sound, or settings do not fit.
        FileExistsError: the run folder holds a run and ``resume`` is not set.
    """
    machine = runtime.start(
        device=config.loop.device, precision=config.loop.precision, threads=config.loop.threads
    )
    runtime.seed_everything(config.loop.seed)
    data = build.pretrain_data(config)
    batches = ShuffledBatches(len(data.training), config.loop.batch_size, config.loop.seed)
    arguments = _arguments(config)
    step = PretrainStep(build_cross_modal_network(**arguments), config).to(machine.device)
    plan = plan_of(config.optim, config.loop, len(batches), select="retrieval_at_1")

    loader = training_loader(
        data.training,
        batches,
        workers=config.loop.workers,
        pin_memory=machine.device.type == "cuda",
    )

    def validate(log: RunLog, steps: int) -> Mapping[str, float]:
        values = measure(step, data.validation, data.training.model_input, machine)
        log.image(steps - 1, "views/student", _picture(step, data.training, machine))
        if values["position_only_share"] > _ALARMING_POSITION_SHARE and _at_chance(values, 1):
            log.say("the targets encode the frame index, not content: set --target_center per_step")
        return values

    train(
        step,
        plan,
        folder=config.run,
        config_yaml=to_yaml(config),
        continued=config.resume,
        machine=machine,
        batches=loader,
        validate=validate,
    )
    values = measure(step, data.validation, data.training.model_input, machine)
    return _export(config, step, arguments, data, values)


@torch.no_grad()
def measure(
    step: PretrainStep, items: list[ClipItem], model_input: ModelInput, machine: Runtime
) -> dict[str, float]:
    """Held-out meters on one middle clip of each item, clean views (see `representation_health`).

    Retrieval among all clips may use who speaks; ``retrieval_same_identity`` is among clips of the
    same speaker, where only what is said can tell them apart.
    """
    predictions: dict[str, list[Tensor]] = {"video": [], "audio": []}
    targets: dict[str, list[Tensor]] = {"video": [], "audio": []}
    clips = WindowClips(items, model_input, with_sound=True, only_middle=True)
    for batch, _ in clips.batches(step.config.loop.batch_size):
        batch = batch.to(machine.device)
        (view,) = model_input.see(batch, batch.student)
        mel = _log_mel(batch)
        with machine.autocast():
            output = step.network(view, view, mel, mel)
        predictions["video"].append(output.video_prediction.float().cpu())
        predictions["audio"].append(output.audio_prediction.float().cpu())
        targets["video"].append(output.video_target.float().cpu())
        targets["audio"].append(output.audio_target.float().cpu())
    video, audio = (torch.cat(predictions[name]) for name in ("video", "audio"))
    video_target, audio_target = (torch.cat(targets[name]) for name in ("video", "audio"))
    speakers = [next(iter(item.sample.identities), None) for item in items]
    values = {
        "loss_video": negative_cosine(video, audio_target).item(),
        "loss_audio": negative_cosine(audio, video_target).item(),
        "retrieval_at_1": 0.5
        * (health.retrieval_at_1(video, audio_target) + health.retrieval_at_1(audio, video_target)),
        "retrieval_chance": 1.0 / len(items),
        "alignment_error_frames": health.alignment_error_frames(video, audio_target),
        "position_only_share": max(
            health.position_only_share(video_target), health.position_only_share(audio_target)
        ),
        "target_spread": min(
            health.target_spread(video_target), health.target_spread(audio_target)
        ),
        "num_clips": float(len(items)),
    }
    same = health.retrieval_within_groups(video, audio_target, speakers)
    if same is not None:
        values["retrieval_same_identity"], values["retrieval_same_identity_chance"] = same
    return values


def _arguments(config: PretrainConfig) -> dict[str, Any]:
    return {
        "video": config.video.arguments(),
        "audio": {"name": "resnet18", "width": config.audio_width},
        "projection_dim": config.projection_dim,
        "predictor_dim": config.predictor_dim,
    }


def _export(
    config: PretrainConfig,
    step: PretrainStep,
    arguments: dict[str, Any],
    data: build.PretrainData,
    values: dict[str, float],
) -> Outcome:
    """Write the model file, unless the meters say that nothing was learnt."""
    found = (
        f"held-out retrieval@1 {values['retrieval_at_1']:.3f} over {values['num_clips']:.0f} clips "
        f"(chance {values['retrieval_chance']:.3f}), "
        f"position-only share {values['position_only_share']:.2f}"
    )
    num_looks = -(-config.loop.epochs // config.loop.validate_every_epochs)
    if _at_chance(values, num_looks) and not config.force:
        return Outcome(
            f"{found}: at chance, so no model file was written. Train longer or on more clips; "
            "--resume --force writes it all the same",
            ExitCode.NOTHING_USABLE,
        )
    path = config.run / "model.safetensors"
    save_model(
        path,
        step.network,
        kind="cross_modal",
        arguments=arguments,
        preprocessing={
            **data.training.model_input.describe(),
            **audio_features.preprocessing(),
        },
        provenance={**data.provenance, "seed": config.loop.seed, "validation": values},
    )
    return Outcome(f"{found}\nwrote {path}")


def _at_chance(values: Mapping[str, float], num_looks: int) -> bool:
    bound = health.retrieval_chance_bound(round(values["num_clips"]), num_looks)
    return values["retrieval_at_1"] <= bound


def _picture(step: PretrainStep, clips: TrainingClips, machine: Runtime) -> np.ndarray:
    """What the student sees of a few training clips of epoch 0."""
    batch = clips.first_clips(_CLIPS_IN_PICTURE).to(machine.device)
    (seen,) = clips.model_input.see(batch, batch.student)
    masks = transforms.run_mask(batch.student.time_mask, seen.shape[2])
    importance = step.network.video_student.encoder(seen).importance
    return view_strip.draw_strip(seen, masks, importance)


def _log_mel(batch: ClipBatch) -> Tensor:
    assert batch.waveform is not None
    return audio_features.log_mel(batch.waveform.float() / 32768.0)
