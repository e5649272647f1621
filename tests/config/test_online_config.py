"""Knobs of fakes made while training: the same names and defaults as what they configure."""

from typing import get_args

import pytest

from avkd.blending.blenders import BLENDERS
from avkd.blending.online_forgery import OnlineForgery
from avkd.config import online_config
from avkd.config.online_config import BlenderName, OnlineConfig, check_online
from avkd.data import sampling


def test_config_and_what_it_configures_agree() -> None:
    assert get_args(BlenderName) == tuple(BLENDERS)
    assert get_args(online_config.Fakes) == get_args(sampling.Fakes)
    given, drawn = vars(OnlineConfig()), vars(OnlineForgery())
    assert {name: given[name] for name in drawn if name != "blenders"} == {
        name: value for name, value in drawn.items() if name != "blenders"
    }


@pytest.mark.parametrize("fakes", ["stored", "online", "both"])
def test_an_exchange_of_looks_without_stored_fakes_is_refused(fakes) -> None:
    """Nothing is exchanged then, and whoever asks for it must learn so."""
    online = OnlineConfig(match_looks=0.9, stored_share=0.0 if fakes == "both" else 0.5)
    with pytest.raises(ValueError, match="no effect"):
        check_online(fakes, online, 0.5)
    check_online("both", OnlineConfig(match_looks=0.9), 0.5)
