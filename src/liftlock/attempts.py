"""What is done on one host at a time: calls through the ports, and the fact that their answers prove.

Runs in worker threads. Each call is given the progress at its beginning; nothing here is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from threading import Event

from liftlock import ledger, outcome
from liftlock.errors import HostError, InputError, LinkLostError
from liftlock.ledger import Fact
from liftlock.model import (
    Action,
    GateResult,
    Hop,
    Host,
    HostAnswer,
    HostResult,
    Observation,
    Plan,
    Release,
    Ticket,
    Verdict,
)
from liftlock.ports import Clock, Transport
from liftlock.progress import Progress

BROUGHT_BACK = "brought back as the rollout halted"
"""The cause of a rollback that only the policy asked for."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at a host that is lost or was found unhealthy."""


@dataclass
class Attempts:
    """One plan's work on hosts; the fields are the engine's. Set `stop` to wait for nothing more."""

    plan: Plan
    releases: Mapping[str, Mapping[str, Release]]
    hosts: Mapping[str, Host]
    transports: Mapping[str, Transport]
    clock: Clock
    settled: Callable[[str, str], GateResult]
    stop: Event
    phase_limit: timedelta

    def __post_init__(self) -> None:
        self._planned = {host.name: host for host in self.plan.hosts}
        self._unsteady: set[str] = set()  # answered badly once in this bake, and well a moment later
        self._confirmed: dict[str, Observation] = {}

    def begin_bake(self) -> None:
        """A new bake knows nothing of how hosts answered in another."""
        self._unsteady.clear()

    def watch(self, progress: Progress, name: str, *, over: bool) -> Fact | None:
        """Look at a host in its bake, twice when it answers badly; None while all is well and the bake not `over`."""
        planned, part = self._planned[name], progress.host(name)
        try:
            seen = self._confirmed.pop(name, None) if over else None
            fact = outcome.after_bake(planned, part, seen or self._look(name), over=over)
            if not isinstance(fact, ledger.Ailing):
                return fact
            self.clock.sleep(LOOK_AGAIN)
            again = outcome.after_bake(planned, part, self._look(name), over=over)
        except HostError as error:
            return outcome.after_error(name, part.attempt, error, touched=True)
        if isinstance(again, ledger.Ailing):
            return again
        if name in self._unsteady:
            return outcome.by_turns(name, fact.cause)
        self._unsteady.add(name)  # one slow answer is not yet an ailing host, and not yet a success
        return None

    def upgrade(self, progress: Progress, name: str, ticket: Ticket) -> Fact:
        """Take one host up its path, hop by hop, then look at it over a fresh connection."""
        host, transport, releases = self.hosts[name], self._way_to(name), self._releases_of(name)
        touched, planned = progress.host(name).lost_links > 0, self._planned[name]
        seen, moved_to = None, ""
        self._confirmed.pop(name, None)
        try:
            hops = self._hops_left(name, ticket)
            moved_to = hops[0].from_version if len(hops) < len(planned.hops) else ""
            for hop in hops:
                if unsettled := self._wait_until_settled(name, ticket, hop):
                    return unsettled
                release = releases[hop.to_version]
                answer = transport.upgrade(host, hop.from_version, release, ticket)
                if ticket.attempt > 1 and self._is_ahead(name, hop, answer):
                    touched = True  # perhaps: by a program that a controller before us had sent, and that came late
                    self._ensure_not_ours(name)
                if answer.result not in {HostResult.SWITCHED, HostResult.ALREADY_CURRENT}:
                    break
                moved_to = hop.to_version if answer.result is HostResult.SWITCHED else moved_to
                if answer.result is HostResult.SWITCHED and (hop is hops[-1] or release.confirm_within):
                    seen = transport.confirm(host, ticket)
                    if not outcome.runs(seen, hop.to_version) or seen.unconfirmed:
                        break
                    self._keep(name, seen)
        except HostError as error:
            return outcome.after_error(name, ticket.attempt, error, touched=touched or bool(moved_to))
        except InputError as error:  # what it needs here has gone since the rollout began: this hop was not begun
            answer = HostAnswer(HostResult.REFUSED, None, str(error))
        return outcome.after_upgrade(name, ticket.attempt, planned.wanted, answer, seen, moved_to=moved_to)

    def _is_ahead(self, name: str, hop: Hop, answer: HostAnswer) -> bool:
        """Whether the host has done nothing because it stands further on its path than the hop begins."""
        hops = self._planned[name].hops
        ahead = {later.to_version for later in hops[hops.index(hop) :]}
        return answer.result in {HostResult.ALREADY_CURRENT, HostResult.REFUSED} and answer.installed in ahead

    def _ensure_not_ours(self, name: str) -> None:
        """Raises LinkLostError when an attempt of this plan has moved the host since: another look tells what it is."""
        if outcome.was_at_work(self.plan, self._look(name)):
            raise LinkLostError("an earlier attempt came late")

    def _keep(self, name: str, seen: Observation) -> None:
        """Without bake and gates nothing is to be waited for: the look that confirmed is also the one at the end."""
        if not self.plan.policy.bake and not self.plan.policy.gates_after:
            self._confirmed[name] = seen

    def _way_to(self, name: str) -> Transport:
        return self.transports[self.plan.product_of(self._planned[name])]

    def _releases_of(self, name: str) -> Mapping[str, Release]:
        return self.releases[self.plan.product_of(self._planned[name])]

    def _look(self, name: str) -> Observation:
        return self._way_to(name).probe(self.hosts[name])

    def _wait_until_settled(self, name: str, ticket: Ticket, hop: Hop) -> Fact | None:
        """Wait for background work of the stop the host stands on; a fact when the next hop must not be taken.

        The stop's gate is asked every `watch_every`, as long as the rest still fits the window. The host
        is healthy on the stop; it needs a person when the gate does not pass in time.
        """
        gate, planned = self._gate_of(name, hop), self._planned[name]
        if not gate:
            return None
        while (judged := self.settled(name, gate)).verdict is not Verdict.PASSED:
            if self.stop.is_set():
                why = f"interrupted before gate {gate} passed"
                there = hop.from_version if hop.from_version != planned.observed else None
                return ledger.Voided(host=name, attempt=ticket.attempt, cause=why, version=there)
            if self.clock.now() + self.plan.policy.watch_every + planned.needed > planned.window.end:
                cause = f"gate {gate} {judged.verdict}: {judged.reason}"
                return outcome.not_settled(name, ticket.attempt, hop.from_version, cause)
            self.clock.sleep(self.plan.policy.watch_every.total_seconds())
        return None

    def _may_go_back_within(self, name: str) -> timedelta:
        """The longest time after which one of the host's releases goes back by itself, unconfirmed."""
        releases = self._releases_of(name)
        on_the_way = [releases[hop.to_version] for hop in self._planned[name].hops]
        return max((release.confirm_within or timedelta() for release in on_the_way), default=timedelta())

    def _gate_of(self, name: str, hop: Hop) -> str:
        """The gate that must pass before this hop: named by the hop before it, or by the release the host stands on."""
        before = [one for one in self._planned[name].hops if one.to_version == hop.from_version]
        release = self._releases_of(name).get(hop.from_version)
        return before[0].settled_gate if before else release.settled_gate if release else ""

    def _hops_left(self, name: str, ticket: Ticket) -> tuple[Hop, ...]:
        """The host's path, from where it stands now when an earlier attempt got part of the way."""
        hops = self._planned[name].hops
        if ticket.attempt == 1 or len(hops) == 1:
            return hops
        installed = self._look(name).installed
        begun = [place for place, hop in enumerate(hops) if hop.from_version == installed]
        return hops[begun[0] :] if begun else hops

    def roll_back(self, progress: Progress, name: str, ticket: Ticket) -> Fact:
        """Bring a host back to the version it came from."""
        part = progress.host(name)
        origin, why = part.origin, part.cause or BROUGHT_BACK
        try:
            answer = self._way_to(name).roll_back(self.hosts[name], origin, ticket)
        except HostError as error:
            return outcome.after_error(name, ticket.attempt, error, touched=True)
        return outcome.after_roll_back(name, ticket.attempt, origin, answer, why, well=part.well)

    def look_until_known(self, progress: Progress, name: str) -> Fact | None:
        """Look at a lost host until it tells what happened; None when interrupted.

        One that does not answer is given up when the policy says, counted from its last answer; one on which a phase
        still works, when no phase may take longer.
        """
        planned, part = self._planned[name], progress.host(name)
        passed = [self._releases_of(name).get(hop.to_version) for hop in planned.hops]
        hooked = [release.version for release in passed if release is not None and release.after_switch]
        patience = self.plan.policy.reconcile_within + self._may_go_back_within(name)
        deadline = self.clock.now() + patience
        latest = self.clock.now() + self.phase_limit
        # Found upgraded, it is confirmed in the same breath: it would go back by itself otherwise.
        ticket, forward = Ticket(self.plan.id, part.attempt, 0), part.action is Action.UPGRADE
        while True:
            try:
                seen = self._way_to(name).confirm(self.hosts[name], ticket) if forward else self._look(name)
                fact = outcome.after_look(self.plan, planned, part, seen, hooked=hooked)
            except HostError as error:
                fact, unseen = None, error
            else:
                unseen = LinkLostError("a phase still runs there")
                if seen.busy and self.clock.now() < latest:
                    deadline = self.clock.now() + patience
            if fact is not None or self.stop.is_set():
                return fact
            if self.clock.now() >= deadline:
                return outcome.never_seen_again(planned, part, unseen)
            self.clock.sleep(LOOK_AGAIN)

    def lost_since(self, progress: Progress, name: str) -> Fact | None:
        """The fact for an upgraded host that does not answer any more; None when it does."""
        try:
            self._look(name)
        except HostError as error:
            return outcome.after_error(name, progress.host(name).attempt, error, touched=True)
        return None
