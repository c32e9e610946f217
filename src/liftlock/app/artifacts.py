"""The artifacts of a plan: there, and what their manifests say, before anybody is promised or sent anything."""

from __future__ import annotations

from liftlock.adapters.artifact import verify_artifact
from liftlock.app.products import releases
from liftlock.app.workspace import Workspace
from liftlock.errors import InputError
from liftlock.model import Artifact, Plan


def check_artifacts(workspace: Workspace, plan: Plan) -> None:
    """Raises InputError for an artifact on the ways of the plan's hosts that is missing or not what is declared."""
    for artifact in _artifacts(workspace, plan):
        verify_artifact(artifact)


def doubtful_artifacts(workspace: Workspace, plan: Plan) -> list[str]:
    """What is wrong with the artifacts on the ways of the plan's hosts, a line each; empty when all is well."""
    found = []
    for artifact in _artifacts(workspace, plan):
        try:
            verify_artifact(artifact)
        except InputError as error:
            found += [str(problem) for problem in error.problems]
    return found


def _artifacts(workspace: Workspace, plan: Plan) -> list[Artifact]:
    """Each once, also where several releases share it."""
    every = (
        release.artifact for catalogue in workspace.catalogues(plan) for release in releases(catalogue, plan).values()
    )
    return list(dict.fromkeys(every))
