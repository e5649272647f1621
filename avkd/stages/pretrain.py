"""Stage one: on real talking faces, each modality's student predicts the other's teacher.

No labels, no negatives (RealForensics, Haliassos et al. 2022, section 3). Because a low loss can be
fake (a code of the frame index alone satisfies it), held-out meters decide whether the result is
worth keeping: a model at chance retrieval is not written.
"""

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from avkd.config.training_config import PretrainConfig
from avkd.data import audio_features, build, transforms
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch, ShuffledBatches
from avkd.evaluation.cross_modal_meters import Places, look, meters_of, random_places
from avkd.evaluation.linear_baseline import linear_baseline
from avkd.losses import representation_health as health
from avkd.losses.agreement import negative_cosine
from avkd.models.build import build_cross_modal_network
from avkd.models.cross_modal_network import CrossModalNetwork
from avkd.models.model_file import save_model
from avkd.outcome import ExitCode, Outcome
from avkd.stages.runner import picture, start_machine, train_stage
from avkd.training import distributed, optim, run_folder
from avkd.training.loop import Plan, StepOutput, TrainingStep
from avkd.training.run import plan_of
from avkd.training.run_log import RunLog

logger = logging.getLogger(__name__)

_ALARMING_POSITION_SHARE = 0.5
_CHARTS = {
    "held-out retrieval@1 with interval, linear baseline, chance": (
        *("retrieval_at_1", "retrieval_low", "retrieval_high"),
        *("linear_baseline", "retrieval_chance"),
    ),
    "among clips of the same speaker": (
        *("retrieval_same_identity", "retrieval_same_identity_chance"),
    ),
}
"""Charts of TensorBoard: which validation values are drawn together."""


class PretrainStep(TrainingStep):
    """Both cross-modal losses on one batch of clips with sound.

    The teachers' momentum follows ``num_steps``, the length of the run.
    """

    def __init__(
        self,
        network: CrossModalNetwork,
        config: PretrainConfig,
        *,
        model_input: ModelInput,
        num_steps: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.model_input = model_input
        self.num_steps = num_steps

    def forward(self, batch: ClipBatch) -> StepOutput:
        """Both students lose the same instants; the teachers see them."""
        assert batch.waveform is not None
        mel = audio_features.log_mel(batch.waveform.float() / 32768.0)
        (student_view,) = self.model_input.see(batch, batch.student)
        (teacher_view,) = self.model_input.see(batch, batch.teacher)
        output = self.network(
            *(student_view, teacher_view, transforms.apply_audio(mel, batch.student), mel),
            gathered=distributed.gathered,
        )
        video_loss = negative_cosine(output.video_prediction, output.audio_target)
        audio_loss = negative_cosine(output.audio_prediction, output.video_target)
        terms = {
            "loss/video_predicts_audio": video_loss,
            "loss/audio_predicts_video": audio_loss,
            "targets/video_spread": health.target_spread(output.video_projection),
            "targets/audio_spread": health.target_spread(output.audio_projection),
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
        self.network.update_teachers(self.config.momentum(progress, self.num_steps))


def pretrain(config: PretrainConfig) -> Outcome:
    """Run stage one; leaves the run folder with ``model.safetensors`` if it learned something.

    Raises:
        ValueError: the data hold no usable clip with sound, or settings do not fit.
        FileExistsError: the run folder holds a run and ``resume`` is not set.
    """
    machine = start_machine(config)
    data = build.pretrain_data(config)
    distributed.told_by_first(lambda: run_folder.check(config.run, config, resume=config.resume))
    model_input = data.training.model_input
    batches = ShuffledBatches(len(data.training), config.loop.batch_size, config.loop.seed)
    plan = plan_of(config.optim, config.loop, len(batches), select="retrieval_at_1")
    arguments = network_arguments(config)
    step = PretrainStep(
        build_cross_modal_network(**arguments),
        config,
        model_input=model_input,
        num_steps=plan.total_steps,
    ).to(machine.device)
    places = random_places(data.validation, config.validation_starts)
    baseline = distributed.told_by_first(lambda: _baseline(data, places))

    def meters() -> dict[str, float]:
        seen = look(
            step.network,
            distributed.chunk_of(data.validation),
            distributed.chunk_of(places),
            model_input=model_input,
            machine=machine,
            batch_size=config.loop.batch_size,
        )
        values = meters_of(distributed.joined(seen), data.validation)
        return {**values, "linear_baseline": baseline}

    def importance(seen: Tensor) -> Tensor | None:
        return step.network.video_student.encoder(seen).importance

    def validate(log: RunLog, steps: int) -> Mapping[str, float]:
        values = meters()
        log.image(steps - 1, "views/student", picture(data.training, machine, importance))
        is_code = values["position_only_share"] > _ALARMING_POSITION_SHARE
        if config.target_center == "none" and is_code and _at_chance(values, 1):
            log.say("the targets encode the frame index, not content: --target_center whitened")
        return values

    train_stage(config, step, plan, data, batches, machine, validate=validate, charts=_CHARTS)
    values = meters()
    if not distributed.is_first():
        return Outcome("")
    return _export(config, plan, step, arguments, data, values)


def _baseline(data: build.StageData, places: Places) -> float:
    """Held-out retrieval@1 of the linear baseline, said aloud."""
    values = linear_baseline(data.training.items, data.validation, places)
    logger.info(
        "linear baseline: held-out retrieval@1 %.3f (chance %.3f); stage one has to beat it",
        values["retrieval_at_1"],
        values["retrieval_chance"],
    )
    return values["retrieval_at_1"]


def network_arguments(config: PretrainConfig) -> dict[str, Any]:
    """Arguments of `build_cross_modal_network`."""
    return {
        "video": config.video.arguments(),
        "audio": {"name": "resnet18", "width": config.audio_width},
        "projection_dim": config.projection_dim,
        "predictor_dim": config.predictor_dim,
        "target_center": config.target_center,
    }


def _export(
    config: PretrainConfig,
    plan: Plan,
    step: PretrainStep,
    arguments: dict[str, Any],
    data: build.StageData,
    values: dict[str, float],
) -> Outcome:
    """Write the model file, unless the meters say that nothing was learned."""
    interval = ""
    if "retrieval_low" in values:
        interval = f" [{values['retrieval_low']:.3f}, {values['retrieval_high']:.3f}]"
    found = (
        f"held-out retrieval@1 {values['retrieval_at_1']:.3f}{interval} over "
        f"{values['num_clips']:.0f} clips (chance {values['retrieval_chance']:.3f}, "
        f"linear baseline {values['linear_baseline']:.3f}), "
        f"position-only share {values['position_only_share']:.2f}"
    )
    if values["retrieval_at_1"] <= values["linear_baseline"]:
        found += (
            "\nno better than the linear baseline (ridge regression from the mouth to the sound): "
            "train longer, on more clips, or with a larger network"
        )
    num_looks = -(-plan.epochs // plan.validate_every_epochs)
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
        preprocessing={**data.training.model_input.describe(), **audio_features.preprocessing()},
        provenance={**data.provenance, "seed": config.loop.seed, "validation": values},
    )
    return Outcome(f"{found}\nwrote {path}")


def _at_chance(values: Mapping[str, float], num_looks: int) -> bool:
    bound = health.retrieval_chance_bound(round(values["num_clips"]), num_looks)
    return values["retrieval_at_1"] <= bound
