"""Cases take turns, so that what slows the machine slows all of them."""

from neural_epitome.cost.latency import alternate


def test_cases_alternate_and_each_is_timed_every_round():
  calls = []
  seconds = alternate({n: lambda n=n: calls.append(n) for n in "ab"}, 3)
  assert calls == ["a", "b"] * 3
  assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}
  assert all(second >= 0 for times in seconds.values() for second in times)
