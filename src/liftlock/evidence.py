"""What the attempts so far say of a release's failure rate: how large a wave may be, and when to give up. Pure.

A release fails on each host with the same unknown chance. What is known of that chance is a Beta
distribution: the `Prior` before the rollout, and after s successes and f failures Beta(alpha + f,
beta + s). How many of the next hosts fail is then beta-binomial (J. G. Skellam (1948), JRSS B 10:257-261;
A. Gelman et al., Bayesian Data Analysis, 3rd ed., 2.4).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from math import exp, fsum, inf, lgamma, log, log1p

from liftlock.model import Prior

WEAK = 0.5
"""Both parameters of the prior when nothing is on record: Jeffreys' prior, worth one host."""
HISTORY_DISCOUNT = 0.1
"""What a host of an earlier rollout counts beside one of this: releases differ more than hosts do."""
HEAVIEST_HISTORY = 25.0
"""History never counts more than so many hosts, so that this rollout's own soon outweigh it."""
FALSE_ALARM = 0.01
"""The chance, at most, that a release which meets the target is stopped by evidence in a whole rollout."""

_ALTERNATIVES = 8
_LARGEST_EXPONENT = 700.0


def prior_from(successes: int, failures: int, *, discount: float = HISTORY_DISCOUNT) -> Prior:
    """What earlier rollouts of a product say of its next release.

    Each host on record counts `discount` of a host, all together at most `HEAVIEST_HISTORY`; they add to
    Jeffreys' prior, which stands alone when there is no record.
    """
    total = successes + failures
    if not total:
        return Prior(WEAK, WEAK, "no earlier upgrade on record, so next to nothing")
    worth = min(discount, HEAVIEST_HISTORY / total)
    basis = f"{failures} of {total} earlier upgrades on record failed, counted as {worth * total:.3g} hosts"
    return Prior(WEAK + worth * failures, WEAK + worth * successes, basis)


def posterior(prior: Prior, succeeded: int, failed: int) -> Prior:
    """What is known after so many hosts of this rollout succeeded and failed."""
    return replace(prior, alpha=prior.alpha + failed, beta=prior.beta + succeeded)


def overrun_probability(known: Prior, hosts: int, budget_left: int) -> float:
    """The chance in [0, 1] that more than `budget_left` of the next `hosts` fail.

    Exact but for rounding (about 1e-9 for 100 000 hosts); costs as many terms as the shorter side of
    the distribution has: at most `budget_left` + 1.
    """
    if budget_left < 0:
        return 1.0
    if budget_left >= hosts:
        return 0.0
    if budget_left < hosts - budget_left:
        return min(1.0, max(0.0, 1.0 - _up_to(known.alpha, known.beta, hosts, budget_left)))
    # Counted from the other end: at most so many of them succeed.
    return min(1.0, _up_to(known.beta, known.alpha, hosts, hosts - budget_left - 1))


def _up_to(alpha: float, beta: float, hosts: int, most: int) -> float:
    """The chance that at most `most` of the hosts are of the kind that `alpha` counts.

    Term by term from none on, in logarithms: the first term alone may be below what a float can hold.
    """
    none = lgamma(alpha + beta) - lgamma(beta) + lgamma(beta + hosts) - lgamma(alpha + beta + hosts)
    steps = (
        log((hosts - k) / (k + 1) * ((alpha + k) / (beta + hosts - k - 1)))  # from k hosts to k + 1
        for k in range(most)
    )
    return fsum(exp(term) for term in accumulate(steps, initial=none))


def largest_wave(known: Prior, budget_left: int, remaining: int, risk: float) -> int:
    """The most of the `remaining` hosts whose chance of overrunning the budget is at most `risk` (0 to 1).

    As many hosts as the budget has left can never overrun it, so the wave is never smaller. With nothing
    left, in a small fleet or because it is used up, any host risks the halt; there the wave is the largest
    that breaks *more than the one* host that halts it with at most that chance. That one failure overruns
    nothing left is then likelier than `risk`. Below that, nothing may start: 0.
    """
    if budget_left < 0 or remaining <= 0:
        return 0
    bearable = max(1, budget_left)
    safe, unsafe = min(bearable, remaining), remaining + 1
    while unsafe - safe > 1:
        middle = (safe + unsafe) // 2
        if overrun_probability(known, middle, bearable) <= risk:
            safe = middle
        else:
            unsafe = middle
    return safe


def evidence_against(succeeded: int, failed: int, target_percent: int) -> float:
    """How strongly the hosts so far speak against a true success rate of at least the target: an e-value.

    The likelihood ratio of higher failure rates to the rate q that the target just allows, averaged over
    q^(1/8), q^(2/8), ... q^(7/8), which lie evenly between q and 1 on a logarithmic scale; for 98 % that is
    3.3, 5.3, 8.7, 14, 23, 38 and 61 %. Stop at 1 / `FALSE_ALARM` and a release that meets the target is
    stopped with a chance of at most `FALSE_ALARM`, *however often one looks*: while every host fails with
    chance q or less, given all before it, the average is a nonnegative supermartingale that starts at 1,
    and such a process ever reaches 100 with chance 1/100 at most (J. Ville, Étude critique de la notion de
    collectif, 1939). The test is A. Wald's (1945), Annals of Mathematical Statistics 16:117-186, mixed over
    alternatives as by H. Robbins (1970), same annals 41:1397-1409; today's account is I. Waudby-Smith and
    A. Ramdas (2024), JRSS B 86:1-27.

    Hosts whose end is not known yet are to be counted as succeeded. With that the value is at most the
    one of their true ends, taken in the order in which they started, so failures that show sooner than
    successes raise no false alarm. A target of 100 % is refuted by one failure.
    """
    allowed = (100 - target_percent) / 100
    if allowed == 0.0:
        return inf if failed else 1.0
    rates = (allowed ** (step / _ALTERNATIVES) for step in range(1, _ALTERNATIVES))
    ratios = (failed * log(rate / allowed) + succeeded * (log1p(-rate) - log1p(-allowed)) for rate in rates)
    return fsum(exp(min(ratio, _LARGEST_EXPONENT)) for ratio in ratios) / (_ALTERNATIVES - 1)


def refutes_target(succeeded: int, failed: int, target_percent: int) -> bool:
    """Whether the evidence against the target is enough to stop."""
    return evidence_against(succeeded, failed, target_percent) >= 1 / FALSE_ALARM
