"""Fixtures: one site for the whole run, labs for a module or a test.

A lab that is still up is looked at after every test: a daemon that crashed or that a sanitizer
complained about fails the test in which it happened.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.auth import Auth
from lab.daemons import build_folder
from lab.proxies import ProxyLab
from lab.site import Lab, Site
from lab.waiting import LabError

_running: list[Lab] = []


@pytest.fixture(scope="session")
def build() -> Path:
    return build_folder()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        yield made.start()
    finally:
        made.stop()


class Labs:
    """Makes labs that end with their scope."""

    def __init__(self, site: Site, build: Path, folder: Callable[[str], Path]) -> None:
        self._site, self._build, self._folder = site, build, folder
        self._made: list[Lab] = []

    def __call__(self, *, start: bool = True, wait: bool = True, **options: object) -> Lab:
        lab = Lab(self._site, self._build, self._folder("lab"), **options)
        self._made.append(lab)
        _running.append(lab)
        return lab.start(wait) if start else lab

    def stop(self) -> None:
        faults = []
        for lab in self._made:
            _running.remove(lab)
            try:
                lab.stop()
            except AssertionError as error:
                faults.append(str(error))
        assert not faults, "\n".join(faults)


@pytest.fixture(scope="module")
def labs(site: Site, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    """For labs that several tests of a module share."""
    made = Labs(site, build, tmp_path_factory.mktemp)
    yield made
    made.stop()


@pytest.fixture
def new_lab(site: Site, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    """For labs of one test."""
    made = Labs(site, build, tmp_path_factory.mktemp)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def session_labs(site: Site, build: Path,
                 tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    made = Labs(site, build, tmp_path_factory.mktemp)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def plain(session_labs: Labs) -> Lab:
    """One gateway, one connection point, nothing special: for tests that leave it as it was."""
    return session_labs(with_gates=False)


@pytest.fixture(scope="session")
def auth(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Auth]:
    """An issuer and the site's token keys, for tests that leave them as they were."""
    made = Auth(tmp_path_factory.mktemp("auth"), site.pki)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def own_auth(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Auth]:
    """The same for one test that does with it what it likes. Not started."""
    made = Auth(tmp_path_factory.mktemp("auth"), site.pki)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def auth_lab(session_labs: Labs, auth: Auth) -> Lab:
    """A gateway that accepts everything `auth` has, for tests that leave it as it was."""
    return session_labs(with_gates=False, gateway=auth.settings())


@pytest.fixture(scope="session")
def proxies(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyLab]:
    made = ProxyLab(tmp_path_factory.mktemp("proxies"), site.pki)
    yield made
    made.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """What the daemons logged last belongs to a failure."""
    report = (yield).get_result()
    if report.failed:
        for lab in _running:
            report.sections.append(("daemons", lab.explain()))


def pytest_configure(config: pytest.Config) -> None:
    """A run that is told to end takes its daemons and servers with it."""
    config.addinivalue_line("markers", "slow(seconds): may take that long")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item):
    """No test hangs: a minute is enough, or the test says how many seconds it needs."""
    marker = item.get_closest_marker("slow")
    seconds = marker.args[0] if marker else 60

    def on_alarm(*_: object) -> None:
        raise LabError(f"the test did not end in {seconds} s")
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


@pytest.fixture(autouse=True)
def healthy() -> Iterator[None]:
    yield
    for lab in _running:
        for daemon in (*lab.gateways.values(), *lab.points.values()):
            if trouble := daemon.trouble():
                pytest.fail(f"{daemon.name}:\n{trouble}", pytrace=False)
