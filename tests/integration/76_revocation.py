"""Client certificates that were revoked, and lists that cannot be had."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.client import Load
from lab.crls import STALL, DistributionPoint
from lab.pki import Authority, Identity
from lab.site import MP, Lab, on
from lab.waiting import wait_for

REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")
_count = itertools.count()


class Lists:
    """A CA of our own below the lab's client root: what is revoked here concerns nobody else."""

    def __init__(self, lab_root: Authority, folder: Path) -> None:
        self.issuing = Authority(lab_root.folder, f"revocation-{next(_count)}",
                                 "/O=Lab/CN=Lab Revocation CA", lab_root)
        self.root_list = lab_root.crl(file=folder / "root.crl")
        self.list = folder / "issuing.crl"
        self.trust = folder / "trust.pem"
        self.trust.write_text(lab_root.certificate.read_text() +
                              self.issuing.certificate.read_text())

    def client(self, cn: str, crl_url: str = "", **more: object) -> Identity:
        return self.issuing.issue(f"{self.issuing.name}-{cn}", f"/CN={cn}", crl_url=crl_url, **more)

    def publish(self, *revoked: Identity, **more: object) -> Path:
        return self.issuing.crl(revoked, file=self.list, **more)


@pytest.fixture
def lists(site, tmp_path: Path) -> Lists:
    return Lists(site.pki.client_root, tmp_path)


@pytest.fixture
def point() -> Iterator[DistributionPoint]:
    with DistributionPoint() as made:
        yield made


@pytest.fixture
def make(new_lab, lists: Lists):
    """A lab that admits the clients of `lists`; `files` besides the root's list."""
    def made(*files: Path, admit: Identity | None = None, **options: object) -> Lab:
        lab = new_lab(with_gates=False, start=False, gateway={
            "clients": {"ca-file": lists.trust},
            "revocation": {"check": "hard", "files": [str(lists.root_list), *map(str, files)],
                           "timeout": "2s", **options}})
        lab.start(wait=False)
        # Not wait_up: that comes with the lab's client, whom this gateway does not know.
        if admit:
            wait_for(lambda: ask(lab, admit) == 200, "the gateway to serve", explain=lab.explain)
        else:
            lab.points["cp1"].wait_log(r"\bchannel\.open\b")
        return lab
    return made


def ask(lab: Lab, who: Identity) -> int:
    with lab.http1(identity=who) as http:
        return http.request("GET", REQUEST).status


def assert_refused(lab: Lab, who: Identity, *words: str) -> None:
    """401 with the failed check in the answer and in the log."""
    mark = lab.gateways[1].mark()
    with lab.http1(identity=who) as http:
        answer = http.request("GET", REQUEST)
    assert answer.status == 401, answer
    assert answer.reason == "CMGService_Invalid_Certificate"
    event = wait_for(lambda: lab.gateways[1].events("client.certificate_refused", mark),
                     "the refusal in the log", explain=lab.explain)[-1]
    for word in words:
        assert word in answer.json()["detail"], answer
        assert word in event["why"], event


def test_revoked_by_file(lists: Lists, make) -> None:
    good, bad = lists.client("PC1"), lists.client("PC2")
    lab = make(lists.publish(bad), admit=good)
    assert_refused(lab, bad, 'certificate of "PC2" was revoked on', "(keyCompromise)",
                   'by "Lab Revocation CA"')
    listed = lab.gateways[1].events("revocation.list")
    assert {"Lab Client Root", "Lab Revocation CA"} == {event["issuer"] for event in listed}


def test_revoked_intermediate(lists: Lists, make) -> None:
    lists.issuing.parent.crl([lists.issuing], file=lists.root_list)
    lab = make(lists.publish())
    assert_refused(lab, lists.client("PC1"), 'certificate of "Lab Revocation CA" was revoked')


def test_changed_file_takes_effect_on_open_connections(lists: Lists, make) -> None:
    """Within ten seconds, and nobody else notices."""
    good, bad = lists.client("PC1"), lists.client("PC2")
    lab = make(lists.publish(), admit=good)
    with Load(lab.port(), lab.tls(good), 4, REQUEST) as load, lab.http1(identity=bad) as http:
        assert http.request("GET", REQUEST).status == 200
        lists.publish(bad)
        began = time.monotonic()
        wait_for(lambda: http.request("GET", REQUEST).status == 401, "the refusal", 10, every=0.2,
                 explain=lab.explain)
        assert time.monotonic() - began < 10
        enough = load.tally.done + 20
        wait_for(lambda: load.tally.done > enough, "requests to flow", explain=lab.explain)
        load.stop().assert_none_lost()


def test_damaged_file_changes_nothing(lists: Lists, make) -> None:
    good, bad = lists.client("PC1"), lists.client("PC2")
    lab = make(lists.publish(bad), admit=good)
    lists.list.write_text("-----BEGIN X509 CRL-----\nno\n")
    lab.gateways[1].wait_log(r"\brevocation\.failed\b")
    assert ask(lab, good) == 200
    assert_refused(lab, bad, "was revoked")


def test_no_list_and_no_point(lists: Lists, make) -> None:
    lab = make()
    assert_refused(lab, lists.client("PC1"), 'no revocation list of issuer "Lab Revocation CA"',
                   "names no http distribution point")


