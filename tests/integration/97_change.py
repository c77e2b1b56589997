"""Reload, renewal, restarts, under load: no request fails. scripts/change prints the same."""

from __future__ import annotations

import pytest

from lab.change import POLLS, RATE, run, table


@pytest.mark.slow(240)
def test_nothing_is_lost(site, build, tmp_path, capsys) -> None:
    counts = run(site, build, tmp_path)
    shown = table(counts)
    with capsys.disabled():
        print("\n" + shown)
    assert not any(count.failures for count in counts), \
        "\n".join([shown, *(f"{c.name}: {dict(c.failures)}" for c in counts if c.failures)])
    by_name = {count.name: count for count in counts}
    assert all(count.done >= RATE for count in counts)
    # Only restarts touch long polls, and no more of them than there are.
    for name in ("nothing", "reload", "reload that needs a restart", "certificate renewed"):
        assert by_name[name].again == 0, shown
    for name in ("connection point restarted", "gateway restarted"):
        assert 0 < by_name[name].again + by_name[name].polls_retried <= POLLS, shown
