"""A gateway that was restarted knows what connection points publish before they are back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lab.site import MP, Lab, on

REQUEST, UNPUBLISHED = on(MP, "/SMS_MP/.sms_aut?MPLIST"), on("4711", "/SMS_MP/.sms_aut?MPLIST")


@pytest.fixture
def lab(new_lab, tmp_path: Path) -> Lab:
    lab = new_lab(with_gates=False, gateway={"traffic": {"state": tmp_path},
                                             "clients": {"hold-timeout": "20s"}})
    assert lab.get(REQUEST).status == 200
    return lab


def restart_alone(lab: Lab) -> None:
    """The gateway, while its connection point is away."""
    lab.points["cp1"].stop()
    lab.gateways[1].stop()
    lab.gateways[1].start()
    lab.wait_gateways()


def test_request_waits_for_whom_it_remembers(lab: Lab) -> None:
    restart_alone(lab)
    assert lab.get(UNPUBLISHED).status == 404  # at once: nobody ever published that
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(lab.get(REQUEST).status))
    waiting.start()
    lab.points["cp1"].start()
    waiting.join(30)
    assert answers == [200]


def test_what_is_remembered_of_others_is_forgotten(lab: Lab, tmp_path: Path) -> None:
    """Another site's now: nothing of it may be served, nor waited for."""
    gateway = lab.gateways[1]
    lab.points["cp1"].stop()
    gateway.stop()
    gateway.reconfigure({"connection-point cp1": {"site": "XYZ"}, "clients": {"hold-timeout": "1s"}})
    gateway.start()
    lab.wait_gateways()
    assert lab.get(REQUEST).status == 503


def test_damaged_memory_is_told_and_no_more(lab: Lab, tmp_path: Path) -> None:
    gateway = lab.gateways[1]
    gateway.stop()
    (tmp_path / "published.jsonl").write_text("{not json\n")
    mark = gateway.mark()
    gateway.start()
    gateway.wait_log(r"gateway\.memory_failed", 10, mark)
    lab.wait_up()
    assert lab.get(REQUEST).status == 200