def test_ended_list(lists: Lists, make) -> None:
    lab = make(lists.publish(days=-2))
    assert_refused(lab, lists.client("PC1"), 'revocation list of issuer "Lab Revocation CA" ended')


def test_fetched_once(lists: Lists, make, point: DistributionPoint) -> None:
    url = point.url("issuing.crl")
    good, bad = lists.client("PC1", url), lists.client("PC2", url)
    point.give("issuing.crl", lists.publish(bad))
    lab = make(admit=good)
    assert_refused(lab, bad, "was revoked")
    for _ in range(5):
        assert ask(lab, good) == 200
    assert point.requests == {"issuing.crl": 1}


def test_fetched_again(lists: Lists, make, point: DistributionPoint) -> None:
    """Nobody has to ask for it, and who is connected is judged by the new one."""
    client = lists.client("PC1", point.url("issuing.crl"))
    point.give("issuing.crl", lists.publish())
    lab = make(admit=client, refresh="1s")
    with lab.http1(identity=client) as http:
        assert http.request("GET", REQUEST).status == 200
        lists.publish(client)
        wait_for(lambda: http.request("GET", REQUEST).status == 401, "the refusal", 10, every=0.2,
                 explain=lab.explain)


def test_point_that_fails_keeps_the_old_list(lists: Lists, make, point: DistributionPoint) -> None:
    client = lists.client("PC1", point.url("issuing.crl"))
    point.give("issuing.crl", lists.publish())
    lab = make(admit=client, refresh="1s")
    point.give("issuing.crl", 503)
    lab.gateways[1].wait_log(r"\brevocation\.failed\b.*503")
    assert ask(lab, client) == 200


@pytest.mark.parametrize("answer, words", [(404, "status 404"), (STALL, "")])
def test_hard_refuses_when_the_point_is_down(lists: Lists, make, point: DistributionPoint, answer,
                                             words: str) -> None:
    client = lists.client("PC1", point.url("issuing.crl"))
    point.give("issuing.crl", answer)
    lab = make()
    began = time.monotonic()
    assert_refused(lab, client, 'no revocation list of issuer "Lab Revocation CA"', "127.0.0.1",
                   words)
    assert_refused(lab, client, words)
    assert time.monotonic() - began < 8  # it waits for one fetch, and does not ask again at once
    assert point.requests == {"issuing.crl": 1}


@pytest.mark.parametrize("answer", [404, STALL])
def test_soft_admits_when_the_point_is_down(lists: Lists, make, point: DistributionPoint,
                                            answer) -> None:
    client = lists.client("PC1", point.url("issuing.crl"))
    point.give("issuing.crl", answer)
    lab = make(admit=client, check="soft")
    assert ask(lab, client) == 200
    unchecked = lab.gateways[1].events("revocation.unchecked")
    assert [event["issuer"] for event in unchecked] == ["Lab Revocation CA"]


def test_soft_refuses_who_is_on_a_list(lists: Lists, make) -> None:
    good, bad = lists.client("PC1"), lists.client("PC2")
    lab = make(lists.publish(bad), admit=good, check="soft")
    assert_refused(lab, bad, "was revoked")


def test_a_stalled_point_holds_up_only_its_own_clients(lists: Lists, make,
                                                       point: DistributionPoint) -> None:
    good, stuck = lists.client("PC1"), lists.client("PC2", point.url("other.crl"))
    point.give("other.crl", STALL)
    lab = make(admit=None, timeout="30s", check="soft", fetch=True)
    with lab.http1(identity=stuck) as http:
        http.send_head("GET", REQUEST)
        wait_for(lambda: point.requests["other.crl"], "the fetch", explain=lab.explain)
        wait_for(lambda: ask(lab, good) == 200, "another client to be served", 10,
                 explain=lab.explain)


def test_strangers_make_nobody_fetch(lists: Lists, make, site, point: DistributionPoint) -> None:
    url = point.url("issuing.crl")
    stranger = site.pki.foreign_ca.issue(f"stranger-{lists.issuing.name}", "/CN=PC9", crl_url=url)
    good = lists.client("PC1", url)
    point.give("issuing.crl", lists.publish())
    lab = make()
    assert_refused(lab, stranger, "Foreign Root")
    assert not point.requests
    wait_for(lambda: ask(lab, good) == 200, "the gateway to serve", explain=lab.explain)


def test_self_signed(lists: Lists, make, tmp_path: Path) -> None:
    own = Authority(tmp_path, "own", "/CN=PC1")
    lab = make(lists.publish())
    assert_refused(lab, Identity("own", own.certificate, own.key), "self-signed")


def test_missing_intermediate_is_named(lists: Lists, make, site) -> None:
    lab = make(lists.publish())
    assert_refused(lab, site.pki.client_broken_chain, "intermediate missing",
                   '"Lab Client Hidden"')


def test_bad_file_stops_the_start(lists: Lists, make, site) -> None:
    """And a reload leaves everything as it was."""
    good = lists.client("PC1")
    lab = make(lists.publish(), admit=good)
    foreign = site.pki.foreign_ca.crl(file=lists.list.with_name("foreign.crl"))
    lab.gateways[1].reconfigure({"revocation": {"files": [str(lists.root_list), str(foreign)]}})
    said = lab.gateways[1].reload()
    assert "conf.refused" in said and "foreign.crl" in said and "Foreign Root" in said
    assert ask(lab, good) == 200
