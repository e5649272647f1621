"""Students, teachers, and how the teachers follow."""

import copy

import pytest
import torch
from torch import nn

from avkd.models.build import build_cross_modal_network

VIDEO = {"name": "cnn3d_gru", "width": 4, "reduced": 4, "hidden": 8, "heads": 2, "image_size": 16}
AUDIO = {"name": "resnet18", "width": 4}


def network():
    torch.manual_seed(0)
    return build_cross_modal_network(
        video=VIDEO, audio=AUDIO, projection_dim=6, predictor_dim=8, predictor_heads=2
    )


def batch():
    clip, mel = torch.randn(4, 3, 5, 16, 16), torch.randn(4, 1, 20, 80)
    return clip, clip.flip(-1), mel * 0.5, mel


def teacher_parameters(model):
    return {n: p for n, p in model.named_parameters() if "teacher" in n}


def student_of(model, teacher_name):
    return model.get_parameter(teacher_name.replace("teacher", "student"))


def disturb_students(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "student" in name:
                parameter.add_(torch.randn_like(parameter))


def test_teachers_begin_as_the_students():
    model = network()
    parameters = teacher_parameters(model)
    assert parameters
    assert all(torch.equal(p, student_of(model, n)) for n, p in parameters.items())
    assert not any(p.requires_grad for p in parameters.values())


def test_targets_are_what_the_teachers_make_of_the_teacher_views():
    model = network().eval()
    views = [view.clone().requires_grad_() for view in batch()]
    output = model(*views)
    assert torch.equal(output.video_target, model.video_teacher(views[1]))
    assert torch.equal(output.audio_target, model.audio_teacher(views[3]))
    assert torch.equal(output.video_prediction, model.video_student(views[0])[1])
    assert torch.equal(output.audio_prediction, model.audio_student(views[2]))
    assert not output.video_target.requires_grad and not output.audio_target.requires_grad


def test_each_prediction_trains_its_own_modality_only():
    model = network()
    model(*batch()).video_prediction.square().mean().backward()
    touched = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None}
    assert touched == {"video_student"}


def test_teachers_follow_in_closed_form_and_in_place():
    """After n updates towards a resting student: beta^n teacher + (1 - beta^n) student."""
    model = network()
    disturb_students(model)
    start = {n: p.clone() for n, p in teacher_parameters(model).items()}
    addresses = {n: p.data_ptr() for n, p in teacher_parameters(model).items()}
    buffers = {n: b.clone() for n, b in model.named_buffers() if "teacher" in n}
    assert buffers
    for _ in range(7):
        model.update_teachers(0.9)
    for name, parameter in teacher_parameters(model).items():
        expected = 0.9**7 * start[name] + (1 - 0.9**7) * student_of(model, name)
        torch.testing.assert_close(parameter.detach(), expected.detach(), atol=1e-5, rtol=1e-5)
        assert parameter.data_ptr() == addresses[name]
        assert not parameter.requires_grad
    assert all(torch.equal(model.get_buffer(n), b) for n, b in buffers.items())


def test_an_update_leaves_the_students_alone():
    model = network()
    disturb_students(model)
    before = copy.deepcopy(model.video_student.state_dict())
    model.update_teachers(0.5)
    after = model.video_student.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("momentum", [-0.1, 1.1])
def test_a_momentum_that_overshoots_is_our_bug(momentum):
    with pytest.raises(AssertionError, match="outside"):
        network().update_teachers(momentum)


def test_training_teachers_use_batch_statistics_and_keep_their_own_running_ones():
    model = network().train()
    views = batch()
    model(*views)
    teacher_norm = model.video_teacher.projector.norm.norm
    student_norm = model.video_student.projector.norm.norm
    assert int(teacher_norm.num_batches_tracked) == 1
    assert not torch.equal(teacher_norm.running_mean, student_norm.running_mean)
    target = model.video_teacher(views[1])
    torch.testing.assert_close(target.mean(dim=(0, 1)), torch.zeros(6), atol=1e-5, rtol=0)


def test_targets_are_free_of_dropout_noise():
    model = network().train()
    views = batch()
    assert torch.equal(model.video_teacher(views[1]), model.video_teacher(views[1]))
    student_dropout = [m.p for m in model.video_student.modules() if isinstance(m, nn.Dropout)]
    assert student_dropout == [0.1]


def test_a_frozen_teacher_stays_in_evaluation_whatever_its_parent_does():
    """Stage two's targets must not drift with the batch (method 4.3)."""
    teacher = network().video_teacher
    teacher.freeze()
    parent = nn.ModuleList([teacher, nn.Dropout()]).train()
    assert parent.training and not any(part.training for part in teacher.modules())
    before = copy.deepcopy(teacher.state_dict())
    teacher(torch.randn(4, 3, 5, 16, 16))
    after = teacher.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_each_stream_s_targets_are_normalised_by_what_was_noted_of_its_own():
    """The one place where targets are normalised: swapped or left out, a code would pay again."""
    torch.manual_seed(0)
    model = build_cross_modal_network(
        video=VIDEO,
        audio=AUDIO,
        projection_dim=6,
        predictor_dim=8,
        predictor_heads=2,
        target_center="whitened",
    )
    clip, mel = torch.randn(4, 3, 25, 16, 16), torch.randn(4, 1, 100, 80)
    output = model(clip, clip, mel, mel)
    for stream in ("video", "audio"):
        raw = getattr(output, f"{stream}_projection")
        noted = getattr(model, f"{stream}_normalisation")
        assert noted.num_batches == 1
        torch.testing.assert_close(noted.position_mean, raw.mean(dim=0), atol=1e-5, rtol=1e-5)
        found = getattr(output, f"{stream}_target")
        assert found.mean(dim=0).abs().max() < 1e-4 and found.mean(dim=1).abs().max() < 1e-4
        assert not torch.allclose(found, raw)
    state = model.state_dict()
    assert {"video_normalisation.covariance", "audio_normalisation.covariance"} < state.keys()
