"""Every road to 1, 2 and 16 gateway instances."""

from __future__ import annotations

import pytest

from lab.site import ECHO, MP, Lab, on
from lab.waiting import wait_for

REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")


def assert_all_serve(lab: Lab) -> None:
    for instance in range(1, lab.instances + 1):
        answer = lab.get(REQUEST, instance)
        assert answer.status == 200, f"instance {instance}: {answer}"
        assert b'query="MPLIST"' in answer.body


@pytest.mark.parametrize("instances", [1, 2, 16])
@pytest.mark.parametrize("transport, road", [("auto", "tcp-tls"), ("tcp-tls", "tcp-tls"),
                                             ("https", "https")])
def test_road(new_lab, instances: int, transport: str, road: str) -> None:
    lab = new_lab(instances=instances, point={"cmg lab": {"transport": transport}})
    assert_all_serve(lab)
    for instance in range(1, instances + 1):
        lab.wait_road(road, instance=instance)
    opened = lab.points["cp1"].events("channel.open")
    assert len(opened) == instances and all(event["road"] == road for event in opened)


@pytest.mark.parametrize("instances", [1, 2])
def test_scale_set_never_tries_tcp_tls(new_lab, instances: int) -> None:
    lab = new_lab(instances=instances, point={"cmg lab": {"deployment": "scale-set"}})
    assert_all_serve(lab)
    for instance in range(1, instances + 1):
        lab.wait_road("https", instance=instance)
    assert [gate.accepted for gate in lab.tcp_gates] == [0] * instances


@pytest.mark.parametrize("instances, how", [(1, "refuse"), (2, "refuse"), (16, "refuse"),
                                            (2, "black_hole")])
def test_falls_back_at_start(new_lab, instances: int, how: str) -> None:
    lab = new_lab(start=False, instances=instances,
                  point={"channel": {"connect-timeout": "1s", "probe": "1h"}})
    lab.make_gates()
    for gate in lab.tcp_gates:
        getattr(gate, how)()
    for daemon in (*lab.gateways.values(), *lab.points.values()):
        daemon.start()
    lab.wait_up()
    assert_all_serve(lab)
    for instance in range(1, instances + 1):
        lab.wait_road("https", instance=instance)


def test_tcp_tls_only_never_falls_back(new_lab) -> None:
    lab = new_lab(point={"cmg lab": {"transport": "tcp-tls"}})
    lab.tcp_gates[0].block()
    point = lab.points["cp1"]
    point.wait_log(r"channel\.(lost|failed)")
    wait_for(lambda: len(point.events("channel.failed")) + len(point.events("channel.lost")) >= 1,
             "the loss to be logged", explain=lab.explain)
    assert lab.https_gates[0].accepted == 0
    lab.tcp_gates[0].open()
    lab.wait_up()
    assert lab.https_gates[0].accepted == 0


def test_gateway_may_come_later(new_lab) -> None:
    """The connection point waits for its cloud, and backs off."""
    lab = new_lab(start=False)
    lab.make_gates()
    point = lab.points["cp1"].start()
    point.wait_log(r"channel\.failed")
    lab.gateways[1].start()
    lab.wait_up()
    assert_all_serve(lab)


def test_one_listener_serves_clients_and_channels(new_lab) -> None:
    """With one instance the HTTPS road is the clients' own port."""
    lab = new_lab(with_gates=False, point={"cmg lab": {"transport": "https"}})
    assert_all_serve(lab)
    with lab.http2() as h2:
        assert h2.request("GET", REQUEST).status == 200


def test_several_cloud_management_gateways(new_lab, site, build, tmp_path) -> None:
    """Two [cmg] sections: one connection point, two services."""
    one = new_lab(start=False)
    two = new_lab(start=False, points=())
    section = {**one.points["cp1"].settings["cmg lab"]}
    one.make_gates()
    two.make_gates()
    one.points["cp1"].reconfigure({"cmg second": {
        **section, "tcp-tls-port": two.gate_tcp_port, "https-port": two.gate_https_port,
        "https-port-single": two.gate_https_port}})
    for daemon in (one.gateways[1], two.gateways[1], one.points["cp1"]):
        daemon.start()
    one.wait_up()
    two.wait_up()
    assert one.get(on(ECHO, "/lab/echo")).status == two.get(on(ECHO, "/lab/echo")).status == 200
