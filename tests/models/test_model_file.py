"""A model file rebuilds its network exactly, and a damaged or hostile one is refused by name."""

import json
import os
import pickle
import struct
import tracemalloc

import pytest
import torch
from factories import use_channels_last
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from avkd.models import model_file
from avkd.models.build import (
    build_cross_modal_network,
    build_detector,
    build_network,
)
from avkd.models.calibration import Calibration
from avkd.models.decision import DecisionRule
from avkd.models.model_file import (
    load_model,
    read_header,
    save_model,
)
from avkd.models.weights import ModelFileError, load_fitting, load_strict, round_to_half

VIDEO = {"name": "cnn3d_gru", "width": 4, "reduced": 4, "hidden": 8, "heads": 2, "image_size": 16}
SMALL_HEAD = {"projection_dim": 6, "predictor_dim": 8, "predictor_heads": 2}
DETECTOR = {"video": VIDEO, "pool": "attn", **SMALL_HEAD}
CROSS_MODAL = {"video": VIDEO, "audio": {"name": "resnet18", "width": 2}, **SMALL_HEAD}
NOTES = {"preprocessing": {"input_size": 16, "mean": [0.5, 0.5, 0.5]}, "provenance": {"seed": 3}}
RULE = DecisionRule(
    calibration=Calibration(kind="platt", scale=0.3, offset=0.1),
    threshold_logit=0.2,
    source="validation",
)


class Called(TorchDispatchMode):
    """Notes which operations run."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


@pytest.fixture
def detector_file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    model = build_detector(**DETECTOR)
    save_model(path, model, kind="detector", arguments=DETECTOR, decision=RULE, **NOTES)
    return path


@pytest.fixture
def cross_modal_network():
    torch.manual_seed(0)
    network = build_cross_modal_network(**CROSS_MODAL).train()
    clip, mel = torch.randn(4, 3, 5, 16, 16), torch.randn(4, 1, 20, 80)
    network(clip, clip, mel, mel)  # running statistics that are not the initial ones
    with torch.no_grad():
        for parameter in network.video_student.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    network.update_teachers(0.5)
    return network


@pytest.fixture
def cross_modal_file(tmp_path, cross_modal_network):
    path = tmp_path / "pretrained.safetensors"
    save_model(path, cross_modal_network, kind="cross_modal", arguments=CROSS_MODAL, **NOTES)
    return path


def split(path):
    """The header mapping and the data bytes of a safetensors file."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def edit_values(path, edit):
    """Change the stored avkd header without touching the weights."""
    header, data = split(path)
    values = json.loads(header["__metadata__"]["avkd"])
    edit(values)
    header["__metadata__"]["avkd"] = json.dumps(values)
    join(path, header, data)


def resave(path, edit):
    """Change the weights and sign the file again, as a malicious writer would."""
    tensors = load_file(path)
    edit(tensors)
    values = model_file._header_values(path)
    values["sha256"] = model_file._digest(values, tensors)
    save_file(tensors, path, metadata={"avkd": json.dumps(values)})


def test_no_weights_are_drawn_for_a_network_that_is_loaded(detector_file, cross_modal_file):
    """Drawn on the meta device, they made every worker import torch's compiler for two seconds."""
    with Called() as called:
        load_model(detector_file, kind="detector")
        load_model(cross_modal_file, kind="cross_modal")
    assert called.names and not any("normal_" in name for name in called.names), called.names
    with Called() as called:
        build_detector(**DETECTOR)
    assert "aten::normal_" in called.names


def test_a_loaded_detector_answers_bit_for_bit_and_tells_its_story(detector_file):
    torch.manual_seed(0)
    original = build_detector(**DETECTOR).eval()
    model, header = load_model(detector_file, kind="detector")
    clip = torch.randn(2, 3, 5, 16, 16)
    assert torch.equal(model(clip).logit, original(clip).logit)
    assert not model.training
    assert header.arguments == DETECTOR and header.decision == RULE
    assert header.preprocessing == NOTES["preprocessing"] and header.provenance["seed"] == 3
    assert read_header(detector_file, kind="detector") == header


