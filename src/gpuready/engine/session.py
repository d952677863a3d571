"""One user's dealings with one cluster: look around, propose, carry out, go back. Driven through ports alone."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from gpuready import __version__
from gpuready.engine.design import served
from gpuready.engine.execute import Event, Executor, StepFailed
from gpuready.engine.gather import gather
from gpuready.engine.leave import NS, go_back
from gpuready.engine.ledger import Run, replay
from gpuready.engine.proposal import Proposal, Refused, propose
from gpuready.engine.silent import leave_out
from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts, Identity, Permission, Pod
from gpuready.model.journal import End, Entry, Inventory, Planned, Start
from gpuready.model.names import RESOURCE
from gpuready.model.plan import Plan
from gpuready.model.ports import Charts, Clock, Cluster, Journal, Reader
from gpuready.model.spec import Setup
from gpuready.model.unknown import known


class Journals(Protocol):
    """Where runs are recorded."""

    def last(self) -> Sequence[Entry]: ...

    def open(self) -> Journal: ...


class Session:
    def __init__(
        self,
        cluster: Cluster,
        reader: Reader,
        journals: Journals,
        clock: Clock,
        identity: Identity,
        permissions: tuple[Permission, ...] = (),
        limit: float | None = None,
        charts: Charts | None = None,
    ) -> None:
        """`limit`: seconds to wait for any one step (--timeout). `charts`: for stack gpu-operator."""
        self.charts = charts
        self.cluster, self.reader, self.journals, self.clock = cluster, reader, journals, clock
        self.identity, self.permissions, self.limit = identity, permissions, limit

    # -- reading

    def look_around(self) -> ClusterFacts:
        return gather(self.reader, self.identity, self.permissions)

    def last_run(self) -> Run | None:
        return replay(self.journals.last())

    def inventory(self) -> Inventory:
        run = self.last_run()
        return run.inventory if run else Inventory()

    def at_rest(self) -> Inventory:
        """All that is ours, for a run that is to begin. UserError where another one is not finished."""
        run = self.last_run()
        if run and run.open:
            raise _unfinished(run)
        return run.inventory if run else Inventory()

    def propose(self, setup: Setup, cluster: ClusterFacts, inventory: Inventory) -> Proposal:
        return propose(self.cluster, setup, cluster, inventory, self.charts)

    # -- doing

    def up(
        self,
        setup: Setup,
        approve: Callable[[Proposal], None],
        tell: Callable[[Event], None],
        settled: Callable[[Proposal], Setup] | None = None,
        take_over: bool = False,
    ) -> Proposal:
        """Look, plan, ask, apply. Returns the last proposal; its plan is empty when there was nothing to do.

        `approve` raises to stop. `settled` is called once all nodes were looked at and may pin the spec (init).
        Raises Refused or UserError; what a failed look had changed is taken back first.
        """
        inventory = self.at_rest()
        return self._go_on(setup, inventory, None, approve, tell, settled or _as_it_is, take_over)

    def _go_on(
        self,
        setup: Setup,
        inventory: Inventory,
        journal: Journal | None,
        approve: Callable[[Proposal], None],
        tell: Callable[[Event], None],
        settled: Callable[[Proposal], Setup],
        take_over: bool = False,
    ) -> Proposal:
        """Compose, ask and carry out until nothing is pending any more."""
        while True:
            proposal = self._agreed(setup, inventory, approve, settled, journal)
            if not proposal.plan.stages:
                break
            journal = self._record(journal, proposal, inventory, take_over)
            _tell_done(journal, tell)
            self._carry_out(journal, proposal.plan, tell)
            inventory = _run_of(journal).inventory
            if not proposal.plan.pending:
                break
        if journal:
            journal.close(End(at=self.clock.now(), outcome="done"))
        return proposal

    def survey(
        self,
        setup: Setup,
        approve: Callable[[Proposal], None],
        tell: Callable[[Event], None],
        take_over: bool = False,
    ) -> Proposal:
        """Look at the nodes, take the look's own traces back, and return the proposal that it makes possible."""
        inventory = self.at_rest()
        first = self._agreed(setup, inventory, lambda p: approve(p) if p.plan.pending else None, _as_it_is, None)
        if not first.plan.pending:
            return first
        journal = self._record(None, first, inventory, take_over)
        self._carry_out(journal, first.plan, tell)
        try:
            seen = _run_of(journal).inventory
            proposal = propose(self.cluster, setup, self.look_around(), seen, look_only=True)
            if proposal.refused:
                raise Refused(proposal)
        finally:
            self._take_back(journal)
        return proposal

    def _agreed(
        self,
        setup: Setup,
        inventory: Inventory,
        approve: Callable[[Proposal], None],
        settled: Callable[[Proposal], Setup],
        journal: Journal | None,
    ) -> Proposal:
        """A proposal that nothing speaks against and that the user has approved; else everything is taken back."""
        try:
            proposal = self.propose(setup, self.look_around(), inventory)
            if proposal.refused:
                raise Refused(proposal)
            if not proposal.plan.pending:
                pinned = settled(proposal)
                if pinned != proposal.setup:
                    proposal = self.propose(pinned, proposal.cluster, inventory)
            if proposal.plan.stages:
                approve(proposal)
        except BaseException:
            if journal:
                self._take_back(journal)
            raise
        return proposal

    def _record(self, journal: Journal | None, proposal: Proposal, inventory: Inventory, take_over: bool) -> Journal:
        planned = Planned(at=self.clock.now(), plan=proposal.plan, setup=proposal.setup)
        if journal:
            journal.append(planned)
            return journal
        journal = self.journals.open()
        journal.begin(self._start("up", inventory, journal), planned, take_over=take_over)
        return journal

    def _start(self, purpose: str, inventory: Inventory, journal: Journal) -> Start:
        at = self.clock.now()
        run = f"{at[:19].replace('-', '').replace(':', '').lower()}-{secrets.token_hex(3)}"
        return Start(run=run, purpose=purpose, at=at, holder=journal.holder, version=__version__, inventory=inventory)

    def _carry_out(self, journal: Journal, plan: Plan, tell: Callable[[Event], None]) -> None:
        try:
            Executor(self.cluster, journal, self.clock, tell, self.limit, self.charts).run(plan)
        except StepFailed as failed:
            if not plan.pending:
                journal.close(End(at=self.clock.now(), outcome="failed", why=failed.what))
                raise
            self._take_back(journal)
            raise UserError(f"{failed.what}; what this run had created is taken back", failed.next) from failed

    def _take_back(self, journal: Journal) -> None:
        """Put back what this run has changed so far, quietly: only our own namespace and probes are concerned."""
        run = _run_of(journal)
        self._back(journal, run, self._undoing(run), lambda _: None)

    def _undoing(self, run: Run, cluster: ClusterFacts | None = None, silent: Collection[str] = ()) -> Plan:
        return go_back(
            run.touched,
            run.start.inventory,
            setup=run.setup or Setup(),
            cluster_uid=self.identity.uid,
            purpose="undo",
            cluster=cluster,
            silent_nodes=silent,
        )

    def _back(self, journal: Journal, run: Run, plan: Plan, tell: Callable[[Event], None]) -> None:
        setup = run.start.inventory.setup or run.setup or Setup()
        journal.append(Planned(at=self.clock.now(), plan=plan, setup=setup))
        self._finish_back(journal, plan, tell)

    def _finish_back(self, journal: Journal, plan: Plan, tell: Callable[[Event], None]) -> None:
        try:
            Executor(self.cluster, journal, self.clock, tell, self.limit, self.charts).run(plan)
        except StepFailed as failed:
            journal.close(End(at=self.clock.now(), outcome="failed", why=failed.what))
            raise
        nothing_left = not _run_of(journal).inventory.items
        journal.close(End(at=self.clock.now(), outcome="undone"), nothing_left=nothing_left)

    def resume(
        self,
        approve: Callable[[Proposal], None],
        tell: Callable[[Event], None],
        settled: Callable[[Proposal], Setup] | None = None,
        *,
        take_over: bool = False,
    ) -> Run:
        """Go on with the last run where it stopped; what its plan had left pending is composed and asked anew."""
        run = self.last_run()
        if run is None or not run.open or run.plan is None:
            raise UserError("there is no unfinished run on this cluster", "gpuready up begins one")
        journal = self.journals.open()
        journal.resume(take_over=take_over)
        run = _run_of(journal)
        assert run.plan is not None
        assert run.setup is not None
        if run.plan.purpose == "mend":
            return self._mended(journal, run.plan, tell)
        if run.plan.purpose != "up":
            self._finish_back(journal, run.plan, tell)
            return _run_of(journal)
        self._carry_out(journal, run.plan, tell)
        if run.plan.pending:
            seen = _run_of(journal).inventory
            self._go_on(run.setup, seen, journal, approve, tell, settled or _as_it_is)
        else:
            journal.close(End(at=self.clock.now(), outcome="done"))
        return _run_of(journal)

    def leave(
        self, silent: Collection[str], approve: Callable[[Plan], None], tell: Callable[[Event], None], take_over: bool
    ) -> Plan:
        """Finish an unfinished way back without these nodes."""
        run = self.last_run()
        if run is None or not run.open or run.plan is None or run.plan.purpose not in ("uninstall", "undo"):
            raise UserError(
                "no unfinished way back is on this cluster that could leave a node out",
                "gpuready uninstall --leave NODE and gpuready apply --undo --leave NODE begin one",
            )
        plan = leave_out(run.plan, silent, self.look_around())
        approve(plan)
        journal = self.journals.open()
        journal.resume(take_over=take_over)
        self._back(journal, _run_of(journal), plan, tell)
        return plan

    def mend(
        self,
        plan: Plan,
        setup: Setup,
        approve: Callable[[Plan], None],
        tell: Callable[[Event], None],
        *,
        take_over: bool = False,
    ) -> Run:
        """Carry out what `doctor --fix` proposes. What it changes is not ours; the undo of this very run takes it back.

        A mend that nothing could take back leaves no journal where there was none before.
        """
        inventory = self.at_rest()
        approve(plan)
        journal = self.journals.open()
        planned = Planned(at=self.clock.now(), plan=plan, setup=setup)
        journal.begin(self._start("mend", inventory, journal), planned, take_over=take_over)
        _tell_done(journal, tell)
        return self._mended(journal, plan, tell)

    def _mended(self, journal: Journal, plan: Plan, tell: Callable[[Event], None]) -> Run:
        self._carry_out(journal, plan, tell)
        run = _run_of(journal)
        if run.start.inventory.items or {i.ref for i in run.touched.items} - {NS}:
            journal.close(End(at=self.clock.now(), outcome="done"))
            return _run_of(journal)
        self._take_back(journal)
        return run

    def undo(
        self,
        approve: Callable[[Plan], None],
        tell: Callable[[Event], None],
        *,
        take_over: bool = False,
        silent: Collection[str] = (),
    ) -> Plan:
        """Take back what the last run did, finished or not."""
        run = self.last_run()
        if run is None or run.plan is None:
            raise UserError("there is no run to undo on this cluster", "gpuready status shows the cluster")
        cluster = self.look_around()
        approve(self._undoing(run, cluster, silent))
        journal = self.journals.open()
        journal.resume(take_over=take_over)
        now = _run_of(journal)
        plan = self._undoing(now, cluster, silent)
        self._back(journal, now, plan, tell)
        return plan

    def uninstall(
        self,
        approve: Callable[[Plan], None],
        tell: Callable[[Event], None],
        *,
        silent: Collection[str] = (),
        take_over: bool = False,
    ) -> Plan | None:
        """Everything of ours out of the cluster. None: there was nothing."""
        inventory = self.at_rest()
        if not inventory.items:
            return None
        cluster = self.look_around()
        refuse_to_leave(cluster, inventory, silent)
        setup = inventory.setup or Setup()
        plan = go_back(
            inventory,
            Inventory(),
            setup=setup,
            cluster_uid=self.identity.uid,
            purpose="uninstall",
            cluster=cluster,
            silent_nodes=silent,
        )
        approve(plan)
        journal = self.journals.open()
        planned = Planned(at=self.clock.now(), plan=plan, setup=setup)
        journal.begin(self._start("uninstall", inventory, journal), planned, take_over=take_over)
        self._finish_back(journal, plan, tell)
        return plan


