"""The seam between the engine and the terminal: shows proposals, asks, follows the run, shows what came of it."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Collection
from typing import TypeVar

import click

from gpuready.cli import asking
from gpuready.cli.connection import colour, terminal_width
from gpuready.engine.design import gpus_of, served
from gpuready.engine.execute import Event
from gpuready.engine.proposal import Proposal, Refused
from gpuready.engine.session import Session
from gpuready.engine.verify import Verification, gpu_reports, verify
from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import Identity
from gpuready.model.plan import HelmUninstall, Plan, Probe
from gpuready.model.redact import redact
from gpuready.model.spec import Setup
from gpuready.model.unknown import Unknown
from gpuready.report.diff_text import diff_text
from gpuready.report.findings_text import refusals_text
from gpuready.report.plan_text import plan_text
from gpuready.report.progress import progress_line
from gpuready.report.status_text import status_text
from gpuready.report.verify_text import Probes, outcome, verify_text
from gpuready.report.view import status_view

T = TypeVar("T")


class Show:
    """One verb's conversation with its user."""

    def __init__(
        self,
        identity: Identity,
        *,
        no_color: bool = False,
        yes: bool = False,
        allow: Collection[str] = (),
        diff: bool = False,
    ) -> None:
        self.identity, self.yes, self.allow, self.diff = identity, yes, allow, diff
        self.colour = colour(no_color)
        self.width = terminal_width()
        self.approved: Plan | None = None  # a reviewed plan: exactly this or nothing

    def say(self, text: str) -> None:
        click.echo(redact(text))

    # -- plans

    def proposal(self, proposal: Proposal, output: str = "text") -> None:
        if output != "text":
            from gpuready.cli.savedplan import SavedPlan
            from gpuready.report.json_out import to_json, to_yaml

            render = to_json if output == "json" else to_yaml
            self.say(render(SavedPlan(setup=proposal.setup, plan=proposal.plan)))
            return
        hard = proposal.refused
        soft = tuple(v for v in proposal.verdicts if v not in hard)
        looks = proposal.inventory.looks
        known = sum(1 for look in looks.values() if gpus_of(look.report))
        self.say(
            plan_text(
                proposal.plan,
                self.identity,
                verdicts=soft,
                gpu_nodes=Unknown("not looked at yet") if proposal.plan.pending else known,
                allowed=self.allow,
                width=self.width,
                colour=self.colour,
            )
        )
        if self.diff and proposal.plan.steps:
            self.say("\n" + diff_text(proposal.plan, width=self.width, colour=self.colour))
        if hard:
            self.say("\n" + refusals_text(hard, width=self.width, colour=self.colour))

    def plan(self, plan: Plan) -> None:
        """One in which the GPU nodes have no part: a mend, or a way back."""
        text = plan_text(plan, self.identity, gpu_nodes=None, allowed=self.allow, width=self.width, colour=self.colour)
        self.say(text)

    def approve(self, proposal: Proposal) -> None:
        """Show the plan and get consent; raises when there is none."""
        if self.approved is not None and proposal.plan.stages != self.approved.stages:
            raise UserError("the cluster has changed since the plan was made", "plan again")
        self.proposal(proposal)
        asking.require_consents(proposal.plan, self.allow)
        click.echo()
        if proposal.plan.pending:
            asking.ask("Run these short-lived, read-only pods now?", self.yes)
        else:
            asking.ask_name(self.identity.name or self.identity.context or self.identity.uid[:8], self.yes)

    def approve_back(self, plan: Plan) -> None:
        self.plan(plan)
        asking.require_consents(plan, self.allow)
        click.echo()
        asking.ask_name(self.identity.name or self.identity.context or self.identity.uid[:8], self.yes)

    def nothing_to_do(self, proposal: Proposal) -> None:
        self.proposal(proposal)

    def guarded(self, work: Callable[[], T]) -> T:
        """Run, and show why when it is refused."""
        try:
            return work()
        except Refused as refused:
            hard = refused.proposal.refused
            self.say(refusals_text(hard, cluster=self.identity.name, width=self.width, colour=self.colour))
            raise
        finally:
            self._clear()

    # -- the run

    def tell(self, event: Event) -> None:
        step = event.step
        line = progress_line(
            event.kind,  # type: ignore[arg-type]
            step.verb,
            step.target,
            number=event.number,
            total=event.total,
            text=event.text,
            elapsed=event.seconds,
            width=self.width,
            colour=self.colour,
        )
        self._line(redact(line), passing=event.kind in ("start", "wait"))

    def _line(self, line: str, passing: bool) -> None:
        """On a terminal a passing line is overwritten by the next; elsewhere only what stays is printed."""
        if sys.stdout.isatty():
            click.echo(f"\r\x1b[K{line}", nl=not passing)
        elif not passing:
            click.echo(line)

    def passing(self, text: str) -> None:
        """What is being done, on a terminal only; empty: that line goes."""
        if text:
            self._line(f"{text} ...", passing=True)
        else:
            self._clear()

    def _clear(self) -> None:
        if sys.stdout.isatty():
            click.echo("\r\x1b[K", nl=False)

    def dry_run(self, session: Session, setup: Setup) -> int:
        """Send every object of the plan to the API server with dryRun=All; nothing is stored."""
        from gpuready.engine.dryrun import dry_run

        proposal = session.propose(setup, session.look_around(), session.inventory())
        self.proposal(proposal)
        for target, error in dry_run(session.cluster, proposal.plan):
            self.say(f"{target}: {error.what if error else 'accepted (server dry run)'}")
            if error:
                raise error
        return 2 if proposal.refused else 0

    # -- results

    def verified(self, session: Session, setup: Setup | None, output: str = "text") -> int:
        inventory = session.inventory()
        nodes = served(inventory)
        setup = setup or inventory.setup
        if not nodes or setup is None:
            raise UserError("nothing of gpuready is installed on this cluster", "gpuready up installs it")

        def tell(text: str) -> None:
            if output == "text":
                self._line(f"verify: {text} ...", passing=True)

        found = verify(session.cluster, setup, nodes, tell, session.limit)
        self._clear()
        return self._verification(found, output)

    def _verification(self, found: Verification, output: str) -> int:
        whole = outcome(found.verdicts)
        if output == "junit":
            from gpuready.report.junit import verify_junit

            self.say(verify_junit(found.verdicts))
        elif output != "text":
            from gpuready.report.json_out import to_json, to_yaml

            self.say((to_json if output == "json" else to_yaml)(found))
        else:
            next_ = "gpuready status" if whole.exit_code else ""
            probes = Probes(found.probes, found.removed)
            self.say(verify_text(found.verdicts, probes=probes, next=next_, width=self.width, colour=self.colour))
        return whole.exit_code

    def status(self, session: Session, output: str) -> tuple[str, int]:
        run = session.last_run()
        inventory = run.inventory if run else session.inventory()
        nodes = served(inventory)
        pods = session.look_around().pods
        now = datetime.datetime.now(datetime.UTC)
        agents = gpu_reports(session.cluster, inventory, now.isoformat()) if nodes else {}
        view = status_view(agents, pods, now)
        if output != "text":
            from gpuready.report.json_out import to_json, to_yaml

            return redact((to_json if output == "json" else to_yaml)(view)), 0
        next_ = "" if nodes else "gpuready up"
        text = status_text(view, width=self.width, colour=self.colour, next=next_)
        if run and run.open:
            text += f"\nrun {run.start.run} ({run.start.purpose}) is not finished; next: gpuready apply --resume"
        return redact(text), 3 if view.nodes_unknown or view.unknown else 2 if view.failed else 0

    def uninstalled(self, session: Session, leave: Collection[str], take_over: bool) -> int:
        plan = self.guarded(lambda: session.uninstall(self.approve_back, self.tell, silent=leave, take_over=take_over))
        if plan is None:
            click.echo("nothing of gpuready is in this cluster")
            return 0
        return self.left(plan, leave)

    def left(self, plan: Plan, leave: Collection[str]) -> int:
        probes = [s.action for s in plan.steps if isinstance(s.action, Probe)]
        nodes = sorted({f"node/{n}" for probe in probes for n in probe.pods})
        what = "everything of gpuready is out of this cluster" if plan.purpose == "uninstall" else "taken back"
        self.say(what)
        if nodes:
            few = ", ".join(nodes[:4]) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else "")
            self.say(f"known remains on {few}: nvidia.com/gpu: 0 in the node's capacity until its kubelet restarts,")
            self.say("  the pulled image until the kubelet's garbage collection removes it, the folder /var/run/cdi")
        if any(isinstance(s.action, HelmUninstall) for s in plan.steps):
            self.say("known remains of the operator: nvidia.com/gpu: 0 in the capacity of nodes until their kubelets")
            self.say("  restart, loaded kernel modules until a reboot, pulled images, and on CRI-O its drop-in file")
        for item in plan.skipped:
            self.say(f"left: {item.target}: {item.why}")
        return self.undetermined(leave)

    def undetermined(self, nodes: Collection[str]) -> int:
        for node in nodes:
            self.say(f"UNDETERMINED  node/{node}: left as it is; files of ours may lie on it")
        return 3 if nodes else 0