def test_stage_two_sees_the_very_teacher_of_stage_one(cross_modal_network, cross_modal_file):
    """Method 11 check 12: the published code could end up with a random teacher."""
    cross_modal_network.eval()
    clip = torch.randn(2, 3, 5, 16, 16)
    teacher = load_model(cross_modal_file, kind="cross_modal").model.video_teacher.freeze()
    assert torch.equal(teacher(clip), cross_modal_network.video_teacher(clip))
    assert not torch.equal(
        teacher(clip), build_cross_modal_network(**CROSS_MODAL).video_teacher(clip)
    )
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.train().training


def test_the_detector_starts_from_the_student_of_stage_one(cross_modal_network, cross_modal_file):
    detector = build_detector(**DETECTOR)
    encoder = load_model(cross_modal_file, kind="cross_modal").model.video_student.encoder
    load_strict(detector.encoder, encoder.state_dict(), source=str(cross_modal_file))
    clip = torch.randn(2, 3, 5, 16, 16)
    expected = cross_modal_network.eval().video_student.encoder(clip).features
    assert torch.equal(detector.eval().encoder(clip).features, expected)


def test_the_teacher_of_a_detector_file_is_refused(detector_file):
    with pytest.raises(ModelFileError, match=r"'detector' model where a 'cross_modal'"):
        load_model(detector_file, kind="cross_modal")


def test_a_wrong_prefix_is_named(cross_modal_file):
    """Non-strict loading under another prefix is how the fork may have lost its teacher."""

    def rename(tensors):
        for name in [n for n in tensors if n.startswith("video_teacher.encoder.")]:
            tensors[name.replace("video_teacher.encoder", "target_encoder")] = tensors.pop(name)

    resave(cross_modal_file, rename)
    with pytest.raises(ModelFileError, match=r"missing \(first: video_teacher\.encoder\..*target_"):
        load_model(cross_modal_file, kind="cross_modal")


def test_strict_loading_names_each_sort_of_difference_and_changes_nothing():
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    wrong = {**before, "0.weight": torch.zeros(3, 4), "extra": torch.zeros(1)}
    del wrong["1.bias"]
    message = (
        r"^file\.x: .*1 missing \(first: 1\.bias\); 1 unexpected \(first: extra\); 1 of another "
        r"shape or type \(first: 0\.weight is float32 \[3, 4\], the network needs float32 \[3, 2\]"
    )
    with pytest.raises(ModelFileError, match=message):
        load_strict(module, wrong, source="file.x")
    assert all(torch.equal(before[n], t) for n, t in module.state_dict().items())


def test_a_bigger_network_of_the_same_kind_is_named_by_its_first_tensor(detector_file):
    edit_values(detector_file, lambda values: values["arguments"]["video"].update(width=8))
    with pytest.raises(ModelFileError, match=r"first: encoder\.convolutions\.0\.0\.weight is"):
        load_model(detector_file, kind="detector")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda v: v["arguments"].update(evil="os.system"), "no option 'evil'"),
        (lambda v: v["arguments"]["video"].update(name="os.system"), "no video network"),
        (lambda v: v["arguments"]["video"].update(hidden=10**15), "hidden must be"),
        (lambda v: v["arguments"]["video"].update(hidden=8192, width=8192), "not the tensors"),
        (lambda v: v["arguments"].pop("video"), "needs 'video'"),
        (lambda v: v.update(format_version=1), "format version 1"),
        (lambda v: v.update(format_version=3), "format version 3"),
        (lambda v: v.update(kind="torch.nn.Linear"), "unknown kind"),
        (lambda v: v.update(kind=["detector"]), "'kind' is missing"),
        (lambda v: v.update(preprocessing=None), "'preprocessing' is missing"),
        (lambda v: v["decision"].update(uncertain_half_width=2), "must lie inside"),
        (lambda v: v["decision"].update(threshold_logit=0.01), "SHA-256"),
        (lambda v: v["decision"]["calibration"].update(scale=0.4), "SHA-256"),
        (lambda v: v["decision"]["calibration"].update(scale=-1), "reverse the ranking"),
        (lambda v: v["decision"].update(calibration=[1, 2]), "calibration must be a mapping"),
        (lambda v: v.update(decision=["fake"]), "decision rule must be a mapping"),
        (lambda v: v["preprocessing"].update(input_size=112), "SHA-256"),
    ],
)
def test_an_altered_header_is_refused(detector_file, edit, message):
    edit_values(detector_file, edit)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(detector_file, kind="detector")
    assert str(detector_file) in str(caught.value)


