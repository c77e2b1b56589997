"""The HTTPS road through an internet proxy of every kind."""

from __future__ import annotations

import pytest

from lab.proxies import ProxyLab
from lab.site import MP, Lab, on
from lab.waiting import wait_for

REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")
KINDS = ["open", "basic", "digest", "ntlm", "negotiate", "https", "tinyproxy"]


def lab_behind(new_lab, proxy, instances: int = 1, wait: bool = True, transport: str = "https",
               **settings: str) -> Lab:
    return new_lab(instances=instances, wait=wait, env=proxy.env, point={
        "proxy": {**proxy.settings, **settings},
        "cmg lab": {"transport": transport},
        "channel": {"backoff-max": "30s", "backoff-min": "100ms"}})


def assert_passed(lab: Lab, proxy, before: int) -> None:
    """The channel went through the proxy: squid logs a CONNECT when its tunnel ends."""
    assert [gate.accepted for gate in lab.tcp_gates] == [0] * lab.instances
    lab.points["cp1"].stop()
    wait_for(lambda: len(proxy.connects()) > before, f"a CONNECT in {proxy.access_log}")


@pytest.mark.parametrize("kind", KINDS)
def test_channel_through(new_lab, proxies: ProxyLab, kind: str) -> None:
    proxy = proxies.start(kind)
    lab = lab_behind(new_lab, proxy)
    assert lab.get(REQUEST).status == 200
    lab.wait_road("https")
    assert_passed(lab, proxy, 0)


@pytest.mark.parametrize("kind", ["basic", "digest", "ntlm", "negotiate"])
def test_scheme_is_found_out(new_lab, proxies: ProxyLab, kind: str) -> None:
    """auth = any takes the strongest that the proxy offers."""
    proxy = proxies.start(kind)
    lab = lab_behind(new_lab, proxy, auth="any")
    assert lab.get(REQUEST).status == 200
    assert_passed(lab, proxy, 0)


def test_two_instances_through_one_proxy(new_lab, proxies: ProxyLab) -> None:
    proxy = proxies.start("basic")
    lab = lab_behind(new_lab, proxy, instances=2)
    for instance in (1, 2):
        lab.wait_road("https", instance=instance)
        assert lab.get(REQUEST, instance).status == 200


@pytest.mark.parametrize("kind", ["basic", "digest"])
def test_wrong_password_is_a_refusal(new_lab, proxies: ProxyLab, kind: str) -> None:
    """407 is told with its remedy, and not tried again and again: accounts get locked."""
    proxy = proxies.start(kind)
    lab = lab_behind(new_lab, proxy, wait=False,
                     **{"password-file": str(proxies.wrong_password_file)})
    failed = lab.points["cp1"].wait_log(r"channel\.failed.*407.*").group(0)
    assert "not it" not in failed
    seen = len(proxy.connects())
    assert lab.get(REQUEST).status == 503
    assert len(proxy.connects()) <= seen + 1
    assert "not it" not in lab.points["cp1"].text()


def test_proxy_that_forbids(new_lab, proxies: ProxyLab) -> None:
    proxy = proxies.start("refusing")
    lab = lab_behind(new_lab, proxy, wait=False)
    lab.points["cp1"].wait_log(r"channel\.failed.*403")
    assert lab.get(REQUEST).status == 503


def test_dead_proxy(new_lab, proxies: ProxyLab) -> None:
    proxy = proxies.start("open")
    proxy.stop()
    lab = lab_behind(new_lab, proxy, wait=False)
    lab.points["cp1"].wait_log(r"channel\.failed.*step=(proxy|connect)")


def test_https_proxy_of_a_foreign_ca(new_lab, proxies: ProxyLab, site) -> None:
    proxy = proxies.start("https")
    lab = lab_behind(new_lab, proxy, wait=False, **{"ca-file": str(site.pki.foreign_ca.certificate)})
    lab.points["cp1"].wait_log(r"channel\.failed.*certificate")


def test_proxy_that_does_not_reach_the_gateway(new_lab, proxies: ProxyLab) -> None:
    proxy = proxies.start("open")
    lab = lab_behind(new_lab, proxy)
    mark = lab.points["cp1"].mark()
    lab.https_gates[0].block()
    lab.points["cp1"].wait_log(r"channel\.(lost|failed)", since=mark)
    lab.points["cp1"].wait_log(r"channel\.failed.*50[0-9]", since=mark)
    lab.https_gates[0].open()
    lab.wait_up(40)


def test_tcp_tls_never_uses_the_proxy(new_lab, proxies: ProxyLab) -> None:
    proxy = proxies.start("open")
    lab = lab_behind(new_lab, proxy, transport="auto")
    lab.wait_road("tcp-tls")
    lab.points["cp1"].stop()
    assert not proxy.connects()


@pytest.mark.parametrize("exempt", ["127.0.0.1,localhost", "*"])
def test_no_proxy_list(new_lab, proxies: ProxyLab, exempt: str) -> None:
    proxy = proxies.start("refusing")
    lab = lab_behind(new_lab, proxy, **{"no-proxy": exempt})
    assert lab.get(REQUEST).status == 200
    assert not proxy.connects()


def test_proxy_variables_of_the_environment_mean_nothing(new_lab, proxies: ProxyLab) -> None:
    """Neither for channels nor for endpoints."""
    proxy = proxies.start("refusing")
    lab = new_lab(env={"http_proxy": proxy.url, "https_proxy": proxy.url, "ALL_PROXY": proxy.url},
                  point={"cmg lab": {"transport": "https"}})
    assert lab.get(REQUEST).status == 200
    assert not proxy.connects() and "http://" not in proxy.access_log.read_text()
