import numpy as np

from portulan.scan.skew import Skew


def suspects(skew, hosts=1, asked=100):
    return skew.suspects(np.arange(hosts), lambda host: asked)


def learn(skew, host, places, pass_no=1):
    count = len(places)
    skew.learn(
        np.full(count, host), np.array(places), np.full(count, pass_no),
        index=np.arange(count), time_ns=np.arange(count) * 10)


def test_refusals_at_the_beginning_of_a_pass_only_are_suspect():
    skew = Skew(3, 0.001)
    learn(skew, 1, [0.001, 0.003, 0.01, 0.02, 0.02, 0.03])
    assert suspects(skew, 3).tolist() == [1]
    assert (skew.sentinel(1), skew.last_ns(1), skew.burst(1)) == (5, 50, 6)
    assert skew.sentinel(0) == -1


def test_burst_and_a_trickle_behind_it_is_suspect():
    skew = Skew(1, 0.001)
    learn(skew, 0, [*np.linspace(0, 0.02, 10), *np.linspace(0.1, 1, 5)])
    assert suspects(skew).tolist() == [0]


def test_one_refusal_at_once_in_each_pass_is_suspect():
    skew = Skew(1, 0.001)
    learn(skew, 0, [0.01])
    assert not len(suspects(skew))
    learn(skew, 0, [0.005], pass_no=2)
    assert suspects(skew).tolist() == [0]


def test_chance_alone_raises_alarms_as_rarely_as_said():
    chance = np.random.default_rng(4)
    skew = Skew(20_000, 0.001)
    host = np.repeat(np.arange(20_000), 8)
    skew.learn(
        host, chance.random(len(host)), np.ones(len(host), np.int64),
        index=np.arange(len(host)), time_ns=np.zeros(len(host), np.int64))
    assert 5 <= len(suspects(skew, 20_000)) <= 80  # two tests, each with one in a thousand


def test_limiter_without_a_burst_says_as_much_in_the_second_pass_as_in_the_first():
    skew = Skew(3, 1e-6)
    learn(skew, 0, np.linspace(0.05, 0.95, 10))
    learn(skew, 0, np.linspace(0.05, 0.95, 9), pass_no=2)
    learn(skew, 1, np.linspace(0.02, 0.98, 50))
    learn(skew, 1, np.linspace(0.1, 0.9, 5), pass_no=2)
    assert suspects(skew, 3).tolist() == [0]


def test_path_that_loses_most_of_everything_makes_no_host_suspect():
    skew = Skew(8, 1e-6)
    for host in range(8):
        learn(skew, host, np.linspace(0.05, 0.95, 10))
        learn(skew, host, np.linspace(0.05, 0.95, 8), pass_no=2)
    assert not len(suspects(skew, 8))


def test_few_ports_of_which_the_first_six_were_refused_are_suspect_where_doubt_is_allowed():
    for asked in (7, 8, 14):
        skew = Skew(1, 0.02)
        learn(skew, 0, np.arange(1, 7) / asked)
        assert suspects(skew, asked=asked).tolist() == [0]
    strict = Skew(1, 1e-4)
    learn(strict, 0, np.arange(1, 7) / 8)
    assert not len(suspects(strict, asked=8))


def test_refusals_to_the_end_with_silence_between_are_a_filter_s():
    skew = Skew(1, 0.02)
    learn(skew, 0, np.array([1, 2, 4, 5, 7, 8]) / 8)
    assert not len(suspects(skew, asked=8))


def test_later_passes_tell_a_sentinel_but_no_place():
    skew = Skew(1, 0.001)
    learn(skew, 0, [0.0001] * 9, pass_no=3)
    assert not len(suspects(skew))
    assert skew.sentinel(0) == 8