def test_a_single_flipped_bit_is_noticed(detector_file):
    """Safetensors itself does not notice one (faults.md A1)."""
    content = bytearray(detector_file.read_bytes())
    content[-1] ^= 1
    detector_file.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"SHA-256|NaN"):
        load_model(detector_file, kind="detector")


@pytest.mark.parametrize("keep_share", [0.0, 0.00001, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(detector_file, keep_share):
    content = detector_file.read_bytes()
    detector_file.write_bytes(content[: int(len(content) * keep_share)])
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(detector_file, kind="detector")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(detector_file, value):
    resave(detector_file, lambda tensors: tensors["classifier.weight"].fill_(value))
    with pytest.raises(ModelFileError, match=r"classifier\.weight holds NaN"):
        load_model(detector_file, kind="detector")


def test_header_bombs_are_refused_without_taking_memory(detector_file):
    header, data = split(detector_file)
    name = next(name for name in header if name != "__metadata__")
    entry = header[name]
    bombs = [
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        struct.pack("<Q", 0),
        struct.pack("<Q", 7) + b"[[[[[[[",
    ]
    entries = [
        {**entry, "shape": [2**40, 2**20]},
        {**entry, "shape": [2**63, 4], "data_offsets": [0, 2**67]},
        {**entry, "shape": [-1, -1]},
        {**entry, "shape": [1] * 1000},
        {**entry, "shape": [[]]},
        {**entry, "dtype": "F1024"},
        {**entry, "dtype": ["F32"]},
        {**entry, "data_offsets": [4, 0]},
        {**entry, "data_offsets": [0, "4"]},
        {"dtype": "F32"},
        None,
    ]
    deep = b"[" * 2_000_000
    cases = [(bomb, None) for bomb in bombs] + [(None, {**header, name: e}) for e in entries]
    cases += [(None, deep), (None, b"\xff" * 100), (None, {**header, "x" * 10**6: entry})]
    cases += [(None, {**header, "hole": {**entry, "data_offsets": [10**9, 10**9 + 64]}})]
    tracemalloc.start()
    for raw, replaced in cases:
        if raw is not None:
            detector_file.write_bytes(raw)
        else:
            join(detector_file, replaced, data)
        with pytest.raises(ModelFileError, match="damaged") as caught:
            load_model(detector_file, kind="detector")
        assert len(str(caught.value)) < 2000
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 50e6


def test_overlapping_tensors_and_trailing_bytes_are_refused(detector_file):
    header, data = split(detector_file)
    join(detector_file, header, data + b"\0")
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(detector_file, kind="detector")
    names = [name for name in header if name != "__metadata__"]
    sizes = {name: header[name]["data_offsets"] for name in names}
    first = min(names, key=lambda name: sizes[name][0])
    size = sizes[first][1] - sizes[first][0]
    header["copy"] = {**header[first], "data_offsets": [0, size]}
    join(detector_file, header, data)
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(detector_file, kind="detector")


def test_a_deeply_nested_story_is_refused(detector_file):
    header, data = split(detector_file)
    for depth in (500_000, 20_000, 900):
        text = header["__metadata__"]["avkd"]
        nested = {
            "__metadata__": {
                "avkd": text.replace('"seed": 3', '"seed": ' + "[" * depth + "]" * depth)
            }
        }
        join(detector_file, {**header, **nested}, data)
        with pytest.raises(ModelFileError, match=r"damaged|SHA-256"):
            load_model(detector_file, kind="detector")


def test_a_pickle_is_never_opened(tmp_path):
    witness = tmp_path / "code_ran"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(witness),)

    path = tmp_path / "model.safetensors"
    for write in (
        lambda: torch.save({"weights": Evil()}, path),
        lambda: path.write_bytes(pickle.dumps(Evil())),
    ):
        write()
        with pytest.raises(ModelFileError, match="pickle"):
            load_model(path, kind="detector")
    assert not witness.exists()


def test_what_is_not_a_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ModelFileError, match="not a regular file"):
            load_model(path, kind="detector")
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "absent", kind="detector")


