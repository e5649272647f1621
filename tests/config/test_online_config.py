"""Knobs of fakes made while training: the same names and defaults as what they configure."""

from typing import get_args

from avkd.blending.blenders import BLENDERS
from avkd.blending.online_forgery import OnlineForgery
from avkd.config import online_config
from avkd.config.online_config import BlenderName, OnlineConfig
from avkd.data import sampling


def test_config_and_what_it_configures_agree() -> None:
    assert get_args(BlenderName) == tuple(BLENDERS)
    assert get_args(online_config.Fakes) == get_args(sampling.Fakes)
    given, drawn = vars(OnlineConfig()), vars(OnlineForgery())
    assert {name: given[name] for name in drawn if name != "blenders"} == {
        name: value for name, value in drawn.items() if name != "blenders"
    }