def refuse_to_leave(cluster: ClusterFacts, inventory: Inventory, silent: Collection[str]) -> None:
    """Uninstalling under running GPU pods would take their device plugin away; a silent node cannot be cleaned."""
    ours = set(served(inventory))
    holders = sorted(p.key for p in known(cluster.pods) if p.node in ours and holds_gpus(p))
    if holders:
        shown = ", ".join(holders[:8]) + (f" and {len(holders) - 8} more" if len(holders) > 8 else "")
        raise UserError(f"pods hold GPUs: {shown}", "end them first; gpuready status shows who holds which GPU")
    unready = sorted(n.name for n in known(cluster.nodes) if n.name in ours and n.ready is not True)
    lost = [n for n in unready if n not in silent]
    if lost:
        raise UserError(
            f"{', '.join(f'node/{n}' for n in lost)} does not answer, so what lies on it cannot be removed",
            f"wait for it, or leave it as it is with {' '.join(f'--leave {n}' for n in lost)}",
        )


def holds_gpus(pod: Pod) -> bool:
    """The kubelet gives devices back when all containers have ended."""
    asked = any(RESOURCE in c.requests for c in pod.containers)
    return asked and pod.phase in ("Running", "Pending") and bool(pod.node)


def _tell_done(journal: Journal, tell: Callable[[Event], None]) -> None:
    """The namespace is created with the journal, before the executor begins: say so."""
    run = _run_of(journal)
    steps = run.plan.steps if run.plan else ()
    for number, step in enumerate(steps, 1):
        if run.done(step):
            tell(Event("start", step, number, len(steps)))
            tell(Event("done", step, number, len(steps)))


def _as_it_is(proposal: Proposal) -> Setup:
    return proposal.setup


def _run_of(journal: Journal) -> Run:
    run = replay(journal.entries())
    assert run is not None
    return run


def _unfinished(run: Run) -> UserError:
    why = f" ({run.end.why})" if run.end and run.end.why else ""
    return UserError(
        f"run {run.start.run} ({run.start.purpose}, begun {run.start.at[:19]}Z) is not finished{why}",
        "`gpuready apply --resume` goes on with it, `gpuready apply --undo` takes it back",
    )