def test_a_safetensors_file_of_others_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ModelFileError, match="not one of ours"):
        load_model(path, kind="detector")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arguments": {**DETECTOR, "pool": "mean"}}, r"unexpected \(first: pooling\."),
        ({"arguments": {**DETECTOR, "speed": 1}}, "no option 'speed'"),
        ({"kind": "network"}, "unknown kind"),
        ({"provenance": {"loss": float("nan")}}, "not plain JSON"),
        ({"provenance": {"path": os}}, "not plain JSON"),
    ],
)
def test_a_file_that_could_not_be_read_back_is_never_written(tmp_path, changes, message):
    path = tmp_path / "model.safetensors"
    values = {"kind": "detector", "arguments": DETECTOR, **NOTES, **changes}
    with pytest.raises(ModelFileError, match=message):
        save_model(path, build_detector(**DETECTOR), **values)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_network_is_not_saved_over_a_good_one(detector_file):
    before = detector_file.read_bytes()
    model = build_detector(**DETECTOR)
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("nan")
    with pytest.raises(ModelFileError, match="NaN"):
        save_model(detector_file, model, kind="detector", arguments=DETECTOR, **NOTES)
    assert detector_file.read_bytes() == before


def test_the_memory_layout_of_training_does_not_reach_the_file(tmp_path):
    torch.manual_seed(0)
    model = build_detector(**DETECTOR)
    paths = [tmp_path / "plain.safetensors", tmp_path / "channels_last.safetensors"]
    for path in paths:
        save_model(path, model, kind="detector", arguments=DETECTOR, **NOTES)
        use_channels_last(model)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_saving_and_loading_leave_the_random_stream_alone(tmp_path):
    """Otherwise a run that saves more often would train differently."""
    model = build_detector(**DETECTOR)
    before = torch.get_rng_state()
    path = tmp_path / "model.safetensors"
    save_model(path, model, kind="detector", arguments=DETECTOR, **NOTES)
    load_model(path, kind="detector")
    assert torch.equal(torch.get_rng_state(), before)


def encoder(**arguments):
    return build_network(
        "video",
        name="cnn3d_gru",
        **{"image_size": 32, "width": 4, "reduced": 4, "hidden": 8} | arguments,
    )


def test_what_fits_is_carried_to_a_network_for_larger_pictures():
    """Convolutions do not know the size of the picture; the recurrent layer's input does."""
    small, large = encoder(), encoder(image_size=48)
    before = {name: tensor.clone() for name, tensor in large.state_dict().items()}
    left = load_fitting(large, small.state_dict(), source="small")
    assert left == ["gru.weight_ih_l0", "gru.weight_ih_l0_reverse"]
    for name, tensor in large.state_dict().items():
        expected = before[name] if name in left else small.state_dict()[name]
        assert torch.equal(tensor, expected)


@pytest.mark.parametrize("other", [{"width": 8, "reduced": 8}, {"name": "cnn_lstm"}])
def test_counters_and_biases_alone_are_no_start(other):
    """They happen to have the same shape in a network of another width; that is no pretraining."""
    target = build_network("video", **{"name": "cnn3d_gru", "image_size": 32, **other})
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(ModelFileError, match="small: none of its convolutions fits"):
        load_fitting(target, encoder().state_dict(), source="small")
    assert all(torch.equal(before[n], t) for n, t in target.state_dict().items())


def test_half_precision_takes_half_the_room_and_gives_the_rounded_weights_back(tmp_path):
    torch.manual_seed(0)
    model = build_detector(**DETECTOR).eval()
    sizes = {}
    for half in (False, True):
        path = tmp_path / f"{half}.safetensors"
        save_model(
            path,
            model,
            kind="detector",
            arguments=DETECTOR,
            decision=RULE,
            half_precision=half,
            **NOTES,
        )
        sizes[half] = path.stat().st_size
    assert sizes[True] < 0.75 * sizes[False]
    loaded = load_model(tmp_path / "True.safetensors", kind="detector").model
    round_to_half(model)
    expected, found = model.state_dict(), loaded.state_dict()
    assert all(found[name].dtype == expected[name].dtype for name in expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_weight_too_large_for_half_precision_is_refused(tmp_path):
    model = build_detector(**DETECTOR)
    with torch.no_grad():
        next(model.parameters()).fill_(1e6)
    with pytest.raises(ModelFileError, match="NaN or infinity"):
        save_model(
            tmp_path / "model.safetensors",
            model,
            kind="detector",
            arguments=DETECTOR,
            half_precision=True,
            **NOTES,
        )
