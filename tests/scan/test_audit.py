import numpy as np

from portulan.scan.audit import Audit
from portulan.scan.verdict import Answers
from portulan.target.bitmap import Bitmap


def answers(index, try_no, *, soft=False):
    return Answers.of(
        np.array(index), state=2, reason=2, time_ns=0, try_no=np.uint8(try_no), soft=soft)


def test_what_came_back_and_what_was_found_is_counted_once():
    audit = Audit(4, np.array([1, 2, 3]), np.array([7, 8]))
    answered = Bitmap(10)
    answered.set(np.array([7, 8]))
    audit.hear(answers([7, 1, 7], 4), answered)
    audit.hear(answers([7, 1], 4), answered)
    tally = audit.tally(9)
    assert (tally.sample, tally.found, tally.sentinels, tally.returned) == (3, 1, 2, 1)
    assert tally.silent == 10


def test_other_tries_and_third_parties_count_for_nothing():
    audit = Audit(4, np.array([1]), np.array([7]))
    audit.hear(answers([1, 7], 3), Bitmap(10))
    audit.hear(answers([1, 7], 4, soft=True), Bitmap(10))
    assert audit.tally(1).found == audit.tally(1).returned == 0
